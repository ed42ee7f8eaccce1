"""The walk of one tool call, in one function you can read aloud."""

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable, Mapping
from contextlib import AbstractAsyncContextManager, AbstractContextManager
from dataclasses import dataclass, replace

from proxy.errors import BadRequest, Refused, StoreUnavailable
from proxy.killswitch.inflight import Flight, InFlight
from proxy.killswitch.switch import KillSwitch
from proxy.model.call import Door, ToolCall
from proxy.model.decision import Verdict
from proxy.model.kill import KillVerdict, Scope, scopes_of
from proxy.model.ledger import Outcome
from proxy.model.mcp import Notification
from proxy.model.step import Answer, Step
from proxy.model.token import new_id
from proxy.model.tool import ToolManifest
from proxy.observability.metrics import Metrics
from proxy.pipeline.admit import Admission
from proxy.pipeline.approve import Approving
from proxy.pipeline.authenticate import Authenticator, Caller
from proxy.pipeline.decide import Decider
from proxy.pipeline.effect import Effect
from proxy.pipeline.enforce import enforce
from proxy.pipeline.health import Health
from proxy.pipeline.hooked import HookSessions
from proxy.pipeline.inspect import Inspection
from proxy.pipeline.lease import Lending
from proxy.pipeline.permit import Permits, Wanted, masked_call
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
    approve: Approving
    decide: Decider
    lend: Lending
    reserve: Reserving
    effect: Effect
    settle: Settling
    visible: Visibility
    desk: SessionDesk
    watch: Watching
    hooked: HookSessions
    permit: Permits
    health: Health


@dataclass(frozen=True, slots=True)
class Way:
    """The lower half of the walk: who reserves, and what is done then."""

    reserve: Callable[[Step, Wanted], Awaitable[Answer | None]]
    go: Callable[[Step, Wanted, Flight], Awaitable[Answer]]


