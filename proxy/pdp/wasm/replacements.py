"""`with` on anything but the input: refused, because nested replacements go wrong in WebAssembly.

OPA's compiler to WebAssembly loses one of several replacements of functions that call each other.
Policies replace the input, if anything; tests, which may do more, are no part of a bundle.
"""

import re
from collections.abc import Iterator
from pathlib import Path

_WITH = re.compile(r"\bwith\s+([A-Za-z_][\w.]*(?:\[[^\]]*\][\w.]*)*)\s+as\b")
_NOT_CODE = re.compile(r'#[^\n]*|`[^`]*`|"(?:[^"\\\n]|\\.)*"')


def replacements(directory: Path) -> Iterator[str]:
    """Yield a line for each `with` of a bundle that replaces something other than the input."""
    for file in sorted(directory.rglob("*.rego")):
        # Texts keep their line feeds, so that lines keep their numbers.
        code = _NOT_CODE.sub(_blank, file.read_text())
        for match in _WITH.finditer(code):
            if match[1].split(".")[0].split("[")[0] != "input":
                line = code.count("\n", 0, match.start()) + 1
                yield (
                    f"{file.relative_to(directory)}:{line}: engine wasm cannot replace {match[1]} "
                    "with anything. Cure: write it in another way, or use policy.engine managed"
                )


def _blank(match: re.Match[str]) -> str:
    text = match[0]
    return "#" if text.startswith("#") else '""' + "\n" * text.count("\n")
