"""The settings of Claude Code that make it ask, and those that keep a user from turning it off.

Names and meanings are those of Claude Code 2.1.330. Every function returns a new document.
"""

import copy
from typing import Any

OLDEST = "2.1.295"
TIMEOUT_S = 10
TOKEN = "DETENT_TOKEN"  # noqa: S105  (the name of a variable)
SERVER = "detent"

# SessionStart takes no HTTP hooks: a session is known from its first tool use.
EVENTS = (
    "PreToolUse",
    "PermissionRequest",
    "PostToolUse",
    "PostToolUseFailure",
    "PostToolBatch",
    "UserPromptSubmit",
    "Elicitation",
    "Stop",
    "SubagentStop",
    "SessionEnd",
)

_PATH = "/hooks/claude-code"

Document = dict[str, Any]


def guarded_settings(settings: Document, url: str) -> Document:
    """Return settings in which every event asks the gateway; other hooks stay.

    Raises TypeError, as the others do, for a setting that is of another type than Claude Code's.
    """
    after = _hooked(settings, url)
    _add(after, "enabledMcpjsonServers", SERVER)
    return after


def locked_settings(settings: Document, url: str) -> Document:
    """Return managed settings: the same hooks, and nothing below them can switch them off."""
    after = _hooked(settings, url)
    after["allowManagedHooksOnly"] = True
    after["disableAllHooks"] = False
    _add(after, "allowedHttpHookUrls", f"{url}{_PATH}")
    _add(after, "httpHookAllowedEnvVars", TOKEN)
    after["requiredMinimumVersion"] = _newer(after.get("requiredMinimumVersion"))
    after["allowManagedMcpServersOnly"] = True
    _add(after, "allowedMcpServers", {"serverUrl": f"{url}/mcp"})
    permissions = _dict(after, "permissions")
    permissions["disableBypassPermissionsMode"] = "disable"
    permissions["disableAutoMode"] = "disable"
    return after


def with_server(servers: Document, url: str) -> Document:
    """Return an MCP configuration in which the gateway is the server `detent`."""
    after = copy.deepcopy(servers)
    _dict(after, "mcpServers")[SERVER] = {
        "type": "http",
        "url": f"{url}/mcp",
        "headers": {"Authorization": f"Bearer ${{{TOKEN}}}"},
    }
    return after


def hook(url: str) -> Document:
    """Return one HTTP hook. `timeout` is in seconds; any failure blocks."""
    return {
        "type": "http",
        "url": f"{url}{_PATH}",
        "timeout": TIMEOUT_S,
        "onFailure": "block",
        "headers": {"Authorization": f"Bearer ${TOKEN}"},
        "allowedEnvVars": [TOKEN],
    }


def _hooked(settings: Document, url: str) -> Document:
    after = copy.deepcopy(settings)
    hooks = _dict(after, "hooks")
    for event in EVENTS:
        others = [kept for entry in _list(hooks, event) if (kept := _without_ours(entry))]
        hooks[event] = [*others, {"hooks": [hook(url)]}]
    return after


def _without_ours(entry: Any) -> Any:
    """Return a matcher's entry without hooks of ours, None when nothing else was in it."""
    hooks = entry.get("hooks") if isinstance(entry, dict) else None
    if not isinstance(hooks, list):
        return entry
    others = [one for one in hooks if not _is_ours(one)]
    if others == hooks:
        return entry
    return {**entry, "hooks": others} if others else None


def _is_ours(one: Any) -> bool:
    return isinstance(one, dict) and str(one.get("url", "")).endswith(_PATH)


def _newer(version: Any) -> str:
    """Return the later of a version and the oldest that will do."""
    known = version if isinstance(version, str) else "0"
    parts = [part for part in known.split(".") if part.isdecimal()]
    wanted = [*map(int, OLDEST.split("."))]
    return known if [*map(int, parts)] >= wanted else OLDEST


def _add(document: Document, key: str, value: Any) -> None:
    known = _list(document, key)
    document[key] = known if value in known else [*known, value]


def _dict(document: Document, key: str) -> Document:
    inner = document.setdefault(key, {})
    if not isinstance(inner, dict):
        raise TypeError(f"{key} is no object")
    return inner


def _list(document: Document, key: str) -> list[Any]:
    known = document.get(key, [])
    if not isinstance(known, list):
        raise TypeError(f"{key} is no list")
    return known
