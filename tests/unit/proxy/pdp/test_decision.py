"""The decision as it must be, to be one: everything else is a deny (attacks 38, 39 and 44)."""

import json
import re
from collections.abc import Callable
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import jiter
import pytest
from hypothesis import given
from hypothesis import strategies as st

from proxy.errors import PolicyInvalid, PolicyUnavailable, Refused
from proxy.model.decision import Decision, Grant, Obligation, Reason, Verdict
from proxy.pdp import decision as unit
from proxy.pdp.base import DECISION_PATH, VISIBLE_PATH, QueryAnswer, StagedBundle, nothing
from proxy.pdp.decision import MAX_ITEMS, DecisionPoint, parse_decision, parse_visible

KNOWN = frozenset({"mask", "dry_run"})
GRANT = {"broker": "jwt", "audience": "https://api", "scope": ["repo:write"], "ttl": 30}
ALLOW = {
    "verdict": "allow",
    "reasons": [{"id": "write-in-workspace", "message": "The path is in the workspace."}],
    "obligations": [{"type": "mask", "path": "/result/email"}],
    "grant": GRANT,
    "cost": {"risk": 5},
    "labels": ["untrusted_content"],
}


def parse(result: Any) -> Decision:
    """Parse as decision `dec_1` of revision `r1`."""
    return parse_decision(result, "dec_1", "r1", KNOWN)


def test_a_whole_decision_is_understood() -> None:
    """Every member arrives."""
    decision = parse(ALLOW)
    assert decision == Decision(
        id="dec_1",
        verdict=Verdict.ALLOW,
        reasons=(Reason("write-in-workspace", "The path is in the workspace."),),
        policy_revision="r1",
        obligations=(Obligation("mask", {"path": "/result/email"}),),
        grant=Grant("jwt", "https://api", ("repo:write",), 30),
        risk=5,
        labels=("untrusted_content",),
    )


@pytest.mark.parametrize("verdict", list(Verdict))
def test_every_verdict_is_understood(verdict: Verdict) -> None:
    """With the least there can be beside it."""
    least: dict[str, Any] = {"obligations": [], "grant": None, "cost": {"risk": 0}, "labels": []}
    assert parse(ALLOW | least | {"verdict": verdict.value}).verdict is verdict


NOT_DECISIONS: list[Any] = [
    None,
    True,
    "allow",
    1,
    [],
    [ALLOW],
    {},
    {"allow": True},
    {"result": ALLOW},
    *({key: ALLOW[key] for key in ALLOW if key != gone} for gone in ALLOW),
    ALLOW | {"more": 1},
    ALLOW | {"Verdict": "allow"},
]

WRONG: dict[str, list[Any]] = {
    "verdict": [None, True, "", "ALLOW", "permit", ["allow"], {"allow": True}],
    "reasons": [
        *(None, [], {}, "reason", ["reason"]),
        [{"id": "x"}],
        [{"id": "x", "message": "m", "more": 1}],
        [{"id": "Not-Kebab", "message": "m"}],
        [{"id": "not_kebab", "message": "m"}],
        [{"id": "-x", "message": "m"}],
        [{"id": "x\n", "message": "m"}],
        [{"id": "", "message": "m"}],
        [{"id": "x" * 65, "message": "m"}],
        [{"id": "x", "message": "m" * 501}],
        [{"id": "x", "message": None}],
        [{"id": 1, "message": "m"}],
        [{"id": "x", "message": "m"}] * (MAX_ITEMS + 1),
    ],
    "obligations": [None, {}, ["dry_run"], [{}], [{"type": None}], [{"type": ["dry_run"]}], [[]]],
    "grant": [
        *(False, [], {}, "jwt"),
        {"broker": "jwt", "audience": "https://api", "scope": []},
        GRANT | {"more": 1},
        GRANT | {"broker": ""},
        GRANT | {"broker": None},
        GRANT | {"audience": ["a", "b"]},
        GRANT | {"audience": "x" * 513},
        GRANT | {"scope": "repo:write"},
        GRANT | {"scope": ["*"]},
        GRANT | {"scope": ["repo:*"]},
        GRANT | {"scope": ["repo:read repo:write"]},
        GRANT | {"scope": [""]},
        GRANT | {"scope": [1]},
        GRANT | {"scope": ['a"b']},
        GRANT | {"ttl": 0},
        GRANT | {"ttl": 61},
        GRANT | {"ttl": 30.0},
        GRANT | {"ttl": True},
        GRANT | {"ttl": "30"},
    ],
    "cost": [
        *(None, 5, {}),
        {"risk": -1},
        {"risk": 1_000_001},
        {"risk": 10**30},
        {"risk": 5.0},
        {"risk": True},
        {"risk": False},
        {"risk": "5"},
        {"risk": None},
        {"risk": 1, "more": 1},
    ],
    "labels": [None, "label", {}, [1], [None], [""], ["a b"], ["x" * 65], ["x"] * 65],
}


