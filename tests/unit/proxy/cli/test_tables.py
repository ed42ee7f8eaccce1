import pytest
from rich.text import Text

from proxy.cli.tables import print_table


def test_no_cell_is_cut_off(capsys: pytest.CaptureFixture[str]) -> None:
    """A long word is folded: its end may be the cure."""
    word = "/srv/" + "x" * 200 + "/end"
    print_table(("what", "finding"), [("store", word)])
    out = "".join(part.strip(" │┃\n") for part in capsys.readouterr().out.split("│"))
    assert out.count("x") == 200
    assert word in out
    assert "…" not in out
    assert "/end" in out


def test_what_others_say_is_no_markup(capsys: pytest.CaptureFixture[str]) -> None:
    """Brackets of a message are shown, not obeyed; a text of our own keeps its style."""
    print_table(("", "what"), [(Text("error", "red"), "data.x[_] [red]all is well[/red] [/none]")])
    out = capsys.readouterr().out
    assert "data.x[_] [red]all is well[/red] [/none]" in out
    assert "error" in out
