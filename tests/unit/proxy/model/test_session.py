from proxy.model.session import BudgetView, Mode, Operator


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
