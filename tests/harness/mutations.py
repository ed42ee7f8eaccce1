"""Policy inputs changed at random places, the same ones for the same seed."""

import copy
import random
from collections.abc import Iterator
from typing import Any

VALUES: tuple[Any, ...] = (
    None, True, False, 0, 1, -1, 2, 3, 7, 100, 10_000, 1.5, -0.5, -0.0, 2**53, 2**63, 1e21,
    "", " ", "read", "write", "irreversible", "allow", "tools/call", "tools/list", "repo/*",
    "agent", "untrusted", "trusted", "untrusted_content", "dry_run", "read_only", "read_write",
    "acceptEdits", "../etc", "/", "/srv/x/../y", "/srv//x", "https://api.example.com/v1",
    "https://api.example.com@evil.example/", "10.0.0.1", "::1", "::ffff:10.0.0.1", "0x7f.1",
    "10.0.0.0/8", "\u212a", "\u0130", "a\u0000b", "x\ny", "\U00020000", "\U0001f600",
    "e\u0301", "-rf", "~root", ":(top)", "a" * 300, [], {}, [[]], [None], ["read"],
    {"type": "dry_run"}, {"a": {"b": []}}, [1, "1", 1.0], ["untrusted_content"],
)  # fmt: skip


def mutated(documents: list[dict[str, Any]], count: int, seed: int) -> Iterator[dict[str, Any]]:
    """Yield so many documents, each one of the given with one to three changes."""
    dice = random.Random(seed)  # not a secret
    for _ in range(count):
        document = copy.deepcopy(dice.choice(documents))
        for _ in range(dice.choice((1, 1, 2, 3))):
            _change(document, dice)
        yield document


def _change(document: dict[str, Any], dice: random.Random) -> None:
    holder, key = dice.choice(list(_places(document)))
    how = dice.randrange(5)
    if how == 0 and isinstance(holder, dict):
        del holder[key]
    elif how == 1 and isinstance(holder, dict):
        holder[str(dice.choice(("extra", "Mode", "labels", "\u0131d")))] = holder[key]
    elif how == 2:  # the third of five
        holder[key] = _near(holder[key], dice)
    else:
        holder[key] = copy.deepcopy(dice.choice(VALUES))


def _places(value: Any) -> Iterator[tuple[Any, Any]]:
    members = value.items() if isinstance(value, dict) else enumerate(value)
    for key, member in list(members):
        yield value, key
        if isinstance(member, dict | list):
            yield from _places(member)


def _near(value: Any, dice: random.Random) -> Any:
    """Return something that is easily taken for the value."""
    if isinstance(value, bool) or value is None:
        return str(value).lower()
    if isinstance(value, int | float):
        return dice.choice((value + 1, value - 1, -value, value + 0.5, str(value), [value]))
    if isinstance(value, str):
        twins = (value.upper(), value + " ", value[:-1], value + "/..", f"/{value}", value * 2)
        return dice.choice((*twins, value.replace("a", "\u0430"), value.replace("e", "e\u0301")))
    return dice.choice((list(value), [value], None, str(value)))
