"""Rows and dataclasses, there and back."""

from dataclasses import replace
from datetime import UTC, datetime, timedelta, timezone

import pytest
from hypothesis import given
from hypothesis import strategies as st

from proxy.model.kill import KillEntry, KillOrder, Scope, ScopeKind
from proxy.stores import rows
from tests.harness.ledger import NOW, Call, alert, decision, kill, lift, session

TIMES = st.datetimes(timezones=st.sampled_from([UTC, timezone(timedelta(hours=5, minutes=30))]))
IDS = st.text(st.characters(codec="utf-8"), max_size=20)


@given(TIMES)
def test_a_time_comes_back_to_the_microsecond(at: datetime) -> None:
    """In UTC, from any zone and any year, before 1970 too."""
    assert rows.moment(rows.micros(at)) == at
    assert rows.moment(rows.micros(at)).tzinfo is UTC


def test_a_time_without_a_zone_is_an_error() -> None:
    """It could be any time."""
    with pytest.raises(TypeError):
        rows.micros(NOW.replace(tzinfo=None))


@given(st.builds(Scope, st.sampled_from(ScopeKind), IDS))
def test_a_scope_comes_back_from_its_key(scope: Scope) -> None:
    """Ids may hold colons and slashes."""
    assert rows.scope_of(rows.scope_key(scope)) == scope


@given(*[st.builds(Scope, st.sampled_from(ScopeKind), IDS)] * 2)
def test_different_scopes_have_different_keys(one: Scope, other: Scope) -> None:
    """A kill of one never covers another by its spelling."""
    assert (rows.scope_key(one) == rows.scope_key(other)) == (one == other)


@pytest.mark.parametrize("implicit", [False, True])
def test_a_session_comes_back(implicit: bool) -> None:
    """Every field."""
    one = session(implicit=implicit)
    assert rows.session_of(rows.session_values(one, "hash")) == one


def test_an_intent_comes_back() -> None:
    """Every field, the arguments byte for byte."""
    intent = Call(body=b"\x00\xff").intent
    seq, number = 9, 3
    told = (number, "done", "detail", "dec", "git:abc", 5)
    step = rows.step_of((seq, *rows.intent_values(intent), *told, intent.holder, "{}"))
    assert step.intent == intent
    assert (step.number, step.state.value, step.detail) == told[:3]
    assert (step.decision_id, step.policy_revision, step.risk) == told[3:]


@pytest.mark.parametrize("dry_run", [False, True])
def test_a_decision_comes_back(dry_run: bool) -> None:
    """Every field."""
    record = decision("d1", dry_run=dry_run)
    assert rows.decision_of((1, *rows.decision_values(record))) == record


@pytest.mark.parametrize("order", [kill("o1", Scope(ScopeKind.TOOL, "a/b")), lift("o2", 1)])
def test_an_order_comes_back(order: KillOrder) -> None:
    """Every field, scopes in their order."""
    assert rows.entry_of((7, *rows.order_values(order))) == KillEntry(7, order)


def test_an_alert_comes_back() -> None:
    """Every field."""
    one = replace(alert(), agent="loop", session_id="s", step_id="t")
    assert rows.alert_of(rows.alert_values(one)) == one


def test_a_credential_is_stored_without_its_secret() -> None:
    """What was asked for and until when."""
    pending = Call(credential=True).reservation().credential
    assert pending is not None
    values = rows.credential_values(pending)
    assert values[:4] == ("lease-stp1", "jwt", "https://tool", '["repo:write"]')


def test_holds_are_stored_with_their_windows() -> None:
    """Account, points, window; null for a fixed one."""
    text = rows.hold_values(Call(risk=5).holds)
    assert text == '[["session:ses1",5,null],["agent:acme/loop",5,3600]]'
