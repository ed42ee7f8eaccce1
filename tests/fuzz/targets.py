"""What is fuzzed, and what must hold for every input: each target raises AssertionError otherwise.

Where two readers of one text exist, they are compared (differential oracles).
"""

import json
import math
import re
from collections.abc import Callable
from contextlib import suppress
from typing import Any
from urllib.parse import parse_qsl, unquote, urlsplit

import rfc8785

from proxy.errors import BadRequest, ConfigError, UpstreamFailed
from proxy.ingress.canonical import canonical_arguments, make_call
from proxy.ingress.jsonrpc import Message, Response, parse_message, result_reply
from proxy.ingress.mcp_envelope import check_envelope, check_hints, is_stateless, stateless_client
from proxy.ingress.mcp_names import joined_name, split_name
from proxy.ingress.strict_json import MAX_SAFE_INTEGER, parse
from proxy.model.call import Door
from proxy.model.tool import HttpBinding
from proxy.monitors.live_secrets import Lent, LiveSecrets
from proxy.monitors.redact import redacted
from proxy.pipeline.masks import Mask, masked
from proxy.upstream import jsonrpc as upstream_jsonrpc
from proxy.upstream.placement import Placement
from proxy.upstream.sse import EventParser
from proxy.upstream.url_template import UrlTemplate

Target = Callable[[bytes], None]

NOT_JSON = re.compile(rb"NaN|Infinity")
TEMPLATES = ("/{a}", "/x/{a}/{b}", "/{a}.json", "/v1/{a}-{b}/-/insert", "/{a}/")
BINDINGS = (
    HttpBinding("GET", "/items/{a}", query=("b", "c")),
    HttpBinding("POST", "/items/{a}", query=("b",), body=("c", "d")),
    HttpBinding("PUT", "/items", body=("a", "b", "c", "d")),
)
SECRET = "sk-Live_7f3Qx9vB2k41aZ0pLmN8/yT6=w"
LIVE = LiveSecrets()
LIVE.add("planted", SECRET)
NOTHING = Lent()


def strict_json(data: bytes) -> None:
    """What the strict parser accepts, the standard library reads alike; the rest is BadRequest."""
    code = ""
    try:
        value = parse(data)
    except BadRequest as refused:
        code = refused.code
    if code:
        assert code != "not-json" or not _is_json(data) or NOT_JSON.search(data)
        return
    other = json.loads(data.decode(), object_pairs_hook=_without_duplicates)
    assert _same(value, other)


def canonical(data: bytes) -> None:
    """One value has one canonical form, and that form is the value."""
    try:
        value = parse(data)
    except BadRequest:
        return
    if not isinstance(value, dict):
        return
    text = canonical_arguments(value)
    assert text == rfc8785.dumps(value)
    assert _same(parse(text), json.loads(text))
    assert canonical_arguments(parse(text)) == text
    with suppress(BadRequest):  # too many URLs
        call = make_call("server", "tool", value, Door.CALLS)
        assert call.arguments == text
        assert list(call.urls) == sorted(set(call.urls))


def url_template(data: bytes) -> None:
    """A filled template read again has the segments it had, and each value in its place."""
    text = data.decode("utf-8", "surrogateescape")
    with suppress(ConfigError):
        UrlTemplate(text)
    first, _, second = text.partition("\n")
    for template in TEMPLATES:
        try:
            path = UrlTemplate(template).fill({"a": first, "b": second})
        except UpstreamFailed:
            continue
        parts = urlsplit(f"http://host{path}")
        assert (parts.netloc, parts.path, parts.query, parts.fragment) == ("host", path, "", "")
        assert path.isascii()
        assert path.count("/") == template.count("/")
        assert unquote(path) == template.replace("{a}", first).replace("{b}", second)
        assert not {"", ".", ".."} & set(path.rstrip("/").split("/")[1:])


def placement(data: bytes) -> None:
    """Arguments of an HTTP tool are all in the request, once, and nothing else is."""
    try:
        value = parse(data)
    except BadRequest:
        return
    if not isinstance(value, dict):
        return
    arguments = canonical_arguments(value)
    for binding in BINDINGS:
        try:
            placed = Placement(binding).place(arguments)
        except UpstreamFailed:
            continue
        parts = urlsplit(f"http://host{placed.path}?{placed.query}")
        assert (parts.netloc, parts.path, parts.query) == ("host", placed.path, placed.query)
        assert (placed.path + placed.query).isascii()
        assert not re.search(r"[\x00-\x20\x7f]", placed.path + placed.query)
        found = {name for name, _ in parse_qsl(placed.query, keep_blank_values=True)}
        body = json.loads(placed.body) if placed.body is not None else {}
        in_path = {"a"} & value.keys() if "{a}" in binding.path else set()
        assert sorted([*found, *body, *in_path]) == sorted(value)
        assert all(_same(body[name], value[name]) for name in body)


def rpc_message(data: bytes) -> None:
    """A client's message is what any JSON-RPC reader takes it for, or BadRequest."""
    try:
        message = parse_message(data)
    except BadRequest:
        return
    plain = json.loads(data.decode())
    assert isinstance(plain, dict)
    if isinstance(message, Response):
        assert plain["id"] == message.id
        reply = message.reply.result or message.reply.error or b""
        assert _same(parse(reply), plain.get("result", plain.get("error")))
        return
    assert (message.method, message.id) == (plain["method"], plain.get("id"))
    assert _same(message.params, plain.get("params", {}))
    assert json.loads(result_reply(message.id, b"{}"))["id"] == message.id


