"""Path templates such as `/{database}/{table}/-/insert`, filled so that a value stays its segment.

What is data is percent-encoded (RFC 3986 section 2); what some server on the way may read as
structure, now or after decoding once more, is refused.
"""

import re
from collections.abc import Mapping
from urllib.parse import quote, unquote

from proxy.errors import ConfigError, UpstreamFailed
from proxy.model.route import has_structure, is_dots, split_template

_LITERAL = re.compile(r"([A-Za-z0-9._~!$&'()*+,;=:@-]|%[0-9A-Fa-f]{2})*")
_FILLED = r"[A-Za-z0-9._~%-]+"


class UrlTemplate:
    """A parsed template. `names` are its places. Raises ConfigError when it is not one."""

    def __init__(self, path: str) -> None:
        if not path.startswith("/"):
            raise ConfigError((f"{path}: a path template begins with a slash",))
        # Literals stand at even places of each split segment, names at odd ones.
        self._segments = split_template(path)
        self.names = tuple(name for segment in self._segments for name in segment[1::2])
        literals = [piece for segment in self._segments for piece in segment[::2]]
        if not all(_LITERAL.fullmatch(piece) for piece in literals):
            raise ConfigError((f"{path}: characters that do not belong in a path",))
        if len(set(self.names)) != len(self.names):
            raise ConfigError((f"{path}: a name stands there twice",))
        if any(_fixed_dots(segment) for segment in self._segments[:-1]) or _fixed_dots(
            self._segments[-1], may_be_empty=True
        ):
            raise ConfigError((f"{path}: an empty or dot segment",))
        self._pattern = re.compile("".join("/" + _pattern(segment) for segment in self._segments))
        self._fixed = "" if self.names else self._joined({})

    def fill(self, values: Mapping[str, str]) -> str:
        """Return the path with every place filled. Raises UpstreamFailed, also when one is not."""
        return self._fixed or self._joined(values)

    def matches(self, path: str) -> bool:
        """Whether an encoded path has this template's segments, literal for literal."""
        return self._pattern.fullmatch(path) is not None

    def _joined(self, values: Mapping[str, str]) -> str:
        return "".join("/" + self._filled(segment, values) for segment in self._segments)

    def _filled(self, segment: tuple[str, ...], values: Mapping[str, str]) -> str:
        plain = "".join(
            _checked(name, values) if index % 2 else name for index, name in enumerate(segment)
        )
        if len(segment) > 1 and is_dots(plain):
            raise UpstreamFailed("a path argument is empty or a dot segment")
        return "".join(
            quote(values[name], safe="") if index % 2 else name
            for index, name in enumerate(segment)
        )


def _checked(name: str, values: Mapping[str, str]) -> str:
    """Return a value that can stand in a segment."""
    if not values.get(name):
        raise UpstreamFailed(f"the argument {name} is missing or empty")
    value = values[name]
    if has_structure(value):
        raise UpstreamFailed(f"the argument {name} cannot stand in a path segment")
    return value


def _fixed_dots(segment: tuple[str, ...], *, may_be_empty: bool = False) -> bool:
    literal = unquote(segment[0])
    return len(segment) == 1 and (literal in {".", ".."} or not (literal or may_be_empty))


def _pattern(segment: tuple[str, ...]) -> str:
    return "".join(
        _FILLED if index % 2 else re.escape(piece) for index, piece in enumerate(segment)
    )
