"""Kills and lifts: a log of epochs, and the state folded from it."""

from collections.abc import Iterable
from dataclasses import dataclass
from datetime import datetime
from enum import StrEnum
from functools import lru_cache


class ScopeKind(StrEnum):
    """What a kill can cover."""

    GLOBAL = "global"
    TENANT = "tenant"
    AGENT = "agent"
    SESSION = "session"
    TOOL = "tool"


@dataclass(frozen=True, slots=True, order=True)
class Scope:
    """`id`: empty for global; tenant; `tenant/agent`; session id; `server/tool`."""

    kind: ScopeKind
    id: str = ""


GLOBAL = Scope(ScopeKind.GLOBAL)


class KillAction(StrEnum):
    """What an entry of the log does."""

    KILL = "kill"
    LIFT = "lift"


class KillVerdict(StrEnum):
    """What became of a call that a kill met in flight."""

    NEVER_DISPATCHED = "never_dispatched"
    UNKNOWN = "unknown"
    DONE = "done"
    FAILED = "failed"


@dataclass(frozen=True, slots=True)
class KillOrder:
    """A kill or lift before it has its epoch. `id` makes a repeated commit harmless.

    `lifts` names the epoch a lift undoes.
    """

    id: str
    action: KillAction
    scopes: tuple[Scope, ...]
    actor: str
    reason: str
    at: datetime
    lifts: int | None = None


@dataclass(frozen=True, slots=True)
class KillEntry:
    """A committed order: `epoch` only grows."""

    epoch: int
    order: KillOrder


@dataclass(frozen=True, slots=True)
class KillState:
    """The log folded by epoch. `floors` maps a scope to the last epoch that touched it."""

    epoch: int
    active: tuple[KillEntry, ...]
    floors: dict[Scope, int]

    @classmethod
    def fold(cls, entries: Iterable[KillEntry]) -> "KillState":
        """Fold entries in the order of their epochs."""
        active: dict[int, KillEntry] = {}
        floors: dict[Scope, int] = {}
        epoch = 0
        for entry in sorted(entries, key=lambda entry: entry.epoch):
            epoch = entry.epoch
            if entry.order.action is KillAction.KILL:
                active[entry.epoch] = entry
            elif entry.order.lifts is not None:
                active.pop(entry.order.lifts, None)
            floors.update(dict.fromkeys(entry.order.scopes, entry.epoch))
        return cls(epoch, tuple(active.values()), floors)

    def covering(self, scopes: Iterable[Scope]) -> KillEntry | None:
        """Return an active kill that covers any of these scopes."""
        wanted = frozenset(scopes)
        return next(
            (entry for entry in self.active if not wanted.isdisjoint(entry.order.scopes)), None
        )

    def floor(self, scopes: Iterable[Scope]) -> int:
        """Return the lowest epoch a decision or credential of these scopes may carry."""
        return max((self.floors.get(scope, 0) for scope in scopes), default=0)


@lru_cache(maxsize=4_096)
def scopes_of(tenant: str, agent: str, session: str, tool: str = "") -> tuple[Scope, ...]:
    """Return every scope a call stands under; `tool` is `server/tool`, empty for none."""
    scopes = (
        GLOBAL,
        Scope(ScopeKind.TENANT, tenant),
        Scope(ScopeKind.AGENT, f"{tenant}/{agent}"),
        Scope(ScopeKind.SESSION, session),
    )
    return (*scopes, Scope(ScopeKind.TOOL, tool)) if tool else scopes
