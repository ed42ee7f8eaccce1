"""`/killswitch`: stop, look, go on. Stopping needs one token and one request, going on needs more.

Nothing here limits the rate, and a kill asks the store for nothing before it halts, except for the
tenant of a session that an operator of some tenants names.
"""

import asyncio
import re
import time
from collections.abc import Awaitable, Callable, Iterable
from dataclasses import dataclass, replace
from datetime import UTC, datetime

from starlette.requests import Request
from starlette.responses import JSONResponse, Response

from proxy.errors import BadRequest, StoreUnavailable
from proxy.ingress.operator_access import Access, everything_of
from proxy.ingress.operator_documents import (
    Document,
    effects_document,
    order_document,
    report_document,
    scope_documents,
)
from proxy.ingress.operator_known import UNKNOWN, KnownScopes
from proxy.ingress.operator_requests import members_of, query_of, reason_of, scope_of, wait_of
from proxy.killswitch.switch import KillReport, KillSwitch
from proxy.model.kill import KillAction, KillEntry, KillOrder, Scope, ScopeKind
from proxy.model.lease import Effectiveness
from proxy.model.session import Operator
from proxy.observability.metrics import Metrics
from proxy.stores.base import KillLog

LOOK_AGAIN_S = 0.02

_KILL_MEMBERS = frozenset({"scope", "reason", "revert"})
_LIFT_MEMBERS = frozenset({"reason"})
_EPOCH = re.compile(r"[1-9][0-9]{0,17}")
_SHARED = frozenset({ScopeKind.GLOBAL, ScopeKind.TOOL})


@dataclass(frozen=True, slots=True)
class Halting:
    """The kill switch, its log, and how far a kill has come, by its epoch."""

    kill_switch: KillSwitch
    kill_log: KillLog
    effects: Callable[[int], Awaitable[Effectiveness]]
    metrics: Metrics


