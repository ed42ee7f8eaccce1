from datetime import UTC, datetime
from pathlib import Path

import pytest

from proxy.killswitch.halt_file import HaltFile
from proxy.model.kill import GLOBAL, KillAction, KillOrder, Scope, ScopeKind

ORDER = KillOrder(
    "kil_1",
    KillAction.KILL,
    (GLOBAL, Scope(ScopeKind.AGENT, "acme/loop")),
    "oncall",
    "runaway",
    datetime(2026, 11, 22, 9, 30, tzinfo=UTC),
)


def test_what_is_written_is_read_back(tmp_path: Path) -> None:
    """Every field of an order survives."""
    file = HaltFile(tmp_path / "halt.json")
    file.write((ORDER,))
    assert HaltFile(tmp_path / "halt.json").read() == (ORDER,)


def test_no_file_means_no_kill(tmp_path: Path) -> None:
    """A first start is not halted."""
    assert HaltFile(tmp_path / "halt.json").read() == ()


def test_no_orders_remove_the_file(tmp_path: Path) -> None:
    """A committed kill lives in the ledger alone."""
    file = HaltFile(tmp_path / "halt.json")
    file.write((ORDER,))
    file.write(())
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize("text", ["", "{", "[]", '{"orders": [{"id": 1}]}', '{"orders": [7]}'])
def test_a_damaged_file_halts_everything(tmp_path: Path, text: str) -> None:
    """What cannot be read may have been a global kill."""
    path = tmp_path / "halt.json"
    path.write_text(text)
    (order,) = HaltFile(path).read()
    assert order.scopes == (GLOBAL,)


def test_only_the_owner_may_read_it(tmp_path: Path) -> None:
    """The file is made with mode 0600."""
    HaltFile(tmp_path / "halt.json").write((ORDER,))
    assert (tmp_path / "halt.json").stat().st_mode & 0o777 == 0o600
