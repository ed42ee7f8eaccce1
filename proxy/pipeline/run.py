"""The walk of one tool call, in one function you can read aloud."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import AbstractAsyncContextManager, AbstractContextManager
from dataclasses import dataclass

from proxy.errors import BadRequest, Refused, StoreUnavailable
from proxy.killswitch.inflight import Flight, InFlight
from proxy.killswitch.switch import KillSwitch
from proxy.model.call import Door, ToolCall
from proxy.model.kill import KillVerdict, Scope, scopes_of
from proxy.model.ledger import Outcome
from proxy.model.mcp import Notification
from proxy.model.step import Answer, Step
from proxy.model.token import new_id
from proxy.observability.metrics import Metrics
from proxy.pipeline.admit import Admission
from proxy.pipeline.authenticate import Authenticator, Caller
from proxy.pipeline.decide import Decider
from proxy.pipeline.effect import Effect
from proxy.pipeline.enforce import enforce
from proxy.pipeline.inspect import Inspection
from proxy.pipeline.lease import Lending
from proxy.pipeline.reserve import Reserving
from proxy.pipeline.resolve import Resolver
from proxy.pipeline.sessions import OpenedSession, SessionDesk, SessionRequest, agent_scopes
from proxy.pipeline.settle import Settling
from proxy.pipeline.unavailable import store_unavailable
from proxy.pipeline.visible import Visibility, VisibleTool
from proxy.pipeline.watch import Watching
from proxy.upstream.conversation import Conversation, Silence


@dataclass(frozen=True, slots=True)
class Stages:
    """The stages in the order of the walk."""

    authenticate: Authenticator
    admit: Admission
    inspect: Inspection
    resolve: Resolver
    decide: Decider
    lend: Lending
    reserve: Reserving
    effect: Effect
    settle: Settling
    visible: Visibility
    desk: SessionDesk
    watch: Watching


class Pipeline:
    """The policy enforcement point, as every door uses it."""

    def __init__(
        self, stages: Stages, kill_switch: KillSwitch, flights: InFlight, metrics: Metrics
    ) -> None:
        self._stages = stages
        self._kill_switch = kill_switch
        self._flights = flights
        self._metrics = metrics

    async def authenticate(self, token: str) -> Caller:
        """Return who a token belongs to. Raises Refused, StoreUnavailable."""
        return await self._stages.authenticate.caller(token)

    async def run(
        self, caller: Caller, call: ToolCall, conversation: Conversation | None = None
    ) -> Answer:
        """Carry one call down the walk and back. Every refusal is an answer.

        `conversation` is the client's end while the call runs; without one it hears nothing.

        Raises CancelledError when the client goes away; the ledger is closed before.
        """
        step = Step(
            id=new_id("stp"),
            call=call,
            principal=caller.principal,
            session=caller.session,
            epoch=self._kill_switch.state.epoch,
            mode=caller.session.mode,
        )
        with self._metrics.in_flight(), self._flights.track(step.id, step.scopes) as flight:
            try:
                client = conversation or Silence(caller.session.id)
                answer = await self._walk(step, flight, client)
            except StoreUnavailable:
                answer = store_unavailable(step, sent=flight.sent)
        self._metrics.answered(answer.outcome, call.door, call.resource_id)
        if answer.outcome is Outcome.DENIED:
            self._metrics.refused(answer.reasons[0].id)
        return answer

    async def _walk(self, step: Step, flight: Flight, client: Conversation) -> Answer:
        stages = self._stages
        try:
            step = await stages.admit(step)
            await stages.inspect.call(step)
            step = stages.resolve(step)
            step = await stages.decide(step)
            has_effect = enforce(step)
            wanted = stages.lend.request(step)
            if not has_effect:
                return await stages.settle.preview(step, stages.lend.preview(wanted))
            replayed = await stages.reserve(step, wanted)
            if replayed is not None:
                return replayed
        except Refused as refused:
            return await self._refuse(step, refused, flight)
        except asyncio.CancelledError:
            is_cut = flight.absorb()
            flight.settling()
            await stages.settle.abandon(step)
            if not is_cut:
                raise
            return await self._refuse(step, Refused.because(flight.cause), flight)
        return await stages.effect(step, wanted, flight, client)

    async def _refuse(self, step: Step, refused: Refused, flight: Flight) -> Answer:
        flight.settling()
        if flight.killed_by:
            await self._kill_switch.landed(flight, KillVerdict.NEVER_DISPATCHED)
        return await self._stages.settle.refuse(step, refused)

    async def visible(self, caller: Caller, server: str | None) -> tuple[VisibleTool, ...]:
        """Return the tools this caller may see. Raises Refused: killed, policy-unavailable."""
        if self._kill_switch.covers(_scopes(caller)):
            raise Refused.because("killed")
        return await self._stages.visible(caller, server)

    def offered(self, server: str | None) -> frozenset[tuple[str, str]]:
        """Return server and MCP method of every manifest entry, of one server or of all."""
        return self._stages.resolve.offered(server)

    def input_schema(self, server: str, tool: str) -> bytes | None:
        """Return the JSON Schema of a tool's arguments as pinned, None when it cannot be called."""
        return self._stages.resolve.input_schema(server, tool)

    def watch(
        self, server: str | None, session: str
    ) -> AbstractAsyncContextManager[AsyncIterator[tuple[str, Notification]]]:
        """Hear what servers say outside of calls to one client's session. See Watching."""
        servers = {name for name, _ in self._stages.resolve.offered(server)}
        return self._stages.watch(servers, session)

    async def forget(self, session: str) -> None:
        """Let servers close what they keep for a client's session that has ended."""
        await self._stages.watch.forget(session)

    async def reject(self, error: BadRequest, caller: Caller | None, door: Door) -> None:
        """Write the audit record of a malformed request. Raises StoreUnavailable."""
        await self._stages.settle.reject(error, caller, door, self._kill_switch.state.epoch)

    async def open_session(self, token: str, request: SessionRequest) -> OpenedSession:
        """Open a session for an agent token.

        Raises Refused: not-authenticated, killed, draining, agent-locked, too-many-sessions.
        """
        principal = self._stages.authenticate.principal(token)
        if self._kill_switch.covers(agent_scopes(principal)):
            raise Refused.because("killed")
        if self._stages.admit.draining:
            raise Refused.because("draining")
        return await self._stages.desk.open(principal, request)

    async def end_session(self, caller: Caller, session_id: str) -> None:
        """End one of the caller's sessions. Raises Refused: session-closed."""
        await self._stages.desk.end(caller.principal, session_id)

    def stream(self, caller: Caller) -> AbstractContextManager[asyncio.Event]:
        """Register a client's stream; the event is set when it has to close.

        Raises Refused: killed.
        """
        scopes = _scopes(caller)
        if self._kill_switch.covers(scopes):
            raise Refused.because("killed")
        return self._flights.stream(scopes)

    def ready(self) -> bool:
        """Whether new calls are taken."""
        return not self._stages.admit.draining


def _scopes(caller: Caller) -> tuple[Scope, ...]:
    principal = caller.principal
    return scopes_of(principal.tenant, principal.agent, caller.session.id)
