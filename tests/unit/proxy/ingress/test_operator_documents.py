import json
from datetime import UTC, datetime, timedelta, timezone

from proxy.ingress.operator_documents import (
    decision_document,
    order_document,
    report_document,
    scope_documents,
    session_document,
    step_document,
    time_text,
)
from proxy.killswitch.switch import KillReport
from proxy.model.kill import GLOBAL, KillAction, KillOrder, Scope, ScopeKind
from proxy.model.lease import Effectiveness, HolderState
from proxy.model.ledger import IntentState
from tests.harness.operators import Plane

NOON = datetime(2026, 11, 22, 12, 0, 0, 123_456, tzinfo=UTC)


def test_times_are_rfc_3339_in_utc() -> None:
    """Whatever zone they were written in; no time is null."""
    assert time_text(NOON) == "2026-11-22T12:00:00.123Z"
    assert time_text(NOON.astimezone(timezone(timedelta(hours=5)))) == "2026-11-22T12:00:00.123Z"
    assert time_text(None) is None


def test_scopes_are_kind_and_id() -> None:
    """The form a kill takes them in."""
    assert scope_documents([GLOBAL, Scope(ScopeKind.TOOL, "a/b")]) == [
        {"kind": "global", "id": ""},
        {"kind": "tool", "id": "a/b"},
    ]


def test_a_report_of_a_committed_kill() -> None:
    """With how those stand to it who may start calls."""
    report = KillReport("kil_1", (GLOBAL,), 7, NOON, 3)
    standing = {"me": HolderState.ACKED, "cut off": HolderState.OUTSTANDING}
    assert report_document(report, Effectiveness(standing, NOON)) == {
        "epoch": 7,
        "order_id": "kil_1",
        "committed": True,
        "committed_at": "2026-11-22T12:00:00.123Z",
        "halted_locally": True,
        "effective": False,
        "deadline": "2026-11-22T12:00:00.123Z",
        "scopes": [{"kind": "global", "id": ""}],
        "in_flight": 3,
        "holders": {"acked": 1, "expired": 0, "outstanding": 1},
    }


def test_a_report_of_a_kill_that_is_not_committed() -> None:
    """It halts here; nobody else can know of it yet."""
    report = KillReport("kil_1", (GLOBAL,), None, None, 0)
    document = report_document(report, None)
    assert (document["epoch"], document["committed"], document["halted_locally"]) == (
        None,
        False,
        True,
    )
    assert (document["effective"], document["deadline"]) == (False, None)


def test_an_order_says_who_and_why() -> None:
    """Everything of it, with the time."""
    order = KillOrder("kil_1", KillAction.KILL, (GLOBAL,), "oncall", "runaway", NOON)
    assert order_document(order) == {
        "order_id": "kil_1",
        "scopes": [{"kind": "global", "id": ""}],
        "actor": "oncall",
        "reason": "runaway",
        "at": "2026-11-22T12:00:00.123Z",
    }


async def test_rows_of_the_ledger_are_json_without_arguments(plane: Plane) -> None:
    """Hashes tell calls apart; what was in them is not for this port."""
    session = await plane.session()
    await plane.step(session)
    [row] = await plane.store.steps(session.id, (IntentState.INTENT,), 10)
    [record] = await plane.store.decisions(10, ("*",))
    step, decision = step_document(row), decision_document(record)
    assert (step["tool"], step["state"], step["risk"]) == ("repo/git_commit", "intent", 5)
    assert step["arguments_sha256"] == decision["arguments_sha256"] == "ab" * 32
    assert abs(step["at_epoch_s"] - row.intent.at.timestamp()) < 0.001
    assert decision["reasons"][0]["id"] == "write-in-workspace"
    assert "eyes only" not in json.dumps([step, decision, session_document(session)])
