"""Plain globs, in a time that does not depend on how the stars of a pattern could be shared out.

A regular expression would try that out: hours for a few stars and a text made for it, in a thread
that nothing can cut.
"""

import re
from collections.abc import Collection

_STARS = re.compile(r"(\*+)")


def is_match(pattern: str, delimiters: Collection[str], text: str) -> bool:
    """Whether a pattern of characters, `*` and `**` matches the whole of a text.

    `**` stands for anything, `*` for anything without a delimiter. The positions that a part of the
    pattern can end at are the bits of a number, so that each part is one step for all of them.
    """
    end = 1 << len(text)
    places = {letter: _places(text, {letter}) for letter in {*pattern}}
    passable = (end - 1) & ~_places(text, frozenset(delimiters))
    reached = 1
    for part in _STARS.split(pattern):
        if part == "**":
            reached = 2 * end - (reached & -reached)
        elif part == "*":
            # A carry runs through all passable positions above, and one further.
            reached |= ((reached & passable) + passable) ^ passable
        else:
            for letter in part:
                reached = (reached & places[letter]) << 1
        if not reached:
            return False
    return bool(reached & end)


def _places(text: str, letters: Collection[str]) -> int:
    """Return a number with a bit for each place of a text where one of the letters stands."""
    return int("0" + "".join("01"[letter in letters] for letter in reversed(text)), 2)
