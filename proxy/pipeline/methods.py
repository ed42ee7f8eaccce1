"""What no server defines, as the resolver sees it: MCP methods, and tools agents run themselves.

Methods other than tools/call have no pin, but a form of their params.

MCP 2025-11-25 and 2026-07-28, server features. Members the forms do not name are let through: the
protocol adds some, and policy sees them all.
"""

import json
from typing import Any

from proxy.model.tool import ToolDefinition, ToolManifest

_TEXT: dict[str, Any] = {"type": "string"}


def _form(**required: Any) -> dict[str, Any]:
    return {
        "type": "object",
        "properties": required,
        "required": list(required),
        "additionalProperties": True,
    }


_BY_URI = _form(uri=_TEXT)
_FORMS: dict[str, dict[str, Any]] = {
    "completion/complete": _form(ref={"type": "object"}, argument={"type": "object"}),
    "logging/setLevel": _form(level=_TEXT),
    "prompts/get": _form(name=_TEXT),
    "resources/read": _BY_URI,
    "resources/subscribe": _BY_URI,
    "resources/unsubscribe": _BY_URI,
    "tasks/cancel": _form(taskId=_TEXT),
    "tasks/get": _form(taskId=_TEXT),
    "tasks/result": _form(taskId=_TEXT),
    "tasks/update": _form(taskId=_TEXT),
}


def is_method(name: str) -> bool:
    """Whether the name of a manifest entry is an MCP method: names of tools have no slash."""
    return "/" in name


def definition_of(manifest: ToolManifest) -> ToolDefinition | None:
    """Return the definition of an entry that no server defines, None when one has to."""
    if manifest.hooks:
        known = manifest.document.get("input_schema", _form())
        return ToolDefinition(manifest.tool, b"{}", pin="", input_schema=json.dumps(known).encode())
    if not is_method(manifest.tool):
        return None
    schema = json.dumps(_FORMS.get(manifest.tool, _form())).encode()
    return ToolDefinition(manifest.tool, raw=b"{}", pin="", input_schema=schema)
