"""Progress is for people in front of a terminal."""

import io
import sys

import pytest

from proxy.cli.progress import show_progress


class Terminal(io.StringIO):
    """A stream that says it is a terminal, or not."""

    def __init__(self, is_terminal: bool) -> None:
        super().__init__()
        self._is_terminal = is_terminal

    def isatty(self) -> bool:
        """See the stream."""
        return self._is_terminal


@pytest.mark.parametrize(("is_terminal", "told"), [(True, "\r5,600 asked\r"), (False, "")])
def test_only_a_terminal_is_told(
    monkeypatch: pytest.MonkeyPatch, is_terminal: bool, told: str
) -> None:
    """A log of a CI keeps none of it."""
    stream = Terminal(is_terminal)
    monkeypatch.setattr(sys, "stderr", stream)
    show_progress(5_600)
    assert stream.getvalue() == told
