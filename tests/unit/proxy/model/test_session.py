from dataclasses import replace

from proxy.model.session import BudgetView, Mode, Operator, SessionState
from tests.harness.ledger import NOW, after, session


def test_modes_are_ordered_by_what_they_permit() -> None:
    """read_only permits least, read_write most."""
    assert Mode.READ_ONLY.rank < Mode.DRY_RUN.rank < Mode.READ_WRITE.rank


def test_a_budget_has_left_what_is_neither_used_nor_held() -> None:
    """Held points are not free."""
    assert BudgetView(100, used=30, held=20).left == 50


def test_an_operator_covers_its_tenants_only() -> None:
    """The star covers every tenant."""
    assert Operator("oncall", ("kill",), ("acme",)).covers("acme")
    assert not Operator("oncall", ("kill",), ("acme",)).covers("other")
    assert Operator("root", ("kill",), ("*",)).covers("other")


def test_a_session_is_open_until_it_ends_or_its_time_is_over() -> None:
    """At that moment it is not."""
    given = session(expires_at=after(10))
    assert given.is_open_at(NOW)
    assert not given.is_open_at(after(10))
    assert not replace(given, state=SessionState.ENDED).is_open_at(NOW)
