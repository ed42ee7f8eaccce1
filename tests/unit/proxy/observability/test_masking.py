import base64
import json
import time
from collections.abc import Callable
from urllib.parse import quote

import pytest
from hypothesis import given
from hypothesis import strategies as st

from proxy.observability.masking import MASK, Masker

SECRET = 'S3cr3t/with+"odd" chars\\é'

ENCODINGS: dict[str, Callable[[str], str]] = {
    "plain": str,
    "url": lambda text: quote(text, safe=""),
    "url, slashes kept": quote,
    "url, lower-case": lambda text: quote(text, safe="").replace("%2F", "%2f"),
    "url, every character": lambda text: "".join(f"%{octet:02x}" for octet in text.encode()),
    "url, twice": lambda text: quote(quote(text, safe=""), safe=""),
    "form": lambda text: quote(text, safe=" ").replace(" ", "+"),
    "json": lambda text: json.dumps(text)[1:-1],
    "json, unicode kept": lambda text: json.dumps(text, ensure_ascii=False)[1:-1],
    "repr": lambda text: repr(text)[1:-1],
    "hex": lambda text: text.encode().hex(),
    "hex, upper-case": lambda text: text.encode().hex().upper(),
}

SHAPES = {
    "agent token": "dta_Zm9vYmFyYmF6cXV4MTIzNDU2Nzg5MGFiY2RlZmdoaWo",
    "operator token": "dto_Zm9vYmFyYmF6cXV4MTIzNDU2Nzg5MGFiY2RlZmdoaWo",
    "sidecar token": "dtx_Zm9vYmFyYmF6cXV4MTIzNDU2Nzg5MGFiY2RlZmdoaWo",
    "session token": "dts_Zm9vYmFyYmF6cXV4MTIzNDU2Nzg5MGFiY2RlZmdoaWo",
    "webhook secret": "whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw",
    "jwt": "eyJhbGciOiJFUzI1NiJ9.eyJzdWIiOiJhIn0.c2lnbmF0dXJl-_x",
    "cut jwt": "eyJhbGciOiJFUzI1NiJ9.eyJzdWIi",
    "bearer": "Bearer abcdef0123456789",
    "header": "Authorization: Basic dXNlcjpwYXNz",
    "header in a repr": "(b'authorization', b'Basic dXNlcjpwYXNz')",
    "cookie": "{'cookie': 'sid=1234567'}",
    "api key": '"x-api-key": "abc"',
    "password in a URL": "postgresql://detent:hunter2@db/ledger",
    "user in a URL": "https://ghp_0123456789@example.test/",
    "private key": "-----BEGIN EC PRIVATE KEY-----\nMHcCAQEE\n-----END EC PRIVATE KEY-----",
}

LEAKS = ("Zm9vYmFy", "MfKQ9r8", "c2lnbmF0", "dXNlcj", "abcdef01", "hunter2", "ghp_", "MHcC", "sid=")


@pytest.mark.parametrize("encode", ENCODINGS.values(), ids=ENCODINGS)
def test_a_given_secret_is_masked_in_every_text_encoding(encode: Callable[[str], str]) -> None:
    """Nothing but the mask stands where the encoded secret stood."""
    assert Masker([SECRET]).mask(f"<{encode(SECRET)}>") == f"<{MASK}>"


@given(st.binary(max_size=7), st.binary(max_size=7), st.booleans())
def test_a_given_secret_is_masked_in_base64_at_any_alignment(
    before: bytes, after: bytes, url_safe: bool
) -> None:
    """Whatever stands around the secret, no run of its own base64 characters is left."""
    secret = "correct-horse-battery"
    encode = base64.urlsafe_b64encode if url_safe else base64.b64encode
    masked = Masker([secret]).mask(encode(before + secret.encode() + after).decode())
    assert MASK in masked
    assert len(masked.replace(MASK, "")) <= 4 * (len(before) + len(after)) // 3 + 8


@pytest.mark.parametrize("text", SHAPES.values(), ids=SHAPES)
def test_token_shapes_are_masked_without_being_given(text: str) -> None:
    """A secret nobody registered is known by its shape."""
    masked = Masker().mask(f"before {text} after")
    assert MASK in masked
    assert not any(leak in masked for leak in LEAKS)


@pytest.mark.parametrize(
    "text",
    ["short", "an agent called repo/git_commit", "no 100% sure thing", "https://example.test/a@b"],
)
def test_ordinary_text_stays_as_it_is(text: str) -> None:
    """Masking does not eat what people need to read."""
    assert Masker([SECRET]).mask(text) == text


def test_a_secret_added_later_is_masked() -> None:
    """Secrets minted while running join the first ones."""
    masker = Masker(["first-secret"])
    masker.add("second-secret")
    assert masker.mask("first-secret second-secret") == f"{MASK} {MASK}"


def test_each_long_line_of_a_secret_is_masked_alone() -> None:
    """A key printed line by line, as tracebacks do, is still hidden."""
    masker = Masker(["line-one-of-the-key\n  line-two-of-the-key\nend\n"])
    assert masker.mask("got line-two-of-the-key here") == f"got {MASK} here"


def test_the_longer_of_two_overlapping_secrets_wins() -> None:
    """No tail of the longer secret is left behind."""
    assert Masker(["password", "password-extended"]).mask("password-extended") == MASK


@pytest.mark.parametrize("secret", ["", "       ", "seven77", "  seven77   "])
def test_a_short_secret_is_refused_without_being_told(secret: str) -> None:
    """Masking it would blank common words; the error does not repeat it."""
    with pytest.raises(ValueError, match="8 characters") as raised:
        Masker([secret])
    assert "seven" not in str(raised.value)


@pytest.mark.parametrize("piece", ["eyJ", "://", "dta_", "bearer ", "authorization: ", "%25", "%"])
def test_a_hostile_text_costs_linear_time(piece: str) -> None:
    """A quarter of a megabyte of almost-tokens takes well under the seconds of a bad pattern."""
    started = time.process_time()
    Masker([SECRET]).mask(piece * (250_000 // len(piece)))
    assert time.process_time() - started < 2
