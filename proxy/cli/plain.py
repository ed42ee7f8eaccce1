"""Text of others on a terminal, or in the log of a CI that takes commands from what it is shown."""

import re

_COMMAND = re.compile(r"^(\s*):(?=:)", re.MULTILINE)


def plain(text: str) -> str:
    """Return a text that moves no cursor and is no command of a runner; its lines stay.

    GitHub's runner obeys a line that begins with `::`, and `##[` anywhere in one.
    """
    shown = "".join(char if char.isprintable() or char == "\n" else "�" for char in text)
    return _COMMAND.sub(r"\1: ", shown.replace("##[", "## ["))
