from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest

from proxy.errors import Refused
from proxy.model.call import Door, ToolCall
from proxy.model.decision import Decision, Verdict
from proxy.model.kill import GLOBAL, Scope, ScopeKind
from proxy.model.ledger import Limits
from proxy.model.session import Mode, Principal
from proxy.pdp.base import StagedBundle
from proxy.pdp.decision import DecisionPoint
from proxy.pipeline.enforce import KNOWN_OBLIGATIONS
from proxy.pipeline.evaluate import NO_SESSION, Asked, Evaluator, Grounds
from tests.harness.pipeline_parts import REVISION, allow

LOOP = Asked("acme", "loop")
STRANGER = Asked("acme", "stranger", roles=("reader",))
NAMED = {("acme", "loop"): Principal("acme", "loop", ("maintainer",), Mode.READ_WRITE)}
OTHER = {"subject": {"type": "user"}, "context": {"ip": "192.0.2.1", "time": "never"}}


def limits(_tenant: str, _agent: str) -> Limits:
    return Limits(session_risk=100, agent_risk=200, window_s=3600)


@pytest.fixture
def evaluator(house: Any, tmp_path: Path) -> Evaluator:
    grounds = Grounds(
        admit=house.stages.admit,
        resolve=house.stages.resolve,
        sessions=house.store,
        limits=limits,
        named=lambda tenant, agent: NAMED.get((tenant, agent)),
        epoch=lambda: house.kill_switch.state.epoch,
    )
    bundle = StagedBundle(tmp_path, REVISION)
    return Evaluator(grounds, DecisionPoint(house.engine, bundle, 0.25, KNOWN_OBLIGATIONS))


def call(tool: str = "write_file", server: str = "repo", arguments: bytes = b'{"path":"a"}') -> Any:
    return ToolCall(server, tool, arguments, Door.CALLS)


async def asked_about(evaluator: Evaluator, house: Any, asked: Asked, **more: Any) -> Any:
    """Return what the policy was asked."""
    await evaluator.of_call(asked, call(**more))
    return house.engine.inputs[-1]


async def test_a_call_is_decided_and_nothing_is_done(evaluator: Evaluator, house: Any) -> None:
    """No session, no reservation, no record, nothing at the tool."""
    decision = await evaluator.of_call(LOOP, call())
    assert (decision.verdict, decision.risk) == (Verdict.ALLOW, 5)
    assert await house.store.sessions(10) == ()
    assert await house.store.decisions(10, ("*",)) == ()
    assert house.tool.received == []


async def test_the_policy_is_asked_what_a_call_asks_it(evaluator: Evaluator, house: Any) -> None:
    """The input of an evaluation is that of the call itself, but for ids and time."""
    mine = await asked_about(evaluator, house, LOOP)
    await house.call()
    theirs = house.engine.inputs[-1]
    for one in (mine, theirs):
        del one["context"]["time"], one["context"]["session"]["id"]
    assert mine == theirs


async def test_roles_of_a_named_agent_are_those_of_the_settings(
    evaluator: Evaluator, house: Any
) -> None:
    """Whoever asks cannot give it others; of an agent nobody names it has to say them."""
    greedy = replace(LOOP, roles=("admin",))
    assert (await asked_about(evaluator, house, greedy))["subject"]["roles"] == ["maintainer"]
    assert (await asked_about(evaluator, house, STRANGER))["subject"]["roles"] == ["reader"]


@pytest.mark.parametrize(
    ("session", "asked", "run"),
    [
        (Mode.READ_WRITE, None, "read_write"),
        (Mode.READ_WRITE, Mode.DRY_RUN, "dry_run"),
        (Mode.READ_ONLY, Mode.READ_WRITE, "read_only"),
    ],
)
async def test_a_mode_can_be_narrowed_only(
    evaluator: Evaluator, house: Any, session: Mode, asked: Mode | None, run: str
) -> None:
    """Never wider than the session's."""
    known = replace((await house.caller()).session, id="ses_1", mode=session, implicit=False)
    await house.store.open_session(known, "ab" * 32, 10)
    wanted = replace(LOOP, mode=asked, session_id="ses_1")
    told = await asked_about(evaluator, house, wanted)
    assert (told["context"]["session"]["mode"], told["context"]["session"]["id"]) == (run, "ses_1")


