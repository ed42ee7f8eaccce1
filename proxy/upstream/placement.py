"""Where the arguments of an HTTP tool go: path, query, body or headers, and nowhere else."""

import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from functools import lru_cache
from json import JSONDecoder
from typing import Any
from urllib.parse import quote

import rfc8785

from proxy.errors import ConfigError, UpstreamFailed
from proxy.model.tool import HttpBinding
from proxy.upstream.url_template import UrlTemplate

_WITHOUT_BODY = ("GET", "DELETE")
_WITH_BODY = ("POST", "PUT", "PATCH", "DELETE")
_VALUE = JSONDecoder()
_BREAKS = re.compile(r"[\x00\r\n\ud800-\udfff]")


@dataclass(frozen=True, slots=True)
class _Member:
    """A member of a JSON object: its name and value as text, and the value."""

    name: str
    text: str
    value: Any


@dataclass(frozen=True, slots=True)
class Placed:
    """A request's path, its query without the question mark, its body (None: no body), and the
    headers that arguments stand in.
    """

    path: str
    query: str
    body: bytes | None
    headers: Mapping[str, str] = field(default_factory=dict)


class Placement:
    """A binding made ready. Raises ConfigError when the binding contradicts itself."""

    def __init__(self, binding: HttpBinding) -> None:
        self.template = UrlTemplate(binding.path)
        self._query = _wire_names(binding, binding.query)
        self._body = _wire_names(binding, binding.body)
        self._headers = _wire_names(binding, binding.headers)
        places = (*self.template.names, *binding.query, *binding.body, *binding.headers)
        problems = _contradictions(binding, places)
        if problems:
            raise ConfigError(problems)
        self._places = frozenset(places)
        self._is_renamed = bool(binding.names)
        self._is_all_body = frozenset(binding.body) == self._places and not self._is_renamed

    def place(self, arguments: bytes) -> Placed:
        """Put canonical arguments where they belong. Raises UpstreamFailed when one has no place or
        cannot be written there; nothing is dropped, and nothing is written in two ways.
        """
        members = _members(arguments.decode())
        values = {name: member.value for name, member in members.items()}
        homeless = sorted(values.keys() - self._places)
        if homeless:
            raise UpstreamFailed(f"no place in the request for: {', '.join(homeless)}")
        path = self.template.fill(
            {name: _text(name, values[name]) for name in self.template.names if name in values}
        )
        headers = {
            name: _text(argument, values[argument])
            for argument, name in self._headers.items()
            if argument in values
        }
        return Placed(path, self._query_of(values), self._body_of(members, arguments), headers)

    def _query_of(self, values: dict[str, Any]) -> str:
        pairs = [
            (name, _query_text(argument, one))
            for argument, name in self._query.items()
            if argument in values
            for one in _several(argument, values[argument])
        ]
        return "&".join(f"{quote(name, safe='')}={quote(text, safe='')}" for name, text in pairs)

    def _body_of(self, members: dict[str, _Member], arguments: bytes) -> bytes | None:
        if not self._body:
            return None
        if self._is_all_body:
            return arguments
        kept = [
            (self._body[argument], member.text)
            for argument, member in members.items()
            if argument in self._body
        ]
        # Some members of a canonical object, in their order, are canonical again; new names have
        # their own order: by UTF-16 code units, RFC 8785 section 3.2.3.
        if self._is_renamed:
            kept.sort(key=lambda pair: pair[0].encode("utf-16-be", "surrogatepass"))
        return b"{%b}" % b",".join(
            b"%b:%b" % (rfc8785.dumps(name), text.encode()) for name, text in kept
        )


@lru_cache(maxsize=1024)
def placement_of(binding: HttpBinding) -> Placement:
    """Return the placement of a binding, made once. Raises ConfigError."""
    return Placement(binding)


def _members(canonical: str) -> dict[str, _Member]:
    """Return the members of a canonical object by name.

    Raises UpstreamFailed when it is not one object, without a space between its members.
    """
    members: dict[str, _Member] = {}
    at = 1
    try:
        while canonical[at] == '"':
            name, colon = _VALUE.raw_decode(canonical, at)
            value, after = _VALUE.raw_decode(canonical, colon + 1)
            members[name] = _Member(canonical[at:colon], canonical[colon + 1 : after], value)
            at = after + (canonical[after] == ",")
    except (ValueError, IndexError, RecursionError) as broken:
        raise UpstreamFailed("the arguments are not a canonical object") from broken
    if "{" + ",".join(f"{one.name}:{one.text}" for one in members.values()) + "}" != canonical:
        raise UpstreamFailed("the arguments are not a canonical object")
    return members


def _wire_names(binding: HttpBinding, arguments: tuple[str, ...]) -> dict[str, str]:
    return {argument: binding.wire_name(argument) for argument in arguments}


def _contradictions(binding: HttpBinding, places: tuple[str, ...]) -> tuple[str, ...]:
    problems: list[str] = []
    if len(set(places)) != len(places):
        problems.append(f"{binding.path}: an argument has two places")
    named = [
        list(_wire_names(binding, binding.query).values()),
        list(_wire_names(binding, binding.body).values()),
        [name.lower() for name in _wire_names(binding, binding.headers).values()],
    ]
    if any(len(set(names)) != len(names) for names in named):
        problems.append(f"{binding.path}: two arguments have one name in the request")
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
    if isinstance(value, bool):
        return "true" if value else "false"
    if isinstance(value, int):
        return str(value)
    if isinstance(value, float):
        return str(rfc8785.dumps(value), "ascii")
    raise UpstreamFailed(f"the argument {name} is neither text, number nor boolean")
