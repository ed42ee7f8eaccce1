"""The command: its table, its JSON, its exit codes."""

import json
from functools import partial
from pathlib import Path

import pytest

from tests.model.cases import CASES
from tests.model.run import main, table
from tests.model.spin import find_spin
from tests.model.verify import BuildFailed, Result

GOOD = Result("safe", 18_080_413, 19_096, 59.4, "holds", ok=True)
BAD = Result("plain read", 78, 9, 0.0, "holds", ok=False)


def test_the_table_has_a_line_for_each_result() -> None:
    """What is not as it has to be cannot be overlooked."""
    _, good, bad = table([GOOD, BAD]).splitlines()
    assert good.split() == ["safe", "18,080,413", "19,096", "59.4", "holds"]
    assert bad.endswith("holds   <- NOT AS IT HAS TO BE")


def test_without_spin_it_says_how_to_get_it(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], tmp_path: Path
) -> None:
    """Exit code 2: nothing was checked."""
    monkeypatch.setattr("tests.model.run.find_spin", partial(find_spin, tmp_path))
    monkeypatch.setenv("PATH", str(tmp_path))
    assert main(["--json"]) == 2
    assert "install the Debian package `spin`" in capsys.readouterr().err


@pytest.mark.parametrize(("ok", "code"), [(True, 0), (False, 1)])
def test_the_exit_code_says_whether_all_is_as_it_has_to_be(
    ok: bool, code: int, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """One wrong verdict is enough."""
    answers = {case.name: Result(case.name, 1, 1, 0.1, "holds", ok=True) for case in CASES}
    answers["plain read"] = Result("plain read", 1, 1, 0.1, "holds", ok=ok)
    monkeypatch.setattr("tests.model.run.verify", lambda *given: answers[given[-1].name])
    monkeypatch.setattr("tests.model.run.find_spin", lambda: "spin")
    assert main(["--json"]) == code
    told = json.loads(capsys.readouterr().out)
    assert [(one["name"], one["ok"]) for one in told] == [
        (case.name, ok if case.name == "plain read" else True) for case in CASES
    ]


def test_a_model_that_does_not_build_is_a_failure(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """The compiler's words are passed on."""

    def fail(*_: object) -> Result:
        raise BuildFailed("syntax error")

    monkeypatch.setattr("tests.model.run.verify", fail)
    monkeypatch.setattr("tests.model.run.find_spin", lambda: "spin")
    assert main(["--case", "plain read"]) == 1
    assert "syntax error" in capsys.readouterr().err
