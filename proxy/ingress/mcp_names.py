"""Names of tools on the aggregated endpoint: `<server>__<tool>`."""

import re

_SEPARATOR = "__"
_JOINED = re.compile(r"([A-Za-z0-9_.-]{1,128}?)__([A-Za-z0-9_.-]{1,128})")


def joined_name(server: str, tool: str) -> str | None:
    """Return `server__tool`, None when it would not split into the same two again."""
    joined = f"{server}{_SEPARATOR}{tool}"
    return joined if split_name(joined) == (server, tool) else None


def split_name(name: object) -> tuple[str, str] | None:
    """Return server and tool of an aggregated name: the first `__` parts them."""
    parts = _JOINED.fullmatch(name) if isinstance(name, str) else None
    return (parts[1], parts[2]) if parts else None