class Pipeline:
    """The policy enforcement point, as every door uses it."""

    def __init__(
        self, stages: Stages, kill_switch: KillSwitch, flights: InFlight, metrics: Metrics
    ) -> None:
        self._stages = stages
        self._kill_switch = kill_switch
        self._flights = flights
        self._metrics = metrics
        metrics.count_flights(flights.__len__)

    async def authenticate(self, token: str) -> Caller:
        """Return who a token belongs to. Raises Refused, StoreUnavailable."""
        return await self._stages.authenticate.caller(token)

    async def run(
        self, caller: Caller, call: ToolCall, conversation: Conversation | None = None
    ) -> Answer:
        """Carry one call down the walk and back. Every refusal is an answer.

        `conversation` is the client's end while the call runs; without one it hears nothing. A call
        that a hook announced belongs to the session of that hook.

        Raises CancelledError when the client goes away; the ledger is closed before.
        """
        caller = await self._stages.hooked.joined(caller, call)
        client = conversation or Silence(caller.session.id)
        stages = self._stages

        async def send(step: Step, wanted: Wanted, flight: Flight) -> Answer:
            return await stages.effect(step, wanted, flight, client)

        return await self._walked(caller, call, Way(stages.reserve, send))

    async def permit(self, caller: Caller, call: ToolCall, *, carried: bool = False) -> Answer:
        """Take a call that an agent asks about by a hook down to a durable intent; send nothing.

        `carried`: the agent will send it through a door of ours, where it is decided again and
        becomes a step; here its decision is only recorded.
        """
        permit = self._stages.permit
        way = Way(permit.look if carried else permit.reserve, self._begin)
        return await self._walked(caller, call, way)

    async def _begin(self, step: Step, _wanted: Wanted, flight: Flight) -> Answer:
        try:
            return await self._stages.permit.begin(step, flight)
        except Refused as refused:
            await self._stages.settle.abandon(step)
            return await self._refuse(step, refused, flight)

    async def _walked(self, caller: Caller, call: ToolCall, way: Way) -> Answer:
        step = self._step(caller, call)
        with self._flights.track(step.id, step.scopes) as flight:
            try:
                answer = await self._walk(step, flight, way)
            except StoreUnavailable:
                answer = store_unavailable(step, sent=flight.sent)
        self._metrics.answered(answer.outcome, call.door, call.resource_id)
        if answer.outcome is Outcome.DENIED:
            self._metrics.refused(answer.reasons[0].id)
        return answer

    async def _walk(self, step: Step, flight: Flight, way: Way) -> Answer:
        stages = self._stages
        try:
            step = await stages.admit(step)
            await stages.inspect.call(step)
            step = await self._decided(step)
            has_effect = enforce(step)
            wanted = stages.lend.request(step)
            if not has_effect:
                return await stages.settle.preview(step, stages.lend.preview(wanted))
            replayed = await way.reserve(step, wanted)
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
        except StoreUnavailable:
            flight.settling()
            await stages.settle.abandon(step)  # its reservation may have been written all the same
            raise
        return await way.go(step, wanted, flight)

    async def _decided(self, step: Step) -> Step:
        """Resolve and decide; what a hook has to change in its call is decided on as changed."""
        stages = self._stages
        await stages.resolve.fresh(step.call.server)
        step = await stages.approve.find(stages.resolve(step))
        step = stages.approve.apply(await stages.decide(step))
        changed = masked_call(step)
        if changed is None:
            return step
        await stages.settle.asked(step)
        step = await stages.approve.find(stages.resolve(replace(step, call=changed)))
        step = stages.approve.apply(await stages.decide(step))
        if masked_call(step) is not None:
            raise Refused.because("obligation-unknown")
        return step

    def _step(self, caller: Caller, call: ToolCall) -> Step:
        return Step(
            id=new_id("stp"),
            call=call,
            principal=caller.principal,
            session=caller.session,
            epoch=self._kill_switch.state.epoch,
            mode=caller.session.mode,
        )

    async def _refuse(self, step: Step, refused: Refused, flight: Flight) -> Answer:
        flight.settling()
        if flight.killed_by:
            await self._kill_switch.landed(flight, KillVerdict.NEVER_DISPATCHED)
        if refused.refusal.verdict is Verdict.HOLD:
            return await self._stages.approve.hold(step)
        return await self._stages.settle.refuse(step, refused)

    async def visible(self, caller: Caller, server: str | None) -> tuple[VisibleTool, ...]:
        """Return the tools whose calls would not be refused whatever their arguments (I21).

        Raises Refused as every call would be: killed, draining, agent-locked, policy-unavailable.
        """
        stages = self._stages
        _, mode = await stages.admit.standing(caller.principal, caller.session, _scopes(caller))
        tools = await stages.visible(caller, server, mode)
        return tuple(tool for tool in tools if not self._kill_switch.covers((tool.scope,)))

    def manifests(self) -> Mapping[tuple[str, str], ToolManifest]:
        """Return the reviewed manifests by server and tool; a reload makes another mapping."""
        return self._stages.resolve.manifests

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

    async def check(self, caller: Caller) -> None:
        """Look whether an agent may go on. Raises Refused: killed, draining, agent-locked."""
        await self._stages.admit(self._step(caller, ToolCall("", "", b"{}", Door.HOOKS)))

    @property
    def hooked(self) -> HookSessions:
        """The sessions and tool uses that agents with hooks name themselves."""
        return self._stages.hooked

    @property
    def permits(self) -> Permits:
        """What agents with hooks say of the tools they ran."""
        return self._stages.permit

    async def reject(self, error: BadRequest, caller: Caller | None, door: Door) -> None:
        """Write the audit record of a malformed request. Raises StoreUnavailable."""
        await self._stages.settle.reject(error, caller, door, self._kill_switch.state.epoch)

    async def open_session(self, token: str, request: SessionRequest) -> OpenedSession:
        """Open a session for an agent token.

        Raises Refused: not-authenticated, killed, draining, agent-locked, too-many-sessions.
        """
        principal = await self._stages.authenticate.principal(token)
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

    async def healthy(self) -> bool:
        """Whether new calls are taken, by a ledger that writes and a policy that answers."""
        return self.ready() and await self._stages.health()


def _scopes(caller: Caller) -> tuple[Scope, ...]:
    principal = caller.principal
    return scopes_of(principal.tenant, principal.agent, caller.session.id)
