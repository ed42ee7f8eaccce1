"""Names on the aggregated endpoint: `server__name` for tools and prompts, `server+uri`."""

import re

_TOOL = re.compile(r"([A-Za-z0-9_.-]{1,128}?)__([A-Za-z0-9_.-]{1,128})")
_PROMPT = re.compile(r"([A-Za-z0-9_.-]{1,128}?)__(.+)", re.DOTALL)
_URI = re.compile(r"([A-Za-z0-9_.-]{1,128})\+(.+)", re.DOTALL)


def joined_name(server: str, tool: str) -> str | None:
    """Return `server__tool`, None when it would not split into the same two again."""
    joined = f"{server}__{tool}"
    return joined if split_name(joined) == (server, tool) else None


def split_name(name: object) -> tuple[str, str] | None:
    """Return server and tool of an aggregated name: the first `__` parts them."""
    return _parts(_TOOL, name)


def joined_prompt(server: str, prompt: str) -> str | None:
    """Return `server__prompt`, None when it would not split into the same two again.

    The name of a prompt may have any characters.
    """
    joined = f"{server}__{prompt}"
    return joined if split_prompt(joined) == (server, prompt) else None


def split_prompt(name: object) -> tuple[str, str] | None:
    """Return server and prompt of an aggregated name."""
    return _parts(_PROMPT, name)


def joined_uri(server: str, uri: str) -> str:
    """Return `server+uri`, which is a URI again: its scheme names the server too (RFC 3986 3.1)."""
    return f"{server}+{uri}"


def split_uri(uri: object) -> tuple[str, str] | None:
    """Return server and URI of an aggregated URI: the first `+` parts them, servers have none."""
    return _parts(_URI, uri)


def _parts(form: re.Pattern[str], joined: object) -> tuple[str, str] | None:
    parts = form.fullmatch(joined) if isinstance(joined, str) else None
    return (parts[1], parts[2]) if parts else None
