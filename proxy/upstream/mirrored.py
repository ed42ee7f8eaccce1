"""What the 2026-07-28 HTTP transport mirrors from a call into headers: name and marked arguments.

`Mcp-Name` repeats the name or URI of the methods that have one (MCP, standard request headers).

A property of the input schema with `x-mcp-header: <token>` comes as `Mcp-Param-<token>` as well
(MCP, transports, custom headers); a server refuses a call whose headers and body disagree.
"""

import base64
import re
from collections.abc import Iterator, Mapping
from typing import Any

from proxy.model.call import TOOLS_CALL
from proxy.upstream.base import UpstreamCall
from proxy.upstream.jsonrpc import loads

Marks = tuple[tuple[tuple[str, ...], str], ...]
_TOKEN = re.compile(r"[!#$%&'*+\-.^_`|~0-9A-Za-z]+")  # RFC 9110 section 5.6.2
_PLAIN = re.compile(r"([\x21-\x7e]([\x20-\x7e]*[\x21-\x7e])?)?")
_WRAPPED = re.compile(r"=\?base64\?.*\?=")
_TYPES = frozenset({"string", "integer", "boolean"})
_NAMED_BY = {
    "prompts/get": "name",
    "resources/read": "uri",
    "tasks/cancel": "taskId",
    "tasks/get": "taskId",
    "tasks/update": "taskId",
}


def marks_of(input_schema: bytes) -> Marks | None:
    """Return the marked properties, as path and header, None when a mark is wrong.

    Over HTTP a tool with a wrong mark does not exist (MCP 2026-07-28, schema extension).
    """
    marks: list[tuple[tuple[str, ...], str]] = []
    for path, schema in _properties((), loads(input_schema)):
        if "x-mcp-header" not in schema:
            continue
        token = schema["x-mcp-header"]
        good = isinstance(token, str) and _TOKEN.fullmatch(token)
        kind = schema.get("type")
        if not good or not isinstance(kind, str) or kind not in _TYPES:
            return None
        marks.append((path, f"Mcp-Param-{token}"))
    names = {header.lower() for _, header in marks}
    return tuple(marks) if len(names) == len(marks) else None


def name_header(call: UpstreamCall) -> dict[str, str]:
    """Return the header that names what a call is about, none when it names nothing."""
    if call.method == TOOLS_CALL:
        return {"Mcp-Name": header_value(call.manifest.tool)}
    member = _NAMED_BY.get(call.method)
    named = _at(loads(call.arguments), (member,)) if member else None
    return {"Mcp-Name": header_value(named)} if isinstance(named, str) else {}


def mirrored(marks: Marks, arguments: bytes) -> dict[str, str]:
    """Return the headers a call's arguments come with. A property that is absent has none."""
    values = loads(arguments) if marks else None
    headers: dict[str, str] = {}
    for path, header in marks:
        value = _at(values, path)
        if isinstance(value, bool):
            headers[header] = "true" if value else "false"
        elif isinstance(value, str | int | float):
            headers[header] = header_value(str(value))
    return headers


def header_value(text: str) -> str:
    """Return text as a header value, as `=?base64?…?=` when it would not survive as it is."""
    if _PLAIN.fullmatch(text) and not _WRAPPED.fullmatch(text):
        return text
    return f"=?base64?{base64.b64encode(text.encode()).decode()}?="


def _properties(
    path: tuple[str, ...], schema: Any
) -> Iterator[tuple[tuple[str, ...], Mapping[str, Any]]]:
    properties = schema.get("properties") if isinstance(schema, dict) else None
    for name, inner in properties.items() if isinstance(properties, dict) else ():
        if isinstance(inner, dict):
            yield (*path, name), inner
            yield from _properties((*path, name), inner)


def _at(values: Any, path: tuple[str, ...]) -> Any:
    for name in path:
        values = values.get(name) if isinstance(values, dict) else None
    return values
