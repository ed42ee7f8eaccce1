"""A server's tools as ToolDefinitions: whole wire object, canonical, hashed."""

import hashlib
import logging
import re
from collections.abc import Iterable
from typing import Any

import rfc8785

from proxy.model.tool import ToolDefinition

TOOL_NAME = re.compile(r"[A-Za-z0-9_.-]{1,128}")
_MAX_EXACT = 2**53 - 1
log = logging.getLogger(__name__)


def definition_of(tool: Any) -> ToolDefinition:
    """Return the definition of one wire object. Raises ValueError when it is not a tool."""
    schema = tool.get("inputSchema") if isinstance(tool, dict) else None
    name = tool.get("name") if isinstance(tool, dict) else None
    if not isinstance(schema, dict):
        raise ValueError("a tool is an object with an inputSchema")  # noqa: TRY004 as told
    if not isinstance(name, str) or not TOOL_NAME.fullmatch(name):
        raise ValueError("a tool's name has 1 to 128 of A-Z a-z 0-9 _ . -")
    doubles = _doubles(tool)
    raw = rfc8785.dumps(doubles)
    pin = "sha256:" + hashlib.sha256(raw).hexdigest()
    return ToolDefinition(name, raw, pin, rfc8785.dumps(doubles["inputSchema"]))


def definitions_of(server: str, tools: Iterable[Any]) -> tuple[ToolDefinition, ...]:
    """Return the definitions of a list. What is not a tool, or has the name of another one, is
    logged and left out, so that it does not exist.
    """
    found: dict[str, ToolDefinition] = {}
    twice: set[str] = set()
    for tool in tools:
        try:
            definition = definition_of(tool)
        except (ValueError, RecursionError) as problem:
            log.warning("%s: a tool was left out: %s", server, problem)
            continue
        if definition.name in found:
            twice.add(definition.name)
        found[definition.name] = definition
    for name in twice:
        log.warning("%s: two tools are called %s; both were left out", server, name)
    return tuple(found[name] for name in found if name not in twice)


def _doubles(value: Any) -> Any:
    """Return JSON with integers beyond 2^53 as doubles, as RFC 8785 section 3.2.2.3 reads them."""
    if isinstance(value, dict):
        return {key: _doubles(member) for key, member in value.items()}
    if isinstance(value, list):
        return [_doubles(member) for member in value]
    if type(value) is int and abs(value) > _MAX_EXACT:
        try:
            return float(value)
        except OverflowError as huge:
            raise ValueError("a number beyond what JSON can hold") from huge
    return value
