"""Pointers (RFC 6901) in which `*` stands for any key or index: the places of a JSON value."""

from collections.abc import Iterator
from typing import Any

MAX_POINTERS = 4_096
MAX_POINTER_CHARS = 2_048

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
        for key in value:
            if steps[0] in {"*", key}:
                yield from places(value[key], steps[1:], (*before, key))
    elif isinstance(value, list):
        for index, item in enumerate(value):
            if steps[0] in {"*", str(index)}:
                yield from places(item, steps[1:], (*before, index))


def _steps(item: Any) -> tuple[str, ...]:
    if not isinstance(item, str) or len(item) > MAX_POINTER_CHARS or not item.startswith("/"):
        raise ValueError("not a pointer")
    if "~" in item.replace("~0", "").replace("~1", ""):
        raise ValueError("not a pointer: a stray ~")
    return tuple(step.replace("~1", "/").replace("~0", "~") for step in item[1:].split("/"))
