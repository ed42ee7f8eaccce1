"""From parsed JSON to the canonical ToolCall: the bytes policy decides on and the tool receives."""

import json
import re
from dataclasses import dataclass, field
from typing import Any

import rfc8785

from proxy.errors import BadRequest
from proxy.ingress.urls import find_urls
from proxy.model.call import Door, ToolCall

_NAME = re.compile(r"[A-Za-z0-9_.-]{1,128}")
_METHOD = re.compile(r"(?=.{1,128}\Z)[A-Za-z0-9_$.-]+(?:/[A-Za-z0-9_$.-]+)+")
_IDEMPOTENCY_KEY = re.compile(r"[\x20-\x7e]{1,255}")
_INVALID_PARAMS = -32602

_PLAIN = json.JSONEncoder(
    ensure_ascii=False, allow_nan=False, sort_keys=True, separators=(",", ":")
)
_ASTRAL = re.compile("[\U00010000-\U0010ffff]")

_FLAGS = {
    "bidi": re.compile("[\u061c\u200e\u200f\u202a-\u202e\u2066-\u2069]"),
    # Joiners between two letters of a script that needs them, or inside of an emoji, are text.
    "zero_width": re.compile(
        "[\u00ad\u180e\u200b\u2060-\u2064\ufeff]|[\u200c\u200d]{2}"
        "|(?<![^\x00-\x7f])[\u200c\u200d]|[\u200c\u200d](?![^\x00-\x7f])"
    ),
    "tag_characters": re.compile("[\U000e0000-\U000e007f\U000e0100-\U000e01ef]"),
    "control": re.compile("[\x00-\x1f\x7f-\x9f]"),
}
_LINE_BREAK = re.compile("[\t\n\r\u2028\u2029]")


def make_call(
    server: object,
    tool: object,
    arguments: object,
    door: Door,
    *,
    dry_run: object = False,
    idempotency_key: object = None,
) -> ToolCall:
    """Build the call from values of `strict_json.parse`; nothing is coerced, nothing folded.

    Raises BadRequest: unknown-tool-name, arguments-not-object, invalid-dry-run,
    invalid-idempotency-key, too-many-urls.
    """
    params = Params(arguments, dry_run=dry_run, idempotency_key=idempotency_key)
    return _call(_name(server), _name(tool), params, door)


@dataclass(frozen=True, slots=True)
class Params:
    """The parts of a request, as `strict_json.parse` gave them.

    `extras`, `meta` and `responses` (of a later round) are decided on and forwarded beside the
    arguments. `dry_run` and `idempotency_key` are what the client asks of Detent.
    """

    arguments: object
    extras: dict[str, Any] = field(default_factory=dict)
    meta: dict[str, Any] = field(default_factory=dict)
    responses: dict[str, Any] = field(default_factory=dict)
    dry_run: object = False
    idempotency_key: object = None


def make_mcp_call(server: object, tool: object, params: Params) -> ToolCall:
    """Build the call of a tool, or of an MCP method when `tool` is one (it has a slash).

    URLs and odd characters are looked for in everything the server gets. Raises BadRequest as
    make_call does.
    """
    is_method = isinstance(tool, str) and _METHOD.fullmatch(tool) is not None
    return _call(_name(server), str(tool) if is_method else _name(tool), params, Door.MCP)


def _call(server: str, tool: str, params: Params, door: Door) -> ToolCall:
    if not isinstance(params.arguments, dict):
        raise _refuse("arguments-not-object", "`arguments` must be a JSON object.")
    if not isinstance(params.dry_run, bool):
        raise _refuse("invalid-dry-run", "The dry-run mark must be true or false.")
    keys, strings, has_floats = _survey(params.arguments)
    beside: list[Any] = [part for part in (params.extras, params.meta, params.responses) if part]
    if beside:
        more_keys, more_strings, _ = _survey(beside)
        keys, strings = keys + more_keys, strings + more_strings
    urls, odd = find_urls(strings + keys)
    return ToolCall(
        server=server,
        tool=tool,
        arguments=_canonical(params.arguments, has_floats=has_floats),
        door=door,
        dry_run=params.dry_run,
        idempotency_key=_idempotency_key(params.idempotency_key),
        urls=urls,
        flags=tuple(sorted(_flags(keys, strings) | odd)),
        extras=_beside(params.extras),
        meta=_beside(params.meta),
    )


def _beside(value: dict[str, Any]) -> bytes:
    return canonical_arguments(value) if value else b"{}"


def canonical_arguments(value: dict[str, Any]) -> bytes:
    """Return the RFC 8785 form of an object that came out of `strict_json.parse`."""
    return _canonical(value, has_floats=_survey(value)[2])


def urls_in(value: dict[str, Any]) -> tuple[str, ...]:
    """Return every URL-shaped key and string inside, normalised and sorted."""
    keys, strings, _ = _survey(value)
    return find_urls(strings + keys)[0]


def flags_in(value: dict[str, Any]) -> tuple[str, ...]:
    """Return what is odd about keys, strings and URLs inside, sorted.

    `bidi`, `zero_width`, `tag_characters`, `control` (in keys line breaks and tabs too),
    `url_userinfo`, `url_malformed`.
    """
    keys, strings, _ = _survey(value)
    return tuple(sorted(_flags(keys, strings) | find_urls(strings + keys)[1]))


def _canonical(value: dict[str, Any], *, has_floats: bool) -> bytes:
    """Return RFC 8785, by the C encoder where it cannot differ.

    It differs in how floats are spelled and in the order of keys beyond the basic plane (UTF-16
    code units there, code points here): both go the slow way.
    """
    if has_floats:
        return rfc8785.dumps(value)
    text = _PLAIN.encode(value)
    if not text.isascii() and _ASTRAL.search(text):
        return rfc8785.dumps(value)
    return text.encode()


def _survey(value: dict[str, Any] | list[Any]) -> tuple[list[str], list[str], bool]:
    """Return all keys, all strings, and whether there is a float, in one walk."""
    keys: list[str] = []
    strings: list[str] = []
    has_floats = False
    waiting: list[Any] = [value]
    for item in waiting:
        kind = type(item)
        if kind is str:
            strings.append(item)
        elif kind is dict:
            keys.extend(item)
            waiting.extend(item.values())
        elif kind is list:
            waiting.extend(item)
        elif kind is float:
            has_floats = True
    return keys, strings, has_floats


def _flags(keys: list[str], strings: list[str]) -> frozenset[str]:
    names = "".join(keys)
    found = {"control"} if _LINE_BREAK.search(names) else set()
    text = (names + "".join(strings)).replace("\n", "").replace("\t", "").replace("\r", "")
    if not (text.isascii() and text.isprintable()):
        found |= {flag for flag, pattern in _FLAGS.items() if pattern.search(text)}
    return frozenset(found)


def _name(name: object) -> str:
    """Return a server or tool name as it is: no case or NFKC folding of identifiers."""
    if not isinstance(name, str) or _NAME.fullmatch(name) is None:
        raise _refuse(
            "unknown-tool-name", "Names of servers and tools are 1 to 128 of A-Z a-z 0-9 _ . -"
        )
    return name


def _idempotency_key(key: object) -> str | None:
    if key is None:
        return None
    if not isinstance(key, str) or _IDEMPOTENCY_KEY.fullmatch(key) is None:
        raise _refuse(
            "invalid-idempotency-key", "An idempotency key is 1 to 255 printable ASCII characters."
        )
    return key


def _refuse(code: str, detail: str) -> BadRequest:
    return BadRequest(code, detail, rpc_code=_INVALID_PARAMS)
