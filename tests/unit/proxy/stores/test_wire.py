import inspect
from typing import Any

import pytest

from proxy.errors import BadRequest
from proxy.stores import base
from proxy.stores.sqlite import SqliteStore
from proxy.stores.wire import REMOTE, operations
from tests.harness.approving import question
from tests.harness.ledger import LIMITS, NOW, Call, alert, decision, session

ARGUMENTS: dict[str, tuple[Any, ...]] = {
    "reserve": (Call(key="k", credential=True, labels=("a",)).reservation(),),
    "view": (session(), LIMITS, NOW),
    "ask_approval": (question(), 5),
    "record": (decision("dec1"),),
    "enqueue_alert": (alert(),),
    "open_session": (session(), None, 10),
}


@pytest.mark.parametrize("name", sorted(ARGUMENTS))
def test_arguments_come_out_as_they_went_in(name: str) -> None:
    """Dates, enums, tuples, bytes, absent ones."""
    operation = operations()[name]
    assert operation.unpack(operation.pack(ARGUMENTS[name])) == ARGUMENTS[name]


def test_every_method_is_one_of_the_port_and_of_its_stores() -> None:
    """Nothing else can be asked for, least of all what is private."""
    assert operations().keys() == REMOTE
    assert all(inspect.iscoroutinefunction(getattr(SqliteStore, name)) for name in REMOTE)
    assert all(hasattr(base.Store, name) for name in REMOTE)


def test_what_is_left_out_has_its_default() -> None:
    """The port's own defaults, on whichever side."""
    operation = operations()["dry_run_scopes"]
    assert operation.unpack(operation.pack(())) == ()


@pytest.mark.parametrize(
    "body",
    [b"", b"{}", b"[]", b"[1,2,3]", b'["a","b","c","d"]', b"[" * 200],
    ids=["nothing", "object", "too few", "numbers", "too many", "deep"],
)
def test_arguments_that_do_not_fit_are_refused(body: bytes) -> None:
    """A clear error, whatever was sent."""
    with pytest.raises(BadRequest, match="do not fit"):
        operations()["hook_session"].unpack(body)


@pytest.mark.parametrize("name", ["rule_approval", "unlock_agent", "append_kill", "set_dry_run"])
def test_what_operators_do_is_not_on_the_wire(name: str) -> None:
    """Who approves, lifts or unlocks is never on that side of it."""
    assert name not in REMOTE
