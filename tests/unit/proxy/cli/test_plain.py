"""What others wrote moves no cursor and commands no runner."""

import pytest

from proxy.cli.plain import plain


@pytest.mark.parametrize(
    ("text", "shown"),
    [
        ("a\x1b[2Jb", "a�[2Jb"),
        ("a\r\u202eb", "a��b"),
        ("two\nlines, ü", "two\nlines, ü"),
        ("::add-mask::a", ": :add-mask::a"),
        ("a\n  ::error::b", "a\n  : :error::b"),
        ("a::b", "a::b"),
        ("x ##[command]y", "x ## [command]y"),
    ],
)
def test_what_commands_is_made_a_text(text: str, shown: str) -> None:
    """Escapes, writing from the right, and the two forms a runner obeys."""
    assert plain(text) == shown