class KillRoutes:
    """The four requests around the kill switch."""

    def __init__(self, halting: Halting, access: Access, known: KnownScopes) -> None:
        self._kill_switch = halting.kill_switch
        self._kill_log = halting.kill_log
        self._effects = halting.effects
        self._metrics = halting.metrics
        self._access = access
        self._known = known

    async def kill(self, operator: Operator, request: Request) -> Response:
        """Halt a scope; without one, everything this operator covers.

        Answers once it is committed, or, if asked to wait, once it is effective everywhere.
        """
        wait_s = wait_of(query_of(request, "wait"))
        deadline = time.monotonic() + wait_s
        members = await members_of(request, _KILL_MEMBERS)
        if "revert" in members:
            raise BadRequest("revert-unavailable", "A kill cannot revert; leave `revert` out.")
        reason = reason_of(members, required=False)
        named = (scope_of(members["scope"]),) if "scope" in members else everything_of(operator)
        await self._require(operator, named)
        report = await self._kill_switch.kill(named, operator.name, reason)
        for scope in named:
            self._metrics.killed(scope.kind)
        report = await self._committed_after_all(report, deadline)
        effects = await self._effective(report, deadline)
        document = report_document(report, effects) | await self._hint(named)
        return JSONResponse(document, 200 if report.committed else 503)

    async def state(self, operator: Operator, request: Request) -> Response:
        """Tell what is halted, as far as it touches this operator's tenants."""
        query_of(request)
        state = self._kill_switch.state
        active = [
            {"epoch": entry.epoch, **told}
            for entry in state.active
            if (told := await self._told(operator, entry.order))
        ]
        orders = self._kill_switch.pending()
        pending = [told for order in orders if (told := await self._told(operator, order))]
        return JSONResponse({"epoch": state.epoch, "active": active, "pending": pending})

    async def one(self, operator: Operator, request: Request) -> Response:
        """Tell what one kill did to each call it met, and who lifted it and why."""
        query_of(request)
        entry = await self._entry(operator, request)
        verdicts = await self._kill_switch.verdicts(entry.epoch)
        calls = [{"step_id": step, "verdict": last.value} for step, last in verdicts.items()]
        active = any(entry.epoch == each.epoch for each in self._kill_switch.state.active)
        told = {"epoch": entry.epoch, **order_document(entry.order)}
        effects = effects_document(await self._effects(entry.epoch))
        lifted = None if active else await self._lifted(entry.epoch)
        return JSONResponse({**told, **effects, "active": active, "lifted": lifted, "calls": calls})

    async def lift(self, operator: Operator, request: Request) -> Response:
        """Let a halted scope go on."""
        query_of(request)
        reason = reason_of(await members_of(request, _LIFT_MEMBERS), required=True)
        entry = await self._entry(operator, request)
        try:
            lifted = await self._kill_switch.lift(entry.epoch, operator.name, reason)
        except LookupError:
            raise _no_such_kill() from None
        self._metrics.lifted()
        document = {"epoch": lifted.epoch, "lifts": entry.epoch}
        return JSONResponse({**document, "scopes": scope_documents(entry.order.scopes)})

    async def _lifted(self, epoch: int) -> Document | None:
        """Return the lift of a kill: who let it go on, when and why."""
        entries = await self._kill_log.kill_log()
        lift = next((entry for entry in entries if entry.order.lifts == epoch), None)
        return {"epoch": lift.epoch, **order_document(lift.order)} if lift else None

    async def _hint(self, scopes: tuple[Scope, ...]) -> Document:
        """Tell whether there is anything of these scopes; the kill holds whatever it says."""
        matched = await self._known.match(scopes)
        return {"matched": matched} | ({"warning": UNKNOWN} if matched is False else {})

    async def _require(self, operator: Operator, scopes: tuple[Scope, ...]) -> None:
        try:
            await self._access.require(operator, *scopes)
        except StoreUnavailable:
            cure = "Whose session it is cannot be read now; kill its agent or tenant instead."
            raise BadRequest("store-unavailable", cure, 503) from None

    async def _committed_after_all(self, report: KillReport, deadline: float) -> KillReport:
        """Wait until the order has become durable, as long as the operator is willing to."""
        while not report.committed and time.monotonic() < deadline:
            if entry := self._active(report.order_id):
                return replace(report, epoch=entry.epoch, committed_at=datetime.now(UTC))
            await asyncio.sleep(LOOK_AGAIN_S)
        return report

    async def _effective(self, report: KillReport, deadline: float) -> Effectiveness | None:
        """Return how far the kill has come, at the latest when the operator waits no longer."""
        if report.epoch is None:
            return None
        effects = await self._effects(report.epoch)
        while not effects.effective and time.monotonic() < deadline:
            await asyncio.sleep(LOOK_AGAIN_S)
            effects = await self._effects(report.epoch)
        return effects

    def _active(self, order_id: str) -> KillEntry | None:
        active = self._kill_switch.state.active
        return next((entry for entry in active if entry.order.id == order_id), None)

    async def _entry(self, operator: Operator, request: Request) -> KillEntry:
        """Return a kill of this operator, lifted or not. Raises BadRequest 404, 403."""
        epoch = request.path_params["epoch"]
        number = int(epoch) if _EPOCH.fullmatch(epoch) else 0
        entry = _kill_of(number, self._kill_switch.state.active)
        entry = entry or _kill_of(number, await self._kill_log.kill_log())
        if entry is None or await self._told(operator, entry.order) is None:
            raise _no_such_kill()
        await self._require(operator, entry.order.scopes)
        return entry

    async def _told(self, operator: Operator, order: KillOrder) -> Document | None:
        """Return an order as this operator may read it, None when it is none of theirs.

        What halts everybody is told to everybody; by whom and why, to those it belongs to.
        """
        covered = [scope for scope in order.scopes if await self._access.covers(operator, scope)]
        if len(covered) == len(order.scopes):
            return order_document(order)
        seen = [scope for scope in order.scopes if scope in covered or scope.kind in _SHARED]
        told = {"order_id": order.id, "scopes": scope_documents(seen)}
        return told if seen else None


def _kill_of(epoch: int, entries: Iterable[KillEntry]) -> KillEntry | None:
    kills = (entry for entry in entries if entry.order.action is KillAction.KILL)
    return next((entry for entry in kills if entry.epoch == epoch), None)


def _no_such_kill() -> BadRequest:
    return BadRequest("no-such-kill", "There is no kill of that epoch to act on.", 404)
