"""Calls that recovery makes: a step sent again, or looked for. Guarded as any call of its agent.

What fills `proxy.chain.guarded.GuardedCall`. A further attempt walks the same stages as the first,
under the policy, pin, epoch and kill lease of now; only its reservation is another, because its
points are held already. A probe is a call of its own, by the whole walk.
"""

import asyncio
import json
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from datetime import UTC, datetime

import rfc8785

from proxy.chain.guarded import Found, Told
from proxy.chain.probe import arguments_of, verdict
from proxy.errors import Refused
from proxy.killswitch.inflight import Flight, InFlight
from proxy.killswitch.switch import KillSwitch
from proxy.model.call import Door, ToolCall
from proxy.model.kill import KillVerdict
from proxy.model.ledger import Intent, IntentState, Outcome, ReserveStatus
from proxy.model.recovery import OpenStep, Resumption
from proxy.model.session import Principal
from proxy.model.step import Answer, Step
from proxy.model.tool import Effect as ToolEffect
from proxy.model.tool import Probe, Recovery
from proxy.pipeline.authenticate import Caller
from proxy.pipeline.converse import Surveys
from proxy.pipeline.document import outcome_document, settled_document
from proxy.pipeline.effect import Effect
from proxy.pipeline.enforce import enforce
from proxy.pipeline.permit import Wanted
from proxy.pipeline.reserve import REFUSED_AS, decision_record, pending_of
from proxy.pipeline.run import Stages
from proxy.pipeline.settle import Ending, Settling, answer_of
from proxy.stores.base import Store
from proxy.upstream.conversation import Silence

# Nothing is wrong with the call: the same may be let through a little later.
_NOT_NOW = frozenset(
    {
        "draining",
        "identity-unavailable",
        "kill-lease-expired",
        "killed",
        "policy-unavailable",
        "store-unavailable",
        "tool-quarantined",
        "unknown-tool",
        "credential-unavailable",
        "upstream-failed",
    }
)


class Attempts(Settling):
    """Answers a further attempt and leaves the ledger to recovery, which knows whose step it is.

    An attempt that failed on its way says nothing of those before it.
    """

    async def close(self, step: Step, ending: Ending) -> Answer:
        """Return the answer."""
        return answer_of(step, ending)


@dataclass(frozen=True, slots=True)
class Ground:
    """What the calls stand on.

    `run` is the whole walk. `reaches` tells whether this process can ask the tool of an intent:
    another process's own child is not it. `trusts_issuers`: agents may be known by a token only.
    """

    stages: Stages
    effect: Effect
    store: Store
    kill_switch: KillSwitch
    flights: InFlight
    surveys: Surveys
    run: Callable[[Caller, ToolCall], Awaitable[Answer]]
    reaches: Callable[[Intent], bool]
    trusts_issuers: bool = False


