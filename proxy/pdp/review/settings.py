"""What a gateway takes from a bundle by itself and no decision shows: manifests and limits."""

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

from proxy.model.ledger import Limits
from proxy.pdp.manifests import Catalogue

DEFAULT = "default"


@dataclass(frozen=True, slots=True)
class Setting:
    """A manifest or a limit that is another: `what` it is of, and how in words.

    `is_looser` where that can be told: an agent may then do more.
    """

    what: str
    told: str
    is_looser: bool = False


def settings_between(before: Catalogue, after: Catalogue) -> tuple[Setting, ...]:
    """Return every manifest and limit that differs, sorted by what it is of."""
    return tuple(
        sorted((*_tools(before, after), *_limits(before, after)), key=lambda one: one.what)
    )


def _tools(before: Catalogue, after: Catalogue) -> Iterator[Setting]:
    for key in before.tools.keys() | after.tools.keys():
        old, new = before.tools.get(key), after.tools.get(key)
        what = f"manifest of {'/'.join(key)}"
        if old is None or new is None:
            yield Setting(what, "new" if old is None else "gone")
        elif other := _differing(dict(old.document), dict(new.document)):
            yield Setting(what, f"another {', '.join(other)}")


def _differing(old: dict[str, Any], new: dict[str, Any]) -> list[str]:
    missing = object()
    names = old.keys() | new.keys()
    return sorted(name for name in names if old.get(name, missing) != new.get(name, missing))


def _limits(before: Catalogue, after: Catalogue) -> Iterator[Setting]:
    for agent in (DEFAULT, *sorted(before.agents.keys() | after.agents.keys())):
        old, new = _of(before, agent), _of(after, agent)
        for name in Limits.__slots__:
            was, now = getattr(old, name), getattr(new, name)
            # A window that is shorter gives its points back sooner.
            is_looser = now < was if name == "window_s" else now > was
            if was != now:
                yield Setting(f"limits of {agent}", f"{name} {was} → {now}", is_looser)


def _of(catalogue: Catalogue, agent: str) -> Limits:
    return catalogue.agents.get(agent, catalogue.default)
