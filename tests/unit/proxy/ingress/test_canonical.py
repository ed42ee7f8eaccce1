import json
from typing import Any

import pytest
import rfc8785
from hypothesis import given
from hypothesis import strategies as st

from proxy.errors import BadRequest
from proxy.ingress.canonical import (
    Params,
    canonical_arguments,
    flags_in,
    make_call,
    make_mcp_call,
    urls_in,
)
from proxy.ingress.strict_json import parse
from proxy.model.call import Door

KEYS = st.text('ab"\\\n\x7f\u00e9\u2028\ufb01\uffff\U00010000\U0001f600', max_size=4)
VALUES = st.recursive(
    st.none()
    | st.booleans()
    | st.integers(-(2**53) + 1, 2**53 - 1)
    | st.floats(-(2.0**53) + 1, 2.0**53 - 1)
    | st.text(st.characters(exclude_characters="\0", exclude_categories=["Cs"])),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(KEYS, inner, max_size=4),
    max_leaves=15,
)
FLAGGED = [
    ({"a": "x\u202ey"}, ("bidi",)),
    ({"a": "x\u200by"}, ("zero_width",)),
    ({"a": "pass\u200dword"}, ("zero_width",)),
    ({"a": "\u00e9\u200c\u200d\u00e9"}, ("zero_width",)),
    ({"a": "\u200d\u00e9"}, ("zero_width",)),
    ({"a": "\U0001f468\u200d\U0001f469", "b": "\u0645\u06cc\u200c\u062e"}, ()),
    ({"a": "x\U000e0041"}, ("tag_characters",)),
    ({"a": "\x1b[31m"}, ("control",)),
    ({"a": "x\x85"}, ("control",)),
    ({"a\n": 1}, ("control",)),
    ({"a\r\u202e": "https://u@h/"}, ("bidi", "control", "url_userinfo")),
    ({"a": {"b": ["\ufeff"]}}, ("zero_width",)),
    ({"a": "line\nline\ttab\r\n", "b": "é 日本 😀"}, ()),
]
REFUSED: list[tuple[dict[str, Any], str]] = [
    ({"server": None}, "unknown-tool-name"),
    ({"server": "a/b"}, "unknown-tool-name"),
    ({"tool": ""}, "unknown-tool-name"),
    ({"tool": "x" * 129}, "unknown-tool-name"),
    ({"tool": "write\n"}, "unknown-tool-name"),
    ({"tool": "wr\u0456te"}, "unknown-tool-name"),
    ({"tool": "\uff44elete"}, "unknown-tool-name"),
    ({"tool": 1}, "unknown-tool-name"),
    ({"arguments": None}, "arguments-not-object"),
    ({"arguments": []}, "arguments-not-object"),
    ({"dry_run": 1}, "invalid-dry-run"),
    ({"dry_run": "false"}, "invalid-dry-run"),
    ({"idempotency_key": ""}, "invalid-idempotency-key"),
    ({"idempotency_key": "x" * 256}, "invalid-idempotency-key"),
    ({"idempotency_key": "k\n"}, "invalid-idempotency-key"),
    ({"idempotency_key": "ké"}, "invalid-idempotency-key"),
    ({"idempotency_key": 7}, "invalid-idempotency-key"),
]


def call_with(**changed: Any) -> Any:
    members: dict[str, Any] = {"server": "rec", "tool": "write", "arguments": {}} | changed
    server, tool, arguments = (members.pop(name) for name in ("server", "tool", "arguments"))
    return make_call(server, tool, arguments, Door.CALLS, **members)


@given(st.dictionaries(KEYS, VALUES, max_size=4))
def test_canonical_bytes_are_those_of_rfc_8785(value: dict[str, Any]) -> None:
    """The quick way and the slow way give the same bytes for everything the parser lets through."""
    parsed = parse(json.dumps(value).encode())
    assert canonical_arguments(parsed) == rfc8785.dumps(value)


