import base64
import json
from collections.abc import Callable
from typing import Any
from urllib.parse import quote

import pytest
from hypothesis import given
from hypothesis import strategies as st

from proxy.model.call import Door, ToolCall
from proxy.model.finding import Finding, FindingAction, Severity
from proxy.monitors.canary import Canary, CanaryMonitor

TOKEN = "AKIA-Fake_7f3Q/x+9'vB&2k=41"
PLAIN_TOKEN = "AKIAFAKE7F3QX9VB2K41"
MONITOR = CanaryMonitor([Canary("other", "never-planted-token"), Canary("aws", TOKEN)])


def call(arguments: bytes, key: str | None = None) -> ToolCall:
    """Make a call; the monitor sees its canonical arguments."""
    return ToolCall("repo", "commit", arguments, Door.CALLS, idempotency_key=key)


def seen(value: Any) -> Finding | None:
    """Return what is found in these arguments, written as canonical JSON writes them."""
    raw = json.dumps(value, ensure_ascii=False, separators=(",", ":")).encode()
    return MONITOR.on_call(call(raw))


def every_octet(text: str) -> str:
    return "".join(f"%{octet:02x}" for octet in text.encode())


ENCODINGS: dict[str, Callable[[str], str]] = {
    "plain": str,
    "lower case": str.lower,
    "upper case": str.upper,
    "inside text": lambda text: f"before{text}after",
    "wrapped": lambda text: f"{text[:9]}\r\n  {text[9:]}",
    "invisible characters": "\u200b".join,
    "nul between": "\0".join,
    "url": lambda text: quote(text, safe=""),
    "url, lower-case": lambda text: quote(text, safe="").replace("%2F", "%2f"),
    "url, every octet": every_octet,
    "url, twice": lambda text: quote(quote(text, safe=""), safe=""),
    "url, every octet, twice": lambda text: every_octet(every_octet(text)),
    "base64": lambda text: base64.b64encode(text.encode()).decode(),
    "base64, url-safe": lambda text: base64.urlsafe_b64encode(text.encode()).decode(),
    "base64, no padding": lambda text: base64.b64encode(text.encode()).decode().rstrip("="),
    "base64, second alignment": lambda text: base64.b64encode(b"k=" + text.encode()).decode(),
    "base64, third alignment": lambda text: base64.b64encode(b"k" + text.encode()).decode(),
    "base64, wrapped": lambda text: base64.encodebytes(b"x" * 50 + text.encode()).decode(),
    "base64, url-encoded": lambda text: quote(base64.b64encode(text.encode()).decode(), safe=""),
    "hex": lambda text: text.encode().hex(),
    "hex, upper-case": lambda text: text.encode().hex().upper(),
    "json inside": lambda text: json.dumps({"key": text}),
    "json inside json": lambda text: json.dumps({"key": json.dumps([text])}),
    "json, unicode escapes": lambda text: "".join(f"\\u{ord(char):04X}" for char in text),
    "json inside a url": lambda text: quote(json.dumps({"key": text}), safe=""),
    "url inside json": lambda text: json.dumps({"key": quote(text, safe="")}),
}


@pytest.mark.parametrize("encode", ENCODINGS.values(), ids=ENCODINGS)
@pytest.mark.parametrize("place", [lambda t: {"a": [t]}, lambda t: {t: 1}], ids=["value", "key"])
def test_a_token_is_found_in_every_encoding_and_place(
    encode: Callable[[str], str], place: Callable[[str], Any]
) -> None:
    """Values and keys are looked at alike."""
    found = seen(place(encode(TOKEN)))
    assert found is not None
    assert found.subject == "aws"


@pytest.mark.parametrize("encode", ENCODINGS.values(), ids=ENCODINGS)
def test_a_token_is_found_in_a_result_written_with_escapes(encode: Callable[[str], str]) -> None:
    """A server may escape every character beyond ASCII, and slashes."""
    text = json.dumps({"content": [{"type": "text", "text": encode(TOKEN)}]})
    found = MONITOR.on_result(call(b"{}"), text.replace("/", "\\/").encode())
    assert found is not None


def test_a_finding_names_the_canary_and_never_its_token() -> None:
    """The finding locks the agent and can be shown to anybody."""
    found = seen({"a": TOKEN})
    assert found is not None
    assert (found.action, found.severity) == (FindingAction.DENY_AND_LOCK, Severity.CRITICAL)
    assert (found.monitor, found.subject) == ("canary", "aws")
    assert TOKEN not in repr(found)


def test_the_finding_tells_a_call_from_a_result() -> None:
    """People need to know which way the token went."""
    raw = json.dumps({"a": TOKEN}).encode()
    down, back = MONITOR.on_call(call(raw)), MONITOR.on_result(call(b"{}"), raw)
    assert down is not None
    assert back is not None
    assert down.message.startswith("The arguments")
    assert back.message.startswith("The result")


def test_a_number_is_looked_at_as_text() -> None:
    """A card number may travel without quotes."""
    monitor = CanaryMonitor([Canary("card", "400000555555")])
    assert monitor.on_call(call(b'{"card":400000555555}')) is not None


