"""Steps that a gateway under test has left unknown, and what changes before they are recalled."""

from dataclasses import replace
from datetime import UTC, datetime, timedelta
from typing import Any

from proxy.errors import OutcomeUnknown
from proxy.model.kill import GLOBAL
from proxy.model.ledger import Outcome
from proxy.model.recovery import OpenStep, Take
from proxy.model.tool import Condition, Match, Probe, Recovery
from proxy.pipeline.again import Attempts, Ground, GuardedCalls
from proxy.pipeline.converse import Surveys
from proxy.upstream.base import UpstreamResult
from tests.harness.pipeline_parts import allow
from tests.unit.proxy.pipeline.conftest import House

TEXT = Condition("/text", Match.ARGUMENT, "/path")
LOOK = Probe("read_file", (("path", "/path"),), (TEXT,))


def guarded(house: House, **changes: Any) -> GuardedCalls:
    """Return what recovery is given."""
    stages = house.stages
    ground = Ground(
        stages=stages,
        effect=stages.effect.settled_by(Attempts(house.store)),
        store=house.store,
        kill_switch=house.kill_switch,
        flights=house.flights,
        surveys=Surveys(lambda _: (), lambda _: ()),
        run=house.pipeline.run,
        reaches=lambda _: True,
    )
    return GuardedCalls(replace(ground, **changes))


async def left(house: House, **manifest: Any) -> OpenStep:
    """Have a call go out and never be answered; take its step."""
    changes = {"recovery": Recovery.IDEMPOTENCY_KEY} | manifest
    known = dict(house.stages.resolve.manifests)
    known["repo", "write_file"] = replace(known["repo", "write_file"], **changes)
    house.stages.resolve.replace(known)
    house.tool.answer = OutcomeUnknown("cut off")
    answer = await house.call(idempotency_key="k1", extras=b'{"task":{}}')
    assert answer.outcome is Outcome.UNKNOWN
    house.tool.answer = UpstreamResult(b'{"text":"a"}')
    now = datetime.now(UTC)
    (step,) = await house.store.take_unsettled(Take("me", now, now + timedelta(minutes=9), 0.0))
    return step


async def killed(house: House) -> None:
    """Halt everything."""
    await house.kill_switch.kill((GLOBAL,), "oncall", "drill")


async def session_ended(house: House) -> None:
    """End the agent's session."""
    caller = await house.caller()
    await house.store.end_session(caller.session.id, datetime.now(UTC))


async def denied(house: House) -> None:
    """Have the policy change its mind."""
    house.engine.decision = allow(verdict="deny")