class GuardedCalls:
    """See the port."""

    def __init__(self, ground: Ground) -> None:
        self._on = ground

    async def probe(self, step: OpenStep) -> Told:
        """See the port."""
        intent = step.row.intent
        recipe = self._recipe(intent)
        if isinstance(recipe, str):
            return Told(Found.REFUSED, recipe)
        asked = arguments_of(recipe, intent.arguments)
        caller = await self._caller(intent)
        if asked is None or caller is None:
            return Told(Found.REFUSED, "no-probe" if asked is None else "session-closed")
        answer = await self._on.run(caller, self._call(intent.server, recipe.tool, asked))
        if answer.result is None or answer.outcome not in (Outcome.DONE, Outcome.FAILED):
            return _unanswered(answer)
        is_error = answer.outcome is Outcome.FAILED
        found = verdict(recipe, intent.arguments, answer.result, is_error=is_error)
        return Told(found, "probe" if found is not Found.SILENT else "probe-unclear")

    async def again(self, step: OpenStep, by: str) -> Told:
        """See the port. A later round of a call is not sent again: who would answer the tool?"""
        intent = step.row.intent
        if intent.continues or not self._on.reaches(intent):
            return Told(Found.REFUSED, "later-round" if intent.continues else "out-of-reach")
        caller = await self._caller(intent)
        if caller is None:
            return Told(Found.REFUSED, "session-closed")
        attempt = self._step(intent, caller)
        with self._on.flights.track(attempt.id, attempt.scopes) as flight:
            flight.sent = True  # by an earlier attempt, as far as anybody knows
            try:
                attempt, wanted = await self._allowed(attempt)
                await self._resumed(attempt, wanted, by)
            except Refused as refused:
                return _refused(refused.refusal.reasons[0].id)
            except asyncio.CancelledError:
                return await self._cut(flight)
            client = Silence(intent.session_id)
            answer = await self._on.effect(attempt, wanted, flight, client)
        if answer.result is None or answer.outcome not in (Outcome.DONE, Outcome.FAILED):
            return _unanswered(answer)
        found = Found.DONE if answer.outcome is Outcome.DONE else Found.FAILED
        return Told(found, "sent-again", outcome_document(answer) if step.key else None)

    def answer(self, step: OpenStep, state: IntentState) -> bytes | None:
        """See the port."""
        return settled_document(step.row, state)

    def _recipe(self, intent: Intent) -> Probe | str:
        """Return how to look for a call, or why that cannot be done."""
        manifests = self._on.stages.resolve.manifests
        manifest = manifests.get((intent.server, intent.tool))
        if manifest is None or manifest.probe is None:
            return "no-probe"
        asked = manifests.get((intent.server, manifest.probe.tool))
        if asked is None or asked.effect is not ToolEffect.READ:
            return "no-probe"
        return manifest.probe if self._on.reaches(intent) else "out-of-reach"

    async def _caller(self, intent: Intent) -> Caller | None:
        """Return whose call it was: as the settings have the agent now, or as it had signed in.

        What a sidecar says of the roles of an agent is good for its own tools only, not for a call
        that this process sends with its own credentials.
        """
        session = await self._on.store.session(intent.session_id)
        if session is None or not session.is_open_at(datetime.now(UTC)):
            return None
        principal = self._on.stages.authenticate.owner(session)
        is_of_a_sidecar = "/" in intent.holder
        if principal is None and self._on.trusts_issuers and not is_of_a_sidecar:
            principal = Principal(intent.tenant, intent.agent, intent.roles, intent.mode)
        return Caller(principal, session) if principal else None

    def _call(self, server: str, tool: str, asked: dict[str, object]) -> ToolCall:
        surveys = self._on.surveys
        return ToolCall(
            server=server,
            tool=tool,
            arguments=rfc8785.dumps(asked),  # type: ignore[arg-type]  # JSON, from JSON
            door=Door.CALLS,
            urls=surveys.urls(asked),
            flags=surveys.flags(asked),
        )

    def _step(self, intent: Intent, caller: Caller) -> Step:
        arguments, surveys = json.loads(intent.arguments), self._on.surveys
        call = ToolCall(
            server=intent.server,
            tool=intent.tool,
            arguments=intent.arguments,
            door=Door.CALLS,
            urls=surveys.urls(arguments),
            flags=surveys.flags(arguments),
            extras=intent.extras,
            meta=intent.meta,
        )
        return Step(
            id=intent.step_id,
            call=call,
            principal=caller.principal,
            session=caller.session,
            epoch=self._on.kill_switch.state.epoch,
            mode=caller.session.mode,
        )

    async def _allowed(self, step: Step) -> tuple[Step, Wanted]:
        """Take the attempt down the walk to what it is lent. Raises Refused."""
        stages = self._on.stages
        step = await stages.admit(step)
        await stages.inspect.call(step)
        await stages.resolve.fresh(step.call.server)
        step = await stages.decide(stages.resolve(step))
        manifest = step.manifest
        is_keyed = manifest is not None and manifest.recovery is Recovery.IDEMPOTENCY_KEY
        if not enforce(step) or not is_keyed:
            raise Refused.because("default-deny")
        return step, stages.lend.request(step)

    async def _resumed(self, step: Step, wanted: Wanted, by: str) -> None:
        """Make the attempt durable, with its decision. Raises Refused."""
        now = datetime.now(UTC)
        await self._on.store.record(decision_record(step, now))
        resumption = Resumption(
            step_id=step.id,
            by=by,
            tenant=step.principal.tenant,
            agent=step.principal.agent,
            session_id=step.session.id,
            scopes=step.scopes,
            epoch=step.epoch,
            at=now,
            credential=pending_of(wanted, now),
        )
        status = await self._on.store.resume(resumption)
        if status is not ReserveStatus.RESERVED:
            raise Refused.because(REFUSED_AS[status])

    async def _cut(self, flight: Flight) -> Told:
        """Take back a kill's cut; any other cancellation goes on."""
        is_cut = flight.absorb()
        flight.settling()
        if not is_cut:
            raise asyncio.CancelledError
        if flight.killed_by:
            await self._on.kill_switch.landed(flight, KillVerdict.UNKNOWN)
        return Told(Found.NOT_NOW, flight.cause)


def _unanswered(answer: Answer) -> Told:
    """Return what a call without a tool's answer tells."""
    why = answer.reasons[0].id if answer.reasons else "no-answer"
    if answer.outcome is Outcome.DENIED or why != "outcome-unknown":
        return _refused(why)
    return Told(Found.SILENT, why)


def _refused(why: str) -> Told:
    if why == "idempotency-key-in-use":
        return Told(Found.LOST, why)
    return Told(Found.NOT_NOW if why in _NOT_NOW else Found.REFUSED, why)