async def test_labels_are_added_to_those_of_the_agent(evaluator: Evaluator, house: Any) -> None:
    """What the ledger knows stays."""
    house.engine.decision = allow(labels=["untrusted_content"])
    await house.call()
    told = await asked_about(evaluator, house, replace(LOOP, labels=("pii",)))
    assert told["context"]["session"]["labels"] == ["pii", "untrusted_content"]


async def test_another_agents_session_is_nobodys(evaluator: Evaluator, house: Any) -> None:
    """Nor is one that does not exist, or has ended."""
    caller = await house.caller()
    theirs = replace(STRANGER, session_id=caller.session.id)
    await house.store.end_session(caller.session.id, datetime.now(UTC))
    for asked in (theirs, replace(LOOP, session_id="ses_none"), replace(theirs, name="loop")):
        with pytest.raises(Refused, match="session-closed"):
            await evaluator.of_call(asked, call())


@pytest.mark.parametrize(
    ("tool", "arguments", "reason"),
    [
        ("no_such_tool", b"{}", "unknown-tool"),
        ("write_file", b'{"path":7}', "arguments-invalid"),
        ("absent", b"{}", "unknown-tool"),
    ],
)
async def test_what_the_walk_refuses_is_refused(
    evaluator: Evaluator, house: Any, tool: str, arguments: bytes, reason: str
) -> None:
    """Before the policy, as for a call."""
    with pytest.raises(Refused, match=reason):
        await evaluator.of_call(LOOP, call(tool, arguments=arguments))
    assert house.engine.inputs == []


async def test_tools_of_hooks_are_asked_as_hooks_ask(evaluator: Evaluator, house: Any) -> None:
    """Their masks are on arguments; a path on a result cannot be met there."""
    told = await asked_about(evaluator, house, LOOP, tool="Read", server="claude-code")
    assert told["resource"]["id"] == "claude-code/Read"
    house.engine.decision = allow(obligations=[{"type": "mask", "path": "/result/x"}])
    with pytest.raises(Refused, match="obligation-unknown"):
        await evaluator.of_call(LOOP, call("Read", "claude-code"))


async def of_other(evaluator: Evaluator) -> Decision:
    return await evaluator.of_other(Asked("acme", "ann"), "doc-1", OTHER)


async def test_other_questions_get_our_time_and_revision(evaluator: Evaluator, house: Any) -> None:
    """Their context is passed on; what Detent knows itself cannot be said otherwise."""
    assert (await of_other(evaluator)).verdict is Verdict.ALLOW
    context = house.engine.inputs[-1]["context"]
    assert context["ip"] == "192.0.2.1"
    assert context["time"].startswith("20")
    assert (context["policy_revision"], context["epoch"]) == (REVISION, 0)


@pytest.mark.parametrize("scope", [GLOBAL, Scope(ScopeKind.TENANT, "acme")])
async def test_a_kill_is_a_deny_for_everybody(
    evaluator: Evaluator, house: Any, scope: Scope
) -> None:
    """One pull holds what others enforce, too."""
    await house.kill_switch.kill((scope,), "oncall", "now")
    with pytest.raises(Refused, match="killed"):
        await evaluator.of_call(LOOP, call())
    with pytest.raises(Refused, match="killed"):
        await of_other(evaluator)
    assert house.engine.inputs == []


def test_no_session_has_the_name_of_none() -> None:
    """Ids of sessions have a prefix."""
    assert not NO_SESSION.startswith("ses_")
