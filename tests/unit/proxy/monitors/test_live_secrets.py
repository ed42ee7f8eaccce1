import base64
import json
from collections.abc import Callable
from urllib.parse import quote

import pytest
from hypothesis import given
from hypothesis import strategies as st

from proxy.model.token import TokenKind, new_token
from proxy.monitors.live_secrets import COMPILED_FROM_CHARS, OF_THIS_CALL, Lent, LiveSecrets, Secret

KEY = "sk-Live_7f3Qx9vB2k41aZ0pLmN8/+yT6"
JWS = f"eyJhbGciOiJFUzI1NiJ9.{'eyJzdWIiOiJhIn0' * 9}.{'kQ7x-vB2_41aZ0pLmN8yT6wE3r' * 3}"
PEM = "-----BEGIN KEY-----\nMIGHAgEAMBMGByqGSM49AgEG\nq1w2e3r4t5y6u7i8o9p0\n-----END KEY-----"
NOTHING = Lent()


def known(*values: str) -> LiveSecrets:
    live = LiveSecrets()
    for number, value in enumerate(values):
        live.add(f"secret {number}", value)
    return live


LIVE = known("never-in-any-text-1", KEY)


def every_octet(text: str) -> str:
    return "".join(f"%{octet:02x}" for octet in text.encode())


ENCODINGS: dict[str, Callable[[str], str]] = {
    "plain": str,
    "inside text": lambda text: f"before{text}after",
    "reversed": lambda text: text[::-1],
    "url": lambda text: quote(text, safe=""),
    "url, partly": lambda text: quote(text[:9], safe="") + every_octet(text[9:20]) + text[20:],
    "url, every octet": every_octet,
    "url, every octet, twice": lambda text: every_octet(every_octet(text)),
    "html, numeric": lambda text: "".join(f"&#{ord(char)};" for char in text),
    "html, hex": lambda text: "".join(f"&#x{ord(char):x};" for char in text),
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
    "json, unicode escapes": lambda text: "".join(f"\\u{ord(char):04X}" for char in text),
    "json inside a url": lambda text: quote(json.dumps({"key": text}), safe=""),
}


@pytest.mark.parametrize("encode", ENCODINGS.values(), ids=ENCODINGS)
@pytest.mark.parametrize("key", [KEY, JWS], ids=["key", "jws"])
def test_a_secret_is_found_in_every_encoding(encode: Callable[[str], str], key: str) -> None:
    """In the JSON of a result, escapes and all."""
    live = known("never-in-any-text-1", key)
    text = json.dumps({"content": [{"type": "text", "text": encode(key)}]}).encode()
    found = live.search(text, NOTHING)
    assert found is not None
    assert found.names == ("secret 1",)


UNWRAPPED = {name: encode for name, encode in ENCODINGS.items() if "wrapped" not in name}


@pytest.mark.parametrize("encode", UNWRAPPED.values(), ids=UNWRAPPED)
def test_a_short_secret_is_found_as_well(encode: Callable[[str], str]) -> None:
    """A line break may fall into all there is to find of it; of a long one something is left."""
    assert known(KEY[:14]).search(json.dumps([encode(KEY[:14])]).encode(), NOTHING) is not None


@pytest.mark.parametrize("size", [0, COMPILED_FROM_CHARS])
@pytest.mark.parametrize("encode", ENCODINGS.values(), ids=ENCODINGS)
def test_the_credential_of_the_call_is_found(encode: Callable[[str], str], size: int) -> None:
    """In small texts and in large ones, which are looked through another way."""
    lent = LIVE.lent({"Authorization": f"Bearer {JWS}"})
    found = LIVE.search((encode(JWS) + " " * size).encode(), lent)
    assert found is not None
    assert found.names == (OF_THIS_CALL,)


