import os
from dataclasses import replace
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


OTHER = replace(ORDER, id="kil_2", reason="another")
THIRD = replace(ORDER, id="kil_3")


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "detent.halt"


def names(path: Path) -> list[str]:
    return sorted(file.name for file in path.parent.iterdir())


def test_what_is_written_is_read_back(path: Path) -> None:
    """Every field of an order survives."""
    HaltFile(path).write((ORDER,))
    assert HaltFile(path).read() == (ORDER,)


def test_no_file_means_no_kill(path: Path) -> None:
    """A first start is not halted, nor one without a directory."""
    assert HaltFile(path).read() == ()
    assert HaltFile(path.parent / "none" / "detent.halt").read() == ()


def test_no_orders_remove_the_files(path: Path) -> None:
    """A committed kill lives in the ledger alone."""
    file = HaltFile(path)
    file.write((ORDER,))
    file.write(())
    assert names(path) == []


def test_kills_that_come_together_share_a_file(path: Path) -> None:
    """One fsync; it stays until the last of them is in the log."""
    file = HaltFile(path)
    file.write((ORDER, OTHER))
    file.write((OTHER, THIRD))
    assert names(path) == ["detent.kil_1.halt", "detent.kil_3.halt"]
    file.write((THIRD,))
    assert names(path) == ["detent.kil_3.halt"]


def test_processes_that_share_a_directory_keep_each_others_kills(path: Path) -> None:
    """Neither overwrites nor removes what the other has written."""
    one, other = HaltFile(path), HaltFile(path)
    one.write((ORDER,))
    other.write((OTHER,))
    other.write(())
    assert HaltFile(path).read() == (ORDER,)


def test_a_start_honours_what_others_have_written(path: Path) -> None:
    """And removes it once it is in the log; that its writer does so too harms nobody."""
    writer = HaltFile(path)
    writer.write((ORDER,))
    starting = HaltFile(path)
    assert starting.read() == (ORDER,)
    starting.write((ORDER, OTHER))
    starting.write((OTHER,))
    writer.write(())
    assert names(path) == ["detent.kil_2.halt"]


def test_the_single_file_of_an_older_detent_is_honoured(path: Path) -> None:
    """An upgrade lifts nothing."""
    HaltFile(path).write((ORDER,))
    path.with_name("detent.kil_1.halt").rename(path)
    file = HaltFile(path)
    assert file.read() == (ORDER,)
    file.write(())
    assert names(path) == []


def test_files_of_other_names_are_not_touched(path: Path) -> None:
    """Another ledger may lie in the same directory."""
    HaltFile(path.with_name("other.halt")).write((OTHER,))
    path.with_name("detent.kil_9.1.tmp").write_text("{")
    file = HaltFile(path)
    assert file.read() == ()
    file.write(())
    assert names(path) == ["detent.kil_9.1.tmp", "other.kil_2.halt"]


@pytest.mark.parametrize("text", ["", "{", "[]", '{"orders": [{"id": 1}]}', '{"orders": [7]}'])
def test_a_damaged_file_halts_everything(path: Path, text: str) -> None:
    """What cannot be read may have been a global kill; all who read it make the same one."""
    path.write_text(text)
    (order,) = HaltFile(path).read()
    assert order.scopes == (GLOBAL,)
    assert HaltFile(path).read()[0].id == order.id


def test_a_second_damaged_file_is_another_kill(path: Path) -> None:
    """The first one may have been lifted since."""
    ids = set()
    for name in ("detent.kil_1.halt", "detent.kil_2.halt"):
        path.with_name(name).write_text("{")
        ids |= {order.id for order in HaltFile(path).read()}
    assert len(ids) == 2


def test_a_directory_that_cannot_be_read_halts_everything(path: Path) -> None:
    """Nobody knows what is in it."""
    path.parent.joinpath("file").write_text("")
    (order,) = HaltFile(path.parent / "file" / "detent.halt").read()
    assert order.scopes == (GLOBAL,)


def test_a_file_that_goes_while_it_is_looked_for_is_no_kill(
    path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Its kills went into the log just then."""
    monkeypatch.setattr(os, "listdir", lambda _: ["detent.kil_1.halt"])
    file = HaltFile(path)
    assert file.read() == ()
    file.write(())


def test_only_the_owner_may_read_it(path: Path) -> None:
    """The file is made with mode 0600."""
    HaltFile(path).write((ORDER,))
    assert path.with_name("detent.kil_1.halt").stat().st_mode & 0o777 == 0o600