def envelope(data: bytes) -> None:
    """Headers and body of the stateless era say the same, or the request is refused."""
    version, method, name, body = (data.split(b"\n", 3) + [b""] * 4)[:4]
    headers = {b"mcp-protocol-version": version, b"mcp-method": method, b"mcp-name": name}
    scope = {"method": "POST", "headers": [(key, one) for key, one in headers.items() if one]}
    try:
        message = parse_message(body)
        if not isinstance(message, Message):
            return
        if not is_stateless(scope, message):
            check_hints(scope, message)
            return
        check_envelope(scope, message)
        stateless_client(message, "session")
    except BadRequest:
        return
    assert (version, method) == (b"2026-07-28", message.method.encode())
    named = message.params.get("name", message.params.get("uri", message.params.get("taskId")))
    if name and not name.startswith(b"=?"):
        assert name.decode("latin-1") == named


def server_message(data: bytes) -> None:
    """A server's message is read or refused as a whole; what is passed on is what was read.

    Numbers of any size are the server's own affair: they are carried as they were spelled.
    """
    try:
        message = upstream_jsonrpc.parse(data)
    except ValueError:
        return
    plain = json.loads(data.decode())
    assert plain.get("method") == message.method
    assert b"\n" not in message.raw
    assert b"\r" not in message.raw
    carried = json.loads(message.raw)
    if message.error is not None:
        assert repr(carried) == repr(plain["error"])
        assert plain["error"]["code"] == message.error.code
    elif message.is_answer:
        assert repr(carried) == repr(message.result) == repr(plain["result"])
    else:
        params = plain["params"] if isinstance(plain.get("params"), dict) else {}
        assert repr(carried) == repr(params)


def sse(data: bytes) -> None:
    """The events of a stream do not depend on the pieces it comes in."""
    cut, stream = (data[0] if data else 0), data[1:]
    whole = EventParser()
    events = whole.feed(stream)
    step = cut % 7 + 1
    parser = EventParser()
    pieces = [stream[at : at + step] for at in range(0, len(stream), step)]
    assert [event for piece in pieces for event in parser.feed(piece)] == events
    assert (parser.last_id, parser.retry_s) == (whole.last_id, whole.retry_s)
    assert sum(map(len, events)) <= len(stream)
    assert whole.waiting_bytes <= len(stream)


def names(data: bytes) -> None:
    """A joined name of server and tool splits into the same two, or is no name."""
    text = data.decode("utf-8", "surrogateescape")
    server, _, tool = text.partition("\n")
    joined = joined_name(server, tool)
    assert joined is None or split_name(joined) == (server, tool)
    split = split_name(text)
    assert split is None or "__".join(split) == text


def result_filter(data: bytes) -> None:
    """A planted secret is found in any document, and gone from what is shown of it."""
    text = data.decode("utf-8", "replace")
    half = len(text) // 2
    planted = json.dumps({"a": [f"{text[:half]} {SECRET} {text[half:]}"]}).encode()
    assert LIVE.search(planted, NOTHING) is not None
    with suppress(ValueError):
        shown = redacted(planted, LIVE.values(NOTHING), lambda one: _shows(one.encode()))
        assert not _shows(shown)
        assert SECRET.encode() not in shown
    with suppress(ValueError):
        shown = masked(data, (Mask("result", ("*", "a")), Mask("result", ("b",))))
        assert _unmasked(json.loads(shown)) == []


TARGETS: dict[str, Target] = {
    "canonical": canonical,
    "envelope": envelope,
    "names": names,
    "placement": placement,
    "result_filter": result_filter,
    "rpc_message": rpc_message,
    "server_message": server_message,
    "sse": sse,
    "strict_json": strict_json,
    "url_template": url_template,
}


def _is_json(data: bytes) -> bool:
    try:
        json.loads(data.decode())
    except (ValueError, RecursionError):
        return False
    return True


def _without_duplicates(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    assert len({key for key, _ in pairs}) == len(pairs)
    return dict(pairs)


def _same(one: Any, other: Any) -> bool:
    """Whether two values are one in JSON: 1.0 is 1, true is not."""
    if isinstance(one, bool) or isinstance(other, bool) or one is None or other is None:
        return one is other
    if isinstance(one, int | float) and isinstance(other, int | float):
        return one == other and math.isfinite(one) and abs(one) <= _largest(one)
    if isinstance(one, dict) and isinstance(other, dict):
        return one.keys() == other.keys() and all(_same(one[key], other[key]) for key in one)
    if isinstance(one, list) and isinstance(other, list):
        return len(one) == len(other) and all(map(_same, one, other))
    return type(one) is type(other) and bool(one == other)


def _largest(number: float) -> float:
    return MAX_SAFE_INTEGER if isinstance(number, int) else math.inf


def _shows(text: bytes) -> bool:
    return LIVE.search(text, NOTHING) is not None


def _unmasked(shown: Any) -> list[Any]:
    """Return what the two masks of the target have left of what they name."""
    members = list(shown.values()) if isinstance(shown, dict) else shown
    inner = [one for one in members if isinstance(one, dict)] if isinstance(members, list) else []
    named = [one["a"] for one in inner if "a" in one]
    named += [shown["b"]] if isinstance(shown, dict) and "b" in shown else []
    return [one for one in named if one != "[masked]"]
