"""The halt files: kills that hold although the ledger could not take them yet.

Written and fsynced before the commit, so that a kill survives a crash with a broken store. Kills
that come together share a file, `{"orders": [...]}`, named after the first of them; a file that
cannot be read halts everything.

Several processes may keep theirs in one directory, as workers do: nobody writes a file again, and
whoever removes one knows all of its kills to be in the log. So nobody can lift another's halt. A
process that starts honours every file it finds, whoever wrote it.
"""

import json
import os
import re
import threading
from collections.abc import Sequence
from datetime import UTC, datetime
from hashlib import sha256
from pathlib import Path
from typing import Any

from proxy.model.kill import GLOBAL, KillAction, KillOrder, Scope, ScopeKind

_ORDER_ID = r"kil_[A-Za-z0-9_-]{1,128}"


class HaltFile:
    """Durable memory beside the ledger. `path` is `place/name.halt`, its files `name.<id>.halt`."""

    def __init__(self, path: Path) -> None:
        self._path = path
        stem, suffix = re.escape(path.stem), re.escape(path.suffix)
        # One without an id is of a Detent that kept a single file.
        self._ours = re.compile(rf"{stem}(\.{_ORDER_ID})?{suffix}")
        self._holds: dict[Path, frozenset[str]] = {}
        self._writing = threading.Lock()  # one that hangs on a disk is not waited for

    def read(self) -> tuple[KillOrder, ...]:
        """Return the kills that hold. A damaged file is a global kill: halted is the safe side."""
        try:
            names = sorted(file.name for file in self._path.parent.iterdir())
        except FileNotFoundError:
            return ()
        except OSError:
            return (_damaged(self._path),)
        orders: dict[str, KillOrder] = {}
        for name in names:
            if self._ours.fullmatch(name):
                file = self._path.with_name(name)
                found = _orders_in(file)
                self._holds[file] = frozenset(order.id for order in found)
                orders |= {order.id: order for order in found}
        return tuple(orders.values())

    def write(self, orders: Sequence[KillOrder]) -> None:
        """Keep these: write the new ones, remove the files that have none of them. Raises OSError.

        What is no longer among the orders has to be in the log.
        """
        with self._writing:
            self._write_all(orders)

    def _write_all(self, orders: Sequence[KillOrder]) -> None:
        known = frozenset().union(*self._holds.values())
        new = [order for order in orders if order.id not in known]
        if new:
            file = self._path.with_name(f"{self._path.stem}.{new[0].id}{self._path.suffix}")
            self._write(file, new)
            self._holds[file] = frozenset(order.id for order in new)
        held = {order.id for order in orders}
        done = [file for file, ids in self._holds.items() if held.isdisjoint(ids)]
        for file in done:
            file.unlink(missing_ok=True)
            del self._holds[file]
        if new or done:
            self._sync_directory()

    def _write(self, file: Path, orders: Sequence[KillOrder]) -> None:
        document = json.dumps({"orders": [_document(order) for order in orders]})
        # Two workers may write down the same kill at once.
        draft = file.with_suffix(f".{os.getpid()}.tmp")
        descriptor = os.open(draft, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600)
        try:
            os.write(descriptor, document.encode())
            os.fsync(descriptor)
        finally:
            os.close(descriptor)
        draft.replace(file)

    def _sync_directory(self) -> None:
        descriptor = os.open(self._path.parent, os.O_RDONLY | os.O_DIRECTORY)
        try:
            os.fsync(descriptor)
        finally:
            os.close(descriptor)


def _orders_in(file: Path) -> tuple[KillOrder, ...]:
    try:
        document = json.loads(file.read_text())
        return tuple(_order(entry) for entry in document["orders"])
    except FileNotFoundError:  # its kills went into the log just now
        return ()
    except (OSError, ValueError, KeyError, TypeError):
        return (_damaged(file),)


def _damaged(file: Path) -> KillOrder:
    """Return a global kill for what cannot be read; its id is the same for whoever reads it."""
    reason = "a halt file cannot be read; everything is halted until a lift"
    try:
        there = file.stat()
        state = f"{file} {there.st_ino} {there.st_mtime_ns}"
    except OSError:
        state = str(file)
    order_id = f"damaged-halt-file-{sha256(state.encode()).hexdigest()[:32]}"
    return KillOrder(order_id, KillAction.KILL, (GLOBAL,), "detent", reason, datetime.now(UTC))


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
