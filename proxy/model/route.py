"""Path templates such as `/{database}/{table}.json`, read one way by whoever uses them.

A segment is compared as text, decoded once (RFC 3986 section 2). What some reader could take for
structure, now or after decoding once more, is no segment at all.
"""

import re
import unicodedata
from collections.abc import Collection, Iterable, Mapping
from dataclasses import dataclass
from typing import Any
from urllib.parse import unquote

_PLACE = re.compile(r"\{([A-Za-z0-9_.-]+)\}")
_STRUCTURE = re.compile(r"[\x00-\x1f\x7f-\x9f/\\\u2028\u2029\ud800-\udfff]|%[0-9A-Fa-f]{2}")
_DOTS = re.compile(r"\.{0,2}(;.*)?", re.DOTALL)

Pieces = tuple[str, ...]


def split_template(path: str) -> tuple[Pieces, ...]:
    """Split a template that begins with a slash into segments of pieces.

    Literals stand at the even places of each segment, names at the odd ones.
    """
    return tuple(tuple(_PLACE.split(segment)) for segment in path[1:].split("/"))


def has_structure(text: str) -> bool:
    """Whether a text could end its segment: slashes, controls, an escape left after decoding.

    Some servers fold compatibility forms (full-width slash) after decoding.
    """
    folded = unicodedata.normalize("NFKC", text)
    return _STRUCTURE.search(text) is not None or _STRUCTURE.search(folded) is not None


def is_dots(text: str) -> bool:
    """Whether some reader takes a segment for empty, `.` or `..`, also with `;` parameters."""
    return _DOTS.fullmatch(unicodedata.normalize("NFKC", text).strip()) is not None


@dataclass(frozen=True, slots=True)
class Segment:
    """One segment of a template, its literals decoded. `greedy` and `lazy` read its places.

    `rank` is 0 for a literal, 1 for literals and places, 2 for places of whole numbers alone, 3
    for places that take any text.
    """

    pieces: Pieces
    greedy: re.Pattern[str]
    lazy: re.Pattern[str]
    rank: int

    @classmethod
    def of(cls, template: Pieces, whole: Collection[str]) -> "Segment":
        """Return the segment of these pieces; the places in `whole` take whole numbers only."""
        pieces = tuple(
            piece if index % 2 else unquote(piece) for index, piece in enumerate(template)
        )
        if any(pieces[::2]) or len(pieces) == 1:
            rank = min(len(pieces) - 1, 1)
        else:
            rank = 2 if all(name in whole for name in pieces[1::2]) else 3
        return cls(pieces, _pattern(pieces, whole, ""), _pattern(pieces, whole, "?"), rank)

    def read(self, text: str) -> dict[str, str] | None:
        """Return the text of each place, None when the segment is another one.

        Raises ValueError when the places could be read in two ways.
        """
        found = self.greedy.fullmatch(text)
        if found is None:
            return None
        lazy = self.lazy.fullmatch(text)
        if lazy is None or lazy.groups() != found.groups():
            raise ValueError("two readings of one segment")
        return dict(zip(self.pieces[1::2], found.groups(), strict=True))

    def meets(self, other: "Segment") -> bool:
        """Whether one text can be both; in doubt it can."""
        if other.rank == 0:
            return self.greedy.fullmatch(other.pieces[0]) is not None
        if self.rank == 0:
            return other.meets(self)
        first, last = (self.pieces[0], other.pieces[0]), (self.pieces[-1], other.pieces[-1])
        shorter, longer = sorted(first, key=len)
        end, longer_end = sorted(last, key=len)
        return longer.startswith(shorter) and longer_end.endswith(end)


@dataclass(frozen=True, slots=True)
class Route:
    """A method and a template."""

    method: str
    segments: tuple[Segment, ...]

    @classmethod
    def of(cls, method: str, path: str, whole: Collection[str] = ()) -> "Route":
        """Return the route of a template that begins with a slash.

        The places named in `whole` take whole numbers only.
        """
        return cls(method, tuple(Segment.of(pieces, whole) for pieces in split_template(path)))

    @property
    def ranks(self) -> tuple[int, ...]:
        """The rank of each segment: of routes that meet, the smallest is meant."""
        return tuple(segment.rank for segment in self.segments)

    def read(self, segments: Iterable[str]) -> dict[str, str] | None:
        """Return the text of every place, None when these decoded segments are another route.

        There are as many as the route has. Raises ValueError when there are two readings.
        """
        values: dict[str, str] = {}
        for segment, text in zip(self.segments, segments, strict=True):
            found = segment.read(text)
            if found is None:
                return None
            values |= found
        return values

    def is_confused_with(self, other: "Route") -> bool:
        """Whether one request can be both, and neither is the more literal one everywhere."""
        if self.method != other.method or len(self.segments) != len(other.segments):
            return False
        if not all(a.meets(b) for a, b in zip(self.segments, other.segments, strict=True)):
            return False
        pairs = list(zip(self.ranks, other.ranks, strict=True))
        ordered = all(a <= b for a, b in pairs) or all(a >= b for a, b in pairs)
        return not ordered or self.ranks == other.ranks


def whole_numbers(schema: Mapping[str, Any]) -> frozenset[str]:
    """Return the arguments that a tool's input schema says are whole numbers."""
    properties = schema.get("properties")
    named = properties.items() if isinstance(properties, Mapping) else ()
    return frozenset(
        name
        for name, about in named
        if isinstance(about, Mapping) and about.get("type") in ("integer", ["integer"])
    )


def _pattern(pieces: Pieces, whole: Collection[str], lazily: str) -> re.Pattern[str]:
    places = ((f"(-?[0-9]+{lazily})" if name in whole else f"(.+{lazily})") for name in pieces)
    source = "".join(
        place if index % 2 else re.escape(piece)
        for index, (piece, place) in enumerate(zip(pieces, places, strict=True))
    )
    return re.compile(source, re.DOTALL)
