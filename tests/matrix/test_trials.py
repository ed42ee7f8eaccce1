"""Trials are run once a commit, in shards, each bounded in time; what failed is told."""

import asyncio
import json
import subprocess
import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

import pytest

from tests.matrix import kept as keeping
from tests.matrix import trials
from tests.matrix.kept import Kept, Result, commit_of
from tests.matrix.trials import Column, Found, Run, Table, Trial, command, conduct

COLUMNS = (Column("largest", "size", max), Column("sum", "size"))


@pytest.fixture
def ran(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> list[str]:
    """The trials that were run, in order; results are kept in a folder of the test."""
    monkeypatch.setattr(trials, "kept", lambda name: Kept(tmp_path / f"{name}.jsonl", "c1"))
    return []


def table(ran: list[str], count: int = 6, bound_s: float = 5) -> Table:
    """Return a table whose trials do what their names say."""

    async def one(trial: Trial) -> Found:
        ran.append(trial.name)
        if trial.row == "late":
            await asyncio.sleep(60)
        if trial.row == "broken":
            raise RuntimeError("it broke")
        problems = ("bad",) if trial.row == "bad" else ()
        return Found(problems, {"size": [len(ran), 2]})

    @asynccontextmanager
    async def opened() -> AsyncIterator[Run]:
        yield one

    named = [Trial("good", f"good {n}") for n in range(count)]
    return Table("example", named, opened, COLUMNS, bound_s)


def run(given: Table, *arguments: str) -> int:
    """Run it as its command would."""
    return conduct(given, command("example", None).parse_args(arguments))


def test_a_trial_is_not_run_again(ran: list[str]) -> None:
    """Unless that is asked for."""
    assert run(table(ran)) == run(table(ran)) == 0
    assert len(ran) == 6
    run(table(ran), "--again")
    assert len(ran) == 12


def test_shards_share_the_trials(ran: list[str]) -> None:
    """Each is run by one of them."""
    for shard in ("1/4", "2/4", "3/4", "4/4"):
        assert run(table(ran), "--shard", shard) == 0
    assert sorted(ran) == [f"good {n}" for n in range(6)]


@pytest.mark.parametrize("shard", ["0/2", "3/2", "2", "a/b"])
def test_a_share_that_is_none_is_refused(shard: str) -> None:
    """With what one looks like."""
    with pytest.raises(SystemExit):
        command("example", None).parse_args(["--shard", shard])


@pytest.mark.parametrize("row", ["bad", "broken", "late"])
def test_a_failed_trial_does_not_stop_the_others(
    ran: list[str], row: str, capsys: pytest.CaptureFixture[str]
) -> None:
    """One that breaks or takes too long has failed as well; the end is 1, the next time too."""
    given = table(ran, bound_s=0.05)
    given = Table(
        given.name, [Trial(row, row), *given.trials], given.opened, COLUMNS, given.bound_s
    )
    assert run(given) == run(given) == 1
    assert len(ran) == 7
    assert f"FAILED {row}" in capsys.readouterr().out


def test_one_can_stop_at_the_first_failure(ran: list[str]) -> None:
    """What is left is run the next time."""
    given = table(ran)
    given = Table(given.name, [Trial("bad", "bad"), *given.trials], given.opened)
    assert run(given, "--stop") == 1
    assert ran == ["bad"]


def test_trials_can_run_in_a_mixed_order(ran: list[str]) -> None:
    """The table keeps its own."""
    given = table(ran, count=20)
    run(Table(given.name, given.trials, given.opened, mixed=True))
    assert sorted(ran) == sorted(trial.name for trial in given.trials)
    assert ran != [trial.name for trial in given.trials]


def test_trials_can_run_side_by_side(ran: list[str]) -> None:
    """Two that last run in the time of one."""
    given = table(ran, bound_s=0.3)
    late = [Trial("late", f"late {n}") for n in range(4)]
    began = time.monotonic()
    run(Table(given.name, late, given.opened, bound_s=0.3, beside=4))
    assert len(ran) == 4
    assert time.monotonic() - began < 1.0


def test_the_summary_is_there_for_machines(
    ran: list[str], capsys: pytest.CaptureFixture[str]
) -> None:
    """One object a row, with the columns."""
    run(table(ran), "--json")
    told = json.loads(capsys.readouterr().out)
    assert (told["commit"], told["trials"], told["failed"]) == ("c1", 6, 0)
    assert told["rows"] == [{"row": "good", "trials": 6, "failed": 0, "largest": 6, "sum": 33}]


def test_results_of_another_commit_do_not_count(tmp_path: Path) -> None:
    """They stay in the file; a line that was cut short is left out."""
    file = tmp_path / "t.jsonl"
    Kept(file, "old").add(Result("old", "one", "row", 1.0))
    Kept(file, "new").add(Result("new", "two", "row", 1.0, ("bad",)))
    with file.open("a") as cut:
        cut.write('{"commit": "new", "na')
    assert list(Kept(file, "old").read()) == ["one"]
    assert not Kept(file, "new").read()["two"].ok


def test_what_is_not_committed_is_another_commit(tmp_path: Path) -> None:
    """A changed or a new source changes the name; without a repository there is none."""
    assert commit_of(tmp_path) == "unversioned"
    source = tmp_path / "proxy" / "a.py"
    source.parent.mkdir()
    source.write_text("a = 1\n")
    who = ["-c", "user.name=t", "-c", "user.email=t@example.org"]
    for arguments in (["init", "-q"], ["add", "."], [*who, "commit", "-q", "-m", "one"]):
        subprocess.run(["git", *arguments], cwd=tmp_path, check=True)
    clean = commit_of(tmp_path)
    source.write_text("a = 2\n")
    changed = commit_of(tmp_path)
    source.with_name("b.py").write_text("")
    assert len({clean, changed, commit_of(tmp_path)}) == 3
    assert changed.startswith(f"{clean}+")


def test_results_are_kept_beside_other_things_that_are_made() -> None:
    """In a folder git does not know."""
    assert keeping.kept("example").commit
    assert keeping.FOLDER.parent.name == "var"