HALVES = [KEY[: len(KEY) // 2], KEY[len(KEY) // 2 :]]


@pytest.mark.parametrize("half", HALVES)
def test_half_of_a_long_secret_is_found(half: str) -> None:
    """So that what is split in two shows no more than a half."""
    assert LIVE.search(half.encode(), NOTHING) is not None


@given(st.integers(min_value=1, max_value=len(KEY) - 1))
def test_one_side_of_every_split_is_found(at: int) -> None:
    """Wherever it is cut."""
    sides = (KEY[:at].encode(), KEY[at:].encode())
    assert any(LIVE.search(side, NOTHING) for side in sides)


def test_of_a_pem_file_each_line_counts_but_its_boundaries() -> None:
    """The boundary stands in every such file."""
    live = known(PEM)
    assert live.search(b"q1w2e3r4t5y6u7i8o9p0", NOTHING) is not None
    assert live.search(b"-----BEGIN KEY-----", NOTHING) is None


def test_the_password_of_basic_is_secret_decoded_too() -> None:
    """Tools see it decoded."""
    pair = base64.b64encode(b"user:pa55word-of-user").decode()
    lent = LIVE.lent({"Authorization": f"Basic {pair}"})
    assert LIVE.search(b"password is pa55word-of-user", lent) is not None
    assert LIVE.search(b"user is user", lent) is None


@pytest.mark.parametrize("value", ["Basic not-base64!", "Basic /w==", "short", "Bearer x"])
def test_an_odd_header_is_no_error(value: str) -> None:
    """Whatever a broker puts there."""
    assert LIVE.search(b"any text", LIVE.lent({"Authorization": value})) is None


def test_a_lent_secret_that_is_known_keeps_its_name() -> None:
    """People are told which one to replace."""
    lent = LIVE.lent({"X-Api-Key": KEY})
    assert lent.secrets == ()
    found = LIVE.search(KEY.encode(), lent)
    assert found is not None
    assert found.names == ("secret 1",)


def test_a_detent_token_is_found_whoever_it_belongs_to() -> None:
    """Plain, and in the base64 of a file somebody read."""
    token = new_token(TokenKind.OPERATOR)
    for text in (token, base64.b64encode(f"token: {token}\n".encode()).decode()):
        found = LIVE.search(json.dumps([text]).encode(), NOTHING)
        assert found is not None
        assert (found.names, found.tokens) == ((), (token,))


@pytest.mark.parametrize("length", [0, 7])
def test_a_short_secret_is_refused_without_being_told(length: int) -> None:
    """It would turn up by chance."""
    with pytest.raises(ValueError, match="8 characters") as raised:
        known("x" * length + " ")
    assert "xxx" not in str(raised.value)


def test_without_a_run_of_letters_the_secret_itself_is_the_clue() -> None:
    """Punctuation alone is a poor secret, and is found."""
    assert known("-.-.-.-.-.").search(b"<-.-.-.-.-.>", NOTHING) is not None


@pytest.mark.parametrize("text", [b"", b"ordinary", b"\xff\xfe", KEY[:12].encode(), b"6474615f"])
def test_what_is_no_secret_is_not_found(text: bytes) -> None:
    """A clue alone is not enough."""
    assert LIVE.search(text, NOTHING) is None


def test_nothing_shows_a_secret() -> None:
    """Findings and secrets get printed."""
    found = LIVE.search(new_token(TokenKind.AGENT).encode(), NOTHING)
    assert KEY not in repr(Secret.of("a", KEY))
    assert "dta_" not in repr(found)


def test_the_values_come_longest_first() -> None:
    """One may be a part of another."""
    live = known("12345678", "1234567890")
    assert live.values(live.lent({"X": "123456789"})) == ("1234567890", "123456789", "12345678")


JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False) | st.text(),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(), inner, max_size=4),
    max_leaves=20,
)


@given(JSON)
def test_random_json_shows_nothing(value: object) -> None:
    """Nothing is found where nothing is."""
    assert LIVE.search(json.dumps(value).encode(), LIVE.lent({"A": f"Bearer {JWS}"})) is None
