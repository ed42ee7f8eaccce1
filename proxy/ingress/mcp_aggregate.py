"""One endpoint for several servers: which server a request means, and names on the way back.

Tools and prompts are `server__name`, resources and their templates `server+uri`. A method that
names nothing of a server goes to the one server that offers it.
"""

from collections.abc import Collection
from typing import Any

from proxy.errors import BadRequest
from proxy.ingress.jsonrpc import INVALID_PARAMS, dumps
from proxy.ingress.mcp_names import joined_prompt, joined_uri, split_prompt, split_uri
from proxy.model.json_text import array_of, items_of, object_of, string_of, texts_of

_BY_URI = frozenset({"resources/read", "resources/subscribe", "resources/unsubscribe"})
_INSIDE = ("resource", "content")
_REFERENCES = {"ref/prompt": "name", "ref/resource": "uri"}

Routed = tuple[str, dict[str, Any]]


def routed(method: str, params: dict[str, Any], offered: Collection[tuple[str, str]]) -> Routed:
    """Return the server a request means, and its params with the server's own names.

    Raises BadRequest when they name none; LookupError when no server, or none alone, offers it.
    """
    if method == "prompts/get":
        return _renamed(params, "name", split_prompt(params.get("name")))
    if method in _BY_URI:
        return _renamed(params, "uri", split_uri(params.get("uri")))
    if method == "completion/complete":
        return _reference(params)
    servers = offering(method, offered)
    if len(servers) != 1:
        raise LookupError(method)
    return servers[0], params


def offering(method: str, offered: Collection[tuple[str, str]]) -> list[str]:
    """Return the servers that offer a method, sorted."""
    return sorted(server for server, has in offered if has == method)


def _reference(params: dict[str, Any]) -> Routed:
    """Route a completion by what it refers to."""
    ref = params.get("ref")
    kind = ref.get("type") if isinstance(ref, dict) else None
    member = _REFERENCES.get(kind) if isinstance(kind, str) else None
    if member is None or not isinstance(ref, dict):
        raise _nothing_named()
    split = split_prompt if member == "name" else split_uri
    server, own = _renamed(ref, member, split(ref.get(member)))
    return server, params | {"ref": own}


def _renamed(params: dict[str, Any], member: str, parts: tuple[str, str] | None) -> Routed:
    if parts is None:
        raise _nothing_named()
    return parts[0], params | {member: parts[1]}


def _nothing_named() -> BadRequest:
    return BadRequest(
        "unknown-name",
        "Nothing has that name; see the lists for what is here.",
        400,
        INVALID_PARAMS,
    )


# What the lists are called, and which member of an item has the name.
LISTS = {
    "prompts/list": ("prompts", "name"),
    "resources/list": ("resources", "uri"),
    "resources/templates/list": ("resourceTemplates", "uriTemplate"),
}


def joined_item(method: str, server: str, item: str) -> str | None:
    """Return an item of a server's list with its aggregated name, None when it has none."""
    _, member = LISTS[method]
    members = texts_of(item)
    name = string_of(members.get(member)) if members else None
    if members is None or name is None:
        return None
    joined = joined_prompt(server, name) if member == "name" else joined_uri(server, name)
    return None if joined is None else object_of(members | {member: _text(joined)})


def joined_result(method: str, server: str, result: bytes) -> bytes:
    """Return a result with the URIs a client can read again: of contents, links and resources."""
    if method == "resources/read":
        return _each(result, "contents", server)
    if b'"resource' not in result:
        return result
    if method == "prompts/get":
        return _each(result, "messages", server)
    return _each(result, "content", server)


def joined_params(server: str, params: bytes) -> bytes:
    """Return the params of a notification with the URI a client can read."""
    return _joined_uris(params.decode(), server).encode()


def _each(result: bytes, member: str, server: str) -> bytes:
    members = texts_of(result) or {}
    items = items_of(members.get(member, ""))
    if items is None:
        return result
    joined = array_of(_joined_uris(item, server) for item in items)
    return object_of(members | {member: joined}).encode()


def _joined_uris(item: str, server: str, depth: int = 2) -> str:
    """Rename the URI of a part, of its resource, and of the content of a message (two deep)."""
    members = texts_of(item) if depth >= 0 else None
    if members is None:
        return item
    changed: dict[str, str] = {
        name: _joined_uris(members[name], server, depth - 1) for name in _INSIDE if name in members
    }
    uri = string_of(members.get("uri"))
    if uri is not None:
        changed["uri"] = _text(joined_uri(server, uri))
    return object_of(members | changed) if changed else item


def _text(value: str) -> str:
    return dumps(value).decode()