@pytest.mark.parametrize("result", NOT_DECISIONS, ids=repr)
def test_a38_what_is_not_exactly_a_decision_denies(result: Any) -> None:
    """Undefined, another shape, a member missing or too many: deny with policy-unavailable."""
    decision = parse(result)
    assert decision.verdict is Verdict.DENY
    assert [given.id for given in decision.reasons] == ["policy-unavailable"]
    assert (decision.id, decision.policy_revision) == ("dec_1", "r1")


@pytest.mark.parametrize(
    ("member", "value"), [(member, value) for member in WRONG for value in WRONG[member]]
)
def test_a44_a_member_of_another_shape_denies(member: str, value: Any) -> None:
    """One wrong value is enough, and nothing of the rest survives."""
    decision = parse(ALLOW | {member: value})
    assert decision == parse(None)


@pytest.mark.parametrize(
    "obligations",
    [[{"type": "notify"}], [{"type": "dry_run"}, {"type": "Mask"}], [{"type": "mask:v2"}]],
)
@pytest.mark.parametrize("verdict", list(Verdict))
def test_a44_an_obligation_nobody_can_meet_denies(
    obligations: list[dict[str, str]], verdict: str
) -> None:
    """Obligations must be understood, on every verdict."""
    decision = parse(ALLOW | {"obligations": obligations, "verdict": verdict})
    assert decision.verdict is Verdict.DENY
    assert [given.id for given in decision.reasons] == ["obligation-unknown"]
    assert decision.grant is None


JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False) | st.text(max_size=8),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=8), inner),
)


@given(JSON, st.sampled_from([*ALLOW, "more"]))
def test_no_value_of_any_member_raises(value: Any, member: str) -> None:
    """Whatever a policy says is a decision or a deny."""
    decision = parse(jiter.from_json(json.dumps(ALLOW | {member: value}).encode()))
    assert decision.verdict in Verdict
    assert decision.reasons


def test_obligations_cannot_be_changed_afterwards() -> None:
    """What was decided stays as it was decided."""
    fields: Any = parse(ALLOW).obligations[0].fields
    with pytest.raises(TypeError):
        fields["path"] = "/other"


def test_the_log_names_the_member_and_not_its_content(caplog: pytest.LogCaptureFixture) -> None:
    """People can find the fault; an argument's value is not repeated."""
    parse(ALLOW | {"labels": ["s3cret value"]})
    assert "not a decision: labels" in caplog.text
    assert "s3cret" not in caplog.text


def test_visible_tools_are_a_set() -> None:
    """`server/tool` each."""
    assert parse_visible(["repo/git_log", "repo/git_log", "a/b.c"]) == {"repo/git_log", "a/b.c"}


@pytest.mark.parametrize(
    "result", [None, {}, "repo/git_log", {"repo/git_log": True}, [1], ["git_log"], ["a/b/c"], [""]]
)
def test_what_is_not_a_list_of_tools_is_refused(result: Any) -> None:
    """Nothing is guessed about what may be seen."""
    with pytest.raises(PolicyUnavailable):
        parse_visible(result)


