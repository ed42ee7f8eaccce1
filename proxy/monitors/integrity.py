"""Tool integrity: what servers offer against what people reviewed, and whom to tell of it.

A tool that nobody reviewed does not exist, and one that left its pin is quarantined; here it is
found and told: a change, a tool with the name of another server's, a name that is easily taken for
a reviewed one, what is no tool at all. Prompts and resources have no pins.
"""

import logging
import time
from collections import Counter
from collections.abc import Awaitable, Callable, Collection, Iterator, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from enum import StrEnum

from proxy.model.finding import Alert, Severity
from proxy.model.names import likenesses
from proxy.model.token import new_id
from proxy.model.tool import ToolDefinition, ToolManifest
from proxy.observability.metrics import Metrics

log = logging.getLogger(__name__)

REMEMBERED_S = 600.0
MAX_ALERTS = 20  # in that time; a server that changes at every list cannot flood people
MAX_REPEATS = 3
MAX_LISTED = 1_000

Reviewed = Mapping[tuple[str, str], ToolManifest]
Listed = Mapping[str, Collection[ToolDefinition]]


class Kind(StrEnum):
    """What is wrong with a tool; the value is the kind of its alert."""

    DRIFT = "tool-quarantined"
    SHADOWING = "tool-shadowing"
    CONFUSABLE = "tool-confusable"
    MALFORMED = "tool-malformed"


_SAYS = {
    Kind.DRIFT: "{tool} no longer matches its pin and is quarantined; review its definition",
    Kind.SHADOWING: "{tool} has the name of the reviewed {other}; it is refused",
    Kind.CONFUSABLE: "{tool} is easily taken for the reviewed {other}; it is refused",
    Kind.MALFORMED: "{tool} is no tool ({why}); it is refused",
}
_SEVERITY = {Kind.MALFORMED: Severity.WARNING}


@dataclass(frozen=True, slots=True, order=True)
class Irregularity:
    """One thing that is wrong: `tool` and `other` are `server/tool`, safe to print."""

    kind: Kind
    tool: str
    other: str = ""
    why: str = ""

    @property
    def message(self) -> str:
        """What people read."""
        return _SAYS[self.kind].format(tool=self.tool, other=self.other, why=self.why)

    @property
    def severity(self) -> Severity:
        """How soon people should look."""
        return _SEVERITY.get(self.kind, Severity.CRITICAL)

    @property
    def reviewed(self) -> str:
        """The reviewed tool whose calls this is about."""
        return self.other or self.tool


def irregularities(
    reviewed: Reviewed, drifted: Collection[str], listed: Listed
) -> tuple[Irregularity, ...]:
    """Return what is wrong with the lists of all servers, at most a thousand things."""
    known = _Known(reviewed)
    found = {Irregularity(Kind.DRIFT, tool) for tool in drifted}
    for server, definitions in listed.items():
        for definition in definitions:
            if len(found) >= MAX_LISTED:
                break
            found.update(known.judged(server, definition))
    return tuple(sorted(found))


class _Known:
    """The reviewed tools by their names and by what those look like."""

    def __init__(self, reviewed: Reviewed) -> None:
        self._reviewed = reviewed
        self._named: dict[str, str] = {}
        self._like: dict[str, str] = {}
        for (_, tool), manifest in reviewed.items():
            self._named.setdefault(tool, manifest.resource_id)
            for likeness in likenesses(tool):
                self._like.setdefault(likeness, manifest.resource_id)

    def judged(self, server: str, definition: ToolDefinition) -> Iterator[Irregularity]:
        """Yield what is wrong with one tool of a server, beside drift."""
        name = definition.name
        shown = f"{server}/{ascii(name)[1:-1]}"
        is_reviewed = (server, name) in self._reviewed
        if definition.problem and is_reviewed:
            yield Irregularity(Kind.MALFORMED, shown, why=definition.problem)
        if is_reviewed:
            return
        alike = (self._like[one] for one in sorted(likenesses(name)) if one in self._like)
        if name in self._named:
            yield Irregularity(Kind.SHADOWING, shown, self._named[name])
        elif other := next(alike, None):
            yield Irregularity(Kind.CONFUSABLE, shown, other)
        elif definition.problem:
            yield Irregularity(Kind.MALFORMED, shown, why=definition.problem)


class IntegrityWatch:
    """Tells people what is new, and in ten minutes no more than they can read.

    A thing that was put right and is wrong again is new; three times, then it is known to flicker.
    """

    def __init__(
        self,
        raise_alert: Callable[[Alert], Awaitable[None]],
        metrics: Metrics,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self._raise_alert = raise_alert
        self._metrics = metrics
        self._clock = clock
        self._standing: frozenset[Irregularity] = frozenset()
        self._told: list[tuple[float, Irregularity]] = []
        self._is_flooded = False

    async def note(self, found: Collection[Irregularity]) -> None:
        """Take what is wrong now, count it, and tell what was not wrong before."""
        counts = Counter(one.kind for one in found)
        self._metrics.irregular({kind.value: counts[kind] for kind in Kind})
        fresh = sorted(set(found) - self._standing)
        self._standing = frozenset(found)
        self._forget()
        for one in fresh:
            if sum(told == one for _, told in self._told) < MAX_REPEATS:
                await self._tell(one)

    def _forget(self) -> None:
        horizon = self._clock() - REMEMBERED_S
        self._told = [(at, one) for at, one in self._told if at > horizon]
        self._is_flooded = self._is_flooded and len(self._told) >= MAX_ALERTS

    async def _tell(self, one: Irregularity) -> None:
        if len(self._told) < MAX_ALERTS:
            self._told.append((self._clock(), one))
            await self._alert(one.kind, one.severity, one.message)
        elif not self._is_flooded:
            self._is_flooded = True
            message = "tools change faster than people can read; more is in tools and metrics"
            await self._alert("tool-integrity-flood", Severity.CRITICAL, message)

    async def _alert(self, kind: str, severity: Severity, message: str) -> None:
        log.error("%s", message, extra={"kind": kind})
        alert = Alert(new_id("alr"), datetime.now(UTC), kind, severity, message)
        await self._raise_alert(alert)
