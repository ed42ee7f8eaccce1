"""Pointers (RFC 6901) in which `*` stands for any key or index: the places of a JSON value."""

import re
from collections.abc import Iterable, Iterator
from typing import Any

MAX_POINTERS = 4_096
MAX_POINTER_CHARS = 2_048

_INDEX = re.compile(r"0|[1-9][0-9]{0,8}")  # RFC 6901, section 4

Place = tuple[str | int, ...]


def parse_pointers(value: Any) -> tuple[tuple[str, ...], ...]:
    """Read a list of pointers. Raises ValueError for anything that is not one."""
    if not isinstance(value, list) or len(value) > MAX_POINTERS:
        raise ValueError(f"not a list of at most {MAX_POINTERS} pointers")
    return tuple(_steps(item) for item in value)


def pointer(place: Place) -> str:
    """Return the pointer of one place."""
    return "".join("/" + str(step).replace("~", "~0").replace("/", "~1") for step in place)


def places(value: Any, steps: tuple[str, ...], before: Place = ()) -> Iterator[Place]:
    """Yield every place inside of a value that the steps of a pointer lead to."""
    if not steps:
        yield before
    elif isinstance(value, dict):
        for key in value if steps[0] == "*" else {steps[0]} & value.keys():
            yield from places(value[key], steps[1:], (*before, key))
    elif isinstance(value, list):
        for index in _named(steps[0], len(value)):
            yield from places(value[index], steps[1:], (*before, index))


def _named(step: str, length: int) -> Iterable[int]:
    if step == "*":
        return range(length)
    return [int(step)] if _INDEX.fullmatch(step) and int(step) < length else []


def _steps(item: Any) -> tuple[str, ...]:
    if not isinstance(item, str) or len(item) > MAX_POINTER_CHARS or not item.startswith("/"):
        raise ValueError("not a pointer")
    if "~" in item.replace("~0", "").replace("~1", ""):
        raise ValueError("not a pointer: a stray ~")
    return tuple(step.replace("~1", "/").replace("~0", "~") for step in item[1:].split("/"))
