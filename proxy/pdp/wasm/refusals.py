"""What WebAssembly gets wrong and can be seen in the text of a policy: refused, with its line.

OPA's compiler to WebAssembly loses one of several replacements of functions that call each other.
Policies replace the input, if anything; tests, which may do more, are no part of a bundle. And a
number that is written with an exponent counts there as another member of a set, another key of an
object, than the same number without.
"""

import re
from collections.abc import Iterator
from pathlib import Path

# `with` is a word of the language: what follows it is replaced, whatever it looks like further on.
_WITH = re.compile(r"(?<![\w.])with\s+(?!input\b)(\w[\w.]*)")
_EXPONENT = re.compile(r"(?<![\w.])([0-9][0-9.]*[eE][+-]?[0-9]+)")
_NOT_CODE = re.compile(r'#[^\n]*|`[^`]*`|"(?:[^"\\\n]|\\.)*"')
_REFUSED = (
    (_WITH, "cannot replace {} with anything. Cure: write it in another way"),
    (_EXPONENT, "reads {} in another way than OPA. Cure: write it without an exponent"),
)


def refusals(directory: Path) -> Iterator[str]:
    """Yield a line for each `with` of something other than the input, and for each exponent."""
    for file in sorted(directory.rglob("*.rego")):
        # Texts keep their line feeds, so that lines keep their numbers.
        code = _NOT_CODE.sub(_blank, file.read_text())
        for pattern, why in _REFUSED:
            for match in pattern.finditer(code):
                line = code.count("\n", 0, match.start()) + 1
                yield (
                    f"{file.relative_to(directory)}:{line}: engine wasm {why.format(match[1])}, "
                    "or use policy.engine managed"
                )


def _blank(match: re.Match[str]) -> str:
    """Return nothing for a comment, and for a text an empty one with its line feeds."""
    text = match[0]
    return "" if text.startswith("#") else '""' + "\n" * text.count("\n")
