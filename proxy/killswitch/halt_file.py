"""The halt file: kills that hold although the ledger could not take them yet.

Written and fsynced before the commit, so that a kill survives a crash with a broken store. One
JSON object a file: `{"orders": [...]}`. A file that cannot be read halts everything.
"""

import json
import os
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from proxy.model.kill import GLOBAL, KillAction, KillOrder, Scope, ScopeKind


class HaltFile:
    """Durable memory beside the ledger, replaced atomically (write, fsync, rename, fsync)."""

    def __init__(self, path: Path) -> None:
        self._path = path

    def read(self) -> tuple[KillOrder, ...]:
        """Return the kills that hold. A damaged file is a global kill: halted is the safe side."""
        try:
            document = json.loads(self._path.read_text())
            return tuple(_order(entry) for entry in document["orders"])
        except FileNotFoundError:
            return ()
        except (OSError, ValueError, KeyError, TypeError):
            reason = "the halt file cannot be read; everything is halted until a lift"
            at = datetime.now(UTC)
            return (
                KillOrder("damaged-halt-file", KillAction.KILL, (GLOBAL,), "detent", reason, at),
            )

    def write(self, orders: tuple[KillOrder, ...]) -> None:
        """Replace the file; no orders remove it. Raises OSError."""
        if not orders:
            self._path.unlink(missing_ok=True)
            self._sync_directory()
            return
        document = json.dumps({"orders": [_document(order) for order in orders]})
        draft = self._path.with_suffix(".tmp")
        descriptor = os.open(draft, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600)
        try:
            os.write(descriptor, document.encode())
            os.fsync(descriptor)
        finally:
            os.close(descriptor)
        draft.replace(self._path)
        self._sync_directory()

    def _sync_directory(self) -> None:
        descriptor = os.open(self._path.parent, os.O_RDONLY | os.O_DIRECTORY)
        try:
            os.fsync(descriptor)
        finally:
            os.close(descriptor)


def _document(order: KillOrder) -> dict[str, Any]:
    return {
        "id": order.id,
        "scopes": [[scope.kind.value, scope.id] for scope in order.scopes],
        "actor": order.actor,
        "reason": order.reason,
        "at": order.at.isoformat(),
    }


def _order(entry: dict[str, Any]) -> KillOrder:
    return KillOrder(
        id=entry["id"],
        action=KillAction.KILL,
        scopes=tuple(Scope(ScopeKind(kind), scope_id) for kind, scope_id in entry["scopes"]),
        actor=entry["actor"],
        reason=entry["reason"],
        at=datetime.fromisoformat(entry["at"]),
    )
