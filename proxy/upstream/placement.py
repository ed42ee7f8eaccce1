"""Where the arguments of an HTTP tool go: path, query or body, and nowhere else."""

import re
from dataclasses import dataclass
from functools import lru_cache
from typing import Any
from urllib.parse import quote

import rfc8785

from proxy.errors import ConfigError, UpstreamFailed
from proxy.model.tool import HttpBinding
from proxy.upstream.jsonrpc import loads
from proxy.upstream.url_template import UrlTemplate

_WITHOUT_BODY = ("GET", "DELETE")
_WITH_BODY = ("POST", "PUT", "PATCH", "DELETE")
_BREAKS = re.compile(r"[\x00\r\n\ud800-\udfff]")


@dataclass(frozen=True, slots=True)
class Placed:
    """A request's path, its query without the question mark, and its body (None: no body)."""

    path: str
    query: str
    body: bytes | None


class Placement:
    """A binding made ready. Raises ConfigError when the binding contradicts itself."""

    def __init__(self, binding: HttpBinding) -> None:
        self.template = UrlTemplate(binding.path)
        self._query = binding.query
        self._body = binding.body
        places = (*self.template.names, *binding.query, *binding.body)
        problems = _contradictions(binding, places)
        if problems:
            raise ConfigError(problems)
        self._places = frozenset(places)
        self._only_body = frozenset(binding.body) == self._places

    def place(self, arguments: bytes) -> Placed:
        """Put canonical arguments where they belong. Raises UpstreamFailed when one has no place or
        cannot be written there; nothing is dropped, and nothing is written in two ways.
        """
        values: dict[str, Any] = loads(arguments)
        homeless = sorted(values.keys() - self._places)
        if homeless:
            raise UpstreamFailed(f"no place in the request for: {', '.join(homeless)}")
        path = self.template.fill(
            {name: _text(name, values[name]) for name in self.template.names if name in values}
        )
        return Placed(path, self._query_of(values), self._body_of(values, arguments))

    def _query_of(self, values: dict[str, Any]) -> str:
        pairs = [
            (name, _query_text(name, one))
            for name in self._query
            if name in values
            for one in _several(name, values[name])
        ]
        return "&".join(f"{quote(name, safe='')}={quote(text, safe='')}" for name, text in pairs)

    def _body_of(self, values: dict[str, Any], arguments: bytes) -> bytes | None:
        if not self._body:
            return None
        if self._only_body:
            return arguments
        return rfc8785.dumps({name: values[name] for name in self._body if name in values})


@lru_cache(maxsize=1024)
def placement_of(binding: HttpBinding) -> Placement:
    """Return the placement of a binding, made once. Raises ConfigError."""
    return Placement(binding)


def _contradictions(binding: HttpBinding, places: tuple[str, ...]) -> tuple[str, ...]:
    problems: list[str] = []
    if len(set(places)) != len(places):
        problems.append(f"{binding.path}: an argument has two places")
    if binding.method not in {*_WITHOUT_BODY, *_WITH_BODY}:
        problems.append(f"{binding.path}: method {binding.method} is not one of GET … DELETE")
    elif binding.body and binding.method not in _WITH_BODY:
        problems.append(f"{binding.path}: {binding.method} has no body")
    return tuple(problems)


def _several(name: str, value: Any) -> list[Any]:
    if not isinstance(value, list):
        return [value]
    if not value:
        raise UpstreamFailed(f"the argument {name} is an empty list; leave it out")
    return value


def _query_text(name: str, value: Any) -> str:
    text = _text(name, value)
    if _BREAKS.search(text):
        raise UpstreamFailed(f"the argument {name} cannot stand in a query")
    return text


def _text(name: str, value: Any) -> str:
    """Return a scalar as text: strings as they are, `true`, `false`, numbers as in RFC 8785."""
    if isinstance(value, str):
        return value
    if isinstance(value, bool | int | float):
        return rfc8785.dumps(value).decode()
    raise UpstreamFailed(f"the argument {name} is neither text, number nor boolean")