def test_the_idempotency_key_is_looked_at() -> None:
    """It goes to the tool as well."""
    assert MONITOR.on_call(call(b"{}", TOKEN)) is not None
    assert MONITOR.on_call(call(b"{}", "retry-1")) is None


SPLIT = [
    [{"type": "text", "text": TOKEN[:10]}, {"type": "text", "text": TOKEN[10:]}],
    [{"type": "text", "text": char} for char in TOKEN],
    [
        {"type": "text", "text": TOKEN[:5]},
        {"type": "image", "data": "AAAA"},
        "noise",
        {"type": "resource", "resource": {"uri": "x:y", "text": TOKEN[5:]}},
    ],
    [{"type": "text", "text": part} for part in (quote(TOKEN)[:8], quote(TOKEN)[8:])],
]


@pytest.mark.parametrize("content", SPLIT)
def test_a_token_split_over_text_items_is_found(content: list[Any]) -> None:
    """A model reads the items one after the other, so does the monitor."""
    assert MONITOR.on_result(call(b"{}"), json.dumps({"content": content}).encode()) is not None


@pytest.mark.parametrize(
    "result",
    [
        b"",
        b"not json",
        b"[]",
        b"null",
        b'{"content": "text"}',
        b'{"content": [1, {"text": 2}, {"text": "a"}]}',
        b'{"content": [{"text": "a"}, {"text": "b"}]}',
        b'"\\',
        b'"\\u12',
        b"\xff\xfe\\",
        b"%",
        b"%4",
    ],
)
def test_odd_results_are_no_finding_and_no_error(result: bytes) -> None:
    """The monitor judges tokens, not form."""
    assert MONITOR.on_result(call(b"{}"), result) is None


def test_a_token_in_a_result_that_is_no_json_is_found() -> None:
    """A key sent twice or a broken end hides nothing."""
    twice = b'{"a": "%b", "a": ""}' % PLAIN_TOKEN.encode()
    monitor = CanaryMonitor([Canary("aws", PLAIN_TOKEN)])
    assert monitor.on_result(call(b"{}"), twice) is not None
    assert monitor.on_result(call(b"{}"), twice[:-3]) is not None


NEAR = [
    TOKEN[:-1],
    TOKEN[1:],
    TOKEN[::-1],
    base64.b64encode(TOKEN[: len(TOKEN) // 2].encode()).decode(),
    "ordinary text with 100% nothing",
]


@pytest.mark.parametrize("text", NEAR)
def test_a_part_of_a_token_is_no_finding(text: str) -> None:
    """Only the whole token counts."""
    assert seen({"a": text}) is None


@pytest.mark.parametrize(("times", "is_found"), [(4, True), (5, False)])
def test_layers_of_encoding_are_taken_off_four_times(times: int, is_found: bool) -> None:
    """Work is bounded, and the bound is told."""
    text = TOKEN
    for _ in range(times):
        text = quote(text, safe="")
    assert (seen({"a": text}) is not None) == is_found


def test_without_canaries_nothing_is_found() -> None:
    """An empty registry costs nothing and finds nothing."""
    assert CanaryMonitor([]).on_call(call(b'{"a":"b"}')) is None


@pytest.mark.parametrize(
    "token",
    [
        "",
        "elevenchars",
        "has a space inside",
        'has-a-"-inside',
        "has-a-%-inside",
        "has-a-\\-inside",
        "tökens-are-ascii",
        "x" * 257,
    ],
)
def test_a_bad_token_is_refused_without_being_told(token: str) -> None:
    """A short token would be found by chance; one that is not ASCII has too many forms."""
    with pytest.raises(ValueError, match="12 to 256") as raised:
        Canary("bad", token)
    assert not token or token not in str(raised.value)


def test_a_canary_needs_a_name() -> None:
    """The name is all that people will read."""
    with pytest.raises(ValueError, match="name"):
        Canary("", PLAIN_TOKEN)


def test_two_canaries_cannot_share_a_name() -> None:
    """An alert must say which one was touched."""
    with pytest.raises(ValueError, match="share a name"):
        CanaryMonitor([Canary("a", PLAIN_TOKEN), Canary("a", TOKEN)])


def test_a_canary_keeps_its_token_out_of_its_repr() -> None:
    """Configurations get printed."""
    assert PLAIN_TOKEN not in repr(Canary("aws", PLAIN_TOKEN))


JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False) | st.text(),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(), inner, max_size=4),
    max_leaves=20,
)


@given(JSON)
def test_random_json_is_no_finding(value: Any) -> None:
    """Nothing is found where nothing was planted, in arguments and in results."""
    assert seen(value) is None
    assert MONITOR.on_result(call(b"{}"), json.dumps(value).encode()) is None


@given(JSON, JSON, st.text(), st.text(), st.sampled_from(sorted(ENCODINGS)), st.booleans())
def test_a_planted_token_is_found_anywhere(
    left: Any, right: Any, before: str, after: str, encoding: str, as_key: bool
) -> None:
    """Whatever stands around it, at whatever depth."""
    # Without the space, a letter before or after could belong to a run of base64.
    planted = f"{before} {ENCODINGS[encoding](TOKEN)} {after}"
    node = {planted: left} if as_key else [left, planted]
    assert seen({"left": left, "deep": [[node]], "right": right}) is not None
