"""Stages 8 to 10 of a reserved call: lend, send, settle; every way out closes the ledger."""

import asyncio
from dataclasses import replace

from credentials.base import Lease, LeaseRequest
from proxy.errors import OutcomeUnknown, Refused, StoreUnavailable, UpstreamFailed
from proxy.killswitch.inflight import Flight
from proxy.killswitch.switch import KillSwitch
from proxy.model.kill import KillVerdict
from proxy.model.ledger import Outcome
from proxy.model.reasons import reason
from proxy.model.step import Answer, Step
from proxy.pipeline.converse import Converse, GuardedConversation
from proxy.pipeline.dispatch import Dispatch
from proxy.pipeline.filter import Filtering, ResponseFilter
from proxy.pipeline.lease import Lending
from proxy.pipeline.settle import Ending, Settling
from proxy.upstream.base import UpstreamResult
from proxy.upstream.conversation import Conversation

_VERDICT_OF = {
    Outcome.DONE: KillVerdict.DONE,
    Outcome.INPUT_REQUIRED: KillVerdict.FAILED,
    Outcome.FAILED: KillVerdict.FAILED,
    Outcome.UNKNOWN: KillVerdict.UNKNOWN,
}


class Effect:
    """What happens once a call is reserved."""

    def __init__(
        self,
        lending: Lending,
        dispatch: Dispatch,
        response_filter: ResponseFilter,
        settling: Settling,
        kill_switch: KillSwitch,
        converse: Converse,
    ) -> None:
        self._converse = converse
        self._lending = lending
        self._dispatch = dispatch
        self._filter = response_filter
        self._settling = settling
        self._kill_switch = kill_switch

    def settled_by(self, settling: Settling) -> "Effect":
        """Return the same effect, with another way to close."""
        parts = (self._lending, self._dispatch, self._filter, settling, self._kill_switch)
        return Effect(*parts, self._converse)

    async def __call__(
        self,
        step: Step,
        wanted: tuple[str, LeaseRequest] | None,
        flight: Flight,
        client: Conversation,
    ) -> Answer:
        """Lend, send and settle. Raises StoreUnavailable, CancelledError (settled before).

        `client` is the bare end of the conversation; what passes to and fro is guarded here.
        """
        lease: Lease | None = None
        try:
            lease = await self._lending.mint(step, wanted)
            filtering = self._filter.opened(step, lease)
            conversation = self._converse(step, client, filtering)
            result = await self._dispatch(step, lease, flight, conversation)
            flight.settling()
            ending = await _shown(conversation, filtering, result)
        except Refused as refused:
            ending = _refused(refused, flight)
        except UpstreamFailed:
            ending = Ending(Outcome.FAILED, (reason("upstream-failed"),))
        except OutcomeUnknown:
            ending = Ending(Outcome.UNKNOWN, (reason("outcome-unknown"),))
        except StoreUnavailable:
            flight.settling()
            await self._finish(step, _unwritten(flight), flight, lease)
            raise
        except asyncio.CancelledError:
            is_cut = flight.absorb()
            flight.settling()
            answer = await self._finish(step, _ending(flight, is_cut=is_cut), flight, lease)
            if is_cut:
                return answer
            raise
        flight.settling()
        return await self._finish(step, ending, flight, lease)

    async def _finish(
        self, step: Step, ending: Ending, flight: Flight, lease: Lease | None
    ) -> Answer:
        try:
            answer = await self._settling.close(step, ending)
        finally:
            await self._lending.take_back(lease)
        if flight.killed_by:
            never = ending.outcome is Outcome.FAILED and not flight.sent
            verdict = KillVerdict.NEVER_DISPATCHED if never else _VERDICT_OF[ending.outcome]
            await self._kill_switch.landed(flight, verdict)
        return answer


async def _shown(
    conversation: GuardedConversation, filtering: Filtering, result: UpstreamResult
) -> Ending:
    """Let the agent see of a result what it may."""
    try:
        await conversation.check_inputs(result.result)
        shown = await filtering.result(result.result)
    except Refused as refused:
        outcome = Outcome.FAILED if result.needs_input else Outcome.DONE
        return Ending(outcome, refused.refusal.reasons, task_id=result.task_id)
    if shown is not result.result:
        result = replace(result, result=shown)
    return Ending(_outcome_of(result), shown=result, task_id=result.task_id)


def _outcome_of(result: UpstreamResult) -> Outcome:
    if result.needs_input:
        return Outcome.INPUT_REQUIRED
    return Outcome.FAILED if result.is_error else Outcome.DONE


def _refused(refused: Refused, flight: Flight) -> Ending:
    """Return how a call ended that was refused: before its first byte, or on the way back."""
    reasons = refused.refusal.reasons
    if flight.sent:
        return Ending(Outcome.UNKNOWN, reasons)
    return Ending(Outcome.FAILED, reasons, refused=True)


def _unwritten(flight: Flight) -> Ending:
    """Return how a call ended that the ledger failed on the way: unless sent, it never happened."""
    outcome = Outcome.UNKNOWN if flight.sent else Outcome.FAILED
    return Ending(outcome, (reason("store-unavailable"),))


def _ending(flight: Flight, *, is_cut: bool) -> Ending:
    """Return how a cancelled call has ended: unknown as soon as a byte was sent."""
    cause = reason(flight.cause) if is_cut else reason("outcome-unknown")
    if not flight.sent:
        return Ending(Outcome.FAILED, (cause,), refused=is_cut)
    reasons = (cause, reason("outcome-unknown")) if is_cut else (cause,)
    return Ending(Outcome.UNKNOWN, reasons)