def test_decision_ids_are_unguessable_unique_and_sort_by_time(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """`dec_` and 24 URL-safe characters."""
    clock = iter(range(10**18, 10**18 + 300 * 10**9, 10**9))
    monkeypatch.setattr(unit, "time", SimpleNamespace(time_ns=lambda: next(clock)))
    ids = [unit.new_decision_id() for _ in range(300)]
    assert all(re.fullmatch(r"dec_[A-Za-z0-9_-]{24}", given) for given in ids)
    assert ids == sorted(ids)
    assert len({given[-16:] for given in ids}) == 300


class Engine:
    """Answers what it is told to, and remembers what it was asked."""

    def __init__(self, answer: QueryAnswer | Exception) -> None:
        self.answer = answer
        self.asked: list[tuple[str, bytes, float]] = []
        self.replaced: list[StagedBundle] = []

    async def start(self, bundle: StagedBundle) -> None: ...

    async def stop(self) -> None: ...

    async def replace(self, bundle: StagedBundle, swapped: Callable[[], None] = nothing) -> None:
        if isinstance(self.answer, PolicyInvalid):
            raise self.answer
        self.replaced.append(bundle)
        swapped()

    async def query(self, path: str, body: bytes, deadline_s: float) -> QueryAnswer:
        self.asked.append((path, body, deadline_s))
        if isinstance(self.answer, Exception):
            raise self.answer
        return self.answer


FIRST, SECOND = StagedBundle(Path("/first"), "r1"), StagedBundle(Path("/second"), "r2")


def point(answer: QueryAnswer | Exception) -> tuple[DecisionPoint, Engine]:
    """Make a decision point whose engine gives one answer."""
    engine = Engine(answer)
    return DecisionPoint(engine, FIRST, 0.25, KNOWN), engine


async def test_a_decision_carries_the_revision_that_gave_it() -> None:
    """During a reload that is the engine's word, not our belief."""
    policy, engine = point(QueryAnswer(ALLOW, "r2"))
    decision = await policy.decide(b"{}")
    assert decision.verdict is Verdict.ALLOW
    assert decision.policy_revision == "r2"
    assert engine.asked == [(DECISION_PATH, b"{}", 0.25)]


async def test_a39_no_answer_is_a_deny() -> None:
    """The pipeline never sees an exception, and there is no second try."""
    policy, engine = point(PolicyUnavailable("OPA did not answer within 0.25 s"))
    decision = await policy.decide(b"{}")
    assert decision.verdict is Verdict.DENY
    assert [given.id for given in decision.reasons] == ["policy-unavailable"]
    assert decision.policy_revision == "r1"
    assert len(engine.asked) == 1


async def test_visible_asks_the_other_entry_point() -> None:
    """A list of tools is a set."""
    policy, engine = point(QueryAnswer(["repo/git_log"], "r1"))
    assert await policy.visible(b"{}") == {"repo/git_log"}
    assert engine.asked[0][0] == VISIBLE_PATH


@pytest.mark.parametrize("answer", [PolicyUnavailable("late"), QueryAnswer(None, "r1")])
async def test_no_list_is_a_refusal(answer: QueryAnswer | Exception) -> None:
    """An empty list would claim that there are no tools."""
    policy, _ = point(answer)
    with pytest.raises(Refused, match="policy-unavailable"):
        await policy.visible(b"{}")


async def test_a_reload_changes_the_revision() -> None:
    """The new bundle is in force when the engine has it, and what belongs to it changes then."""
    policy, engine = point(QueryAnswer(ALLOW, "r1"))
    seen: list[str] = []
    await policy.reload(SECOND, lambda: seen.append(policy.revision))
    assert engine.replaced == [SECOND]
    assert seen == ["r2"]


async def test_a_failed_reload_keeps_the_revision() -> None:
    """The last good bundle stays in force."""
    policy, _ = point(PolicyInvalid("main.rego:3"))
    with pytest.raises(PolicyInvalid):
        await policy.reload(SECOND)
    assert policy.revision == "r1"
