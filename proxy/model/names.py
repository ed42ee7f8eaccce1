"""Names that a reader takes for one another: letters of other alphabets, digits, case, separators.

After the skeletons of UTS #39 section 4, cut down to what imitates the letters, digits and
separators that names of tools are made of. Identifiers are compared as they are everywhere else:
a likeness is a reason for an alert, never for treating two names as one.
"""

import unicodedata

# Letters of other alphabets, after case folding, and the letter they look like.
_LOOKALIKES = str.maketrans(
    "\u0430\u0432\u0435\u043a\u043c\u043d\u043e\u0440\u0441\u0442\u0443\u0445\u0455\u0456\u0458\u04bb"
    "\u0475\u0501\u051b\u051d\u044c\u0433"  # Cyrillic
    "\u03b1\u03b2\u03b5\u03b7\u03b9\u03ba\u03bd\u03bf\u03c1\u03c4\u03c5\u03c7\u03b3\u03c9"  # Greek
    "\u0131\u0251\u0261\u1d04\u1d0f\u0585\u057d\u0578\u04cf",  # Latin, Armenian, palochka
    "abekmhopctyxsijhvdqwbrabenikvoptuxywiagcoounl",
)
_DIGITS = str.maketrans("01I|", "olll")
_SEPARATORS = str.maketrans("", "", "-_. /\u2010\u2011\u2012\u2013\u2014\u2212")
_PAIRS = (("rn", "m"), ("vv", "w"))
_UNSEEN = {"Cc", "Cf", "Mn", "Me"}


def likenesses(name: str) -> frozenset[str]:
    """Return what a name looks like; two names with one likeness in common are easily confused.

    One likeness folds case and separators, the other also what looks alike in many fonts: `0` and
    `o`, `1`, capital `I` and `l`, `rn` and `m`, `vv` and `w`.
    """
    seen = "".join(
        char
        for char in unicodedata.normalize("NFKD", name)
        if unicodedata.category(char) not in _UNSEEN
    )
    drawn = _folded(seen.translate(_DIGITS))
    for pair, one in _PAIRS:
        drawn = drawn.replace(pair, one)
    return frozenset({_folded(seen), drawn})


def _folded(name: str) -> str:
    return name.casefold().translate(_LOOKALIKES).translate(_SEPARATORS)
