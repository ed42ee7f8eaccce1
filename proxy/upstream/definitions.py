"""A server's tools as ToolDefinitions: whole wire object, canonical, hashed."""

import hashlib
import logging
import re
from collections.abc import Iterable
from typing import Any

import rfc8785

from proxy.model.tool import ToolDefinition

TOOL_NAME = re.compile(r"[A-Za-z0-9_.-]{1,128}")
MAX_SHOWN_CHARS = 128
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
    """Return the definitions of a list.

    What is not a tool, or has the name of another one, comes with its problem, so that it does not
    exist; what has not even a name is only logged.
    """
    found: dict[str, ToolDefinition] = {}
    problems: list[str] = []
    for tool in tools:
        try:
            definition = definition_of(tool)
        except (ValueError, RecursionError) as problem:
            definition = _refused(_name_of(tool), str(problem))
        if definition.name in found:
            definition = _refused(definition.name, "several tools have this name")
        if definition.problem:
            problems.append(f"{definition.name!a}: {definition.problem}")
        found[definition.name] = definition
    if problems:
        log.warning("%s: %d tools left out, the first: %s", server, len(problems), problems[0])
    found.pop("", None)
    return tuple(found.values())


def _refused(name: str, problem: str) -> ToolDefinition:
    return ToolDefinition(name, raw=b"{}", pin="", input_schema=b"{}", problem=problem)


def _name_of(tool: Any) -> str:
    """Return the name of what is no tool, empty when it has none."""
    name = tool.get("name") if isinstance(tool, dict) else None
    return name[:MAX_SHOWN_CHARS] if isinstance(name, str) else ""


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