@pytest.mark.parametrize("spelled", ["1", "1.0", "1e0", "10e-1", "0.1e1"])
def test_one_value_has_one_spelling(spelled: str) -> None:
    """However a number is written, policy, hash and tool see the same bytes."""
    assert canonical_arguments(parse(b'{"n":%b}' % spelled.encode())) == b'{"n":1}'


def test_negative_zero_is_zero() -> None:
    """-0, -0.0 and 0 are one value."""
    assert canonical_arguments(parse(b'{"a":-0.0,"b":-0,"c":0}')) == b'{"a":0,"b":0,"c":0}'


def test_key_order_follows_utf_16() -> None:
    """RFC 8785 section 3.2.3 sorts by UTF-16 code units, where U+1F600 comes before U+FB33."""
    value = {"\ufb33": 1, "\U0001f600": 2}
    assert list(json.loads(canonical_arguments(value))) == ["\U0001f600", "\ufb33"]


def test_a_call_carries_everything_once() -> None:
    """Names as they came, canonical arguments, URLs and flags beside them."""
    arguments = {"to": "HTTP://u@H.example:80", "n": 1.0}
    call = call_with(arguments=arguments, dry_run=True, idempotency_key="k 1")
    assert (call.server, call.tool, call.door) == ("rec", "write", Door.CALLS)
    assert call.arguments == b'{"n":1,"to":"HTTP://u@H.example:80"}'
    assert (call.dry_run, call.idempotency_key) == (True, "k 1")
    assert (call.urls, call.flags) == (("http://h.example/",), ("url_userinfo",))


@pytest.mark.parametrize(("changed", "code"), REFUSED)
def test_malformed_parts_are_refused(changed: dict[str, Any], code: str) -> None:
    """Nothing is coerced and no identifier is folded."""
    with pytest.raises(BadRequest) as refused:
        call_with(**changed)
    assert (refused.value.code, refused.value.rpc_code) == (code, -32602)


@pytest.mark.parametrize(("arguments", "flags"), FLAGGED)
def test_odd_characters_are_flagged(arguments: dict[str, Any], flags: tuple[str, ...]) -> None:
    """In keys and strings at any depth; ordinary text in any script is not odd."""
    assert flags_in(arguments) == flags


def test_urls_are_found_in_keys_and_nested_strings() -> None:
    """Wherever a destination hides, the policy sees it."""
    arguments = {"http://a.com/": {"b": ["http://c.com/", 1, None]}}
    assert urls_in(arguments) == ("http://a.com/", "http://c.com/")


def test_what_stands_beside_the_arguments_is_canonical_and_looked_through() -> None:
    """A destination or an odd character cannot hide in extras, `_meta` or responses."""
    params = Params(
        {"a": 1.0},
        extras={"task": {"url": "http://extras.example/"}},
        meta={"b": "x\u202ey", "a": 1},
        responses={"k": {"to": "http://responses.example/"}},
    )
    call = make_mcp_call("rec", "write", params)
    assert (call.arguments, call.meta) == (b'{"a":1}', '{"a":1,"b":"x\u202ey"}'.encode())
    assert call.extras == b'{"task":{"url":"http://extras.example/"}}'
    assert call.urls == ("http://extras.example/", "http://responses.example/")
    assert call.flags == ("bidi",)


@pytest.mark.parametrize("method", ["resources/read", "a/b/c", "vendor.x/$do-it_1"])
def test_a_methods_name_has_slashes(method: str) -> None:
    """It is the tool of its call."""
    call = make_mcp_call("rec", method, Params({"uri": "file:///x"}))
    assert (call.tool, call.method, call.resource_id) == (method, method, f"rec/{method}")


@pytest.mark.parametrize("method", ["/", "a/", "/a", "a//b", "a/b\n", "a/é", "a/" + "b" * 127])
def test_other_names_with_slashes_are_none(method: str) -> None:
    """Neither of a method nor of a tool."""
    with pytest.raises(BadRequest) as refused:
        make_mcp_call("rec", method, Params({}))
    assert refused.value.code == "unknown-tool-name"
