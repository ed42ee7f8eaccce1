import base64
import re
import secrets

import pytest

from proxy.model.token import TokenKind, new_token
from proxy.monitors.token_shapes import BEGINNINGS, tokens_in

ANY = re.compile("|".join(BEGINNINGS))


@pytest.mark.parametrize("kind", TokenKind)
@pytest.mark.parametrize("around", [("", ""), ("x", ""), ("xy", "z"), ("token: ", "\n")])
def test_every_kind_is_found_in_every_form(kind: TokenKind, around: tuple[str, str]) -> None:
    """Plain, hex in both cases, both base64 alphabets at every alignment."""
    token = new_token(kind)
    raw = f"{around[0]}{token}{around[1]}".encode()
    forms = [raw, raw.hex().encode(), raw.hex().upper().encode()]
    forms += [base64.b64encode(raw), base64.urlsafe_b64encode(raw), base64.encodebytes(raw)]
    for form in forms:
        assert token in set(tokens_in(b"before " + form + b" after"))


def test_each_form_has_a_beginning_that_is_looked_for() -> None:
    """The quick look never misses what the slow one would find."""
    for _ in range(300):
        token = new_token(secrets.choice(list(TokenKind)))
        for raw in (token, f"x{token}y", f"xy{token}"):
            for form in (raw, raw.encode().hex(), base64.b64encode(raw.encode()).decode()):
                assert ANY.search(form)


@pytest.mark.parametrize(
    "text", [b"", b"dta_short", b"dtz_" + b"a" * 43, b"A" * 400, b"ab" * 200, b"\xff\xfe" * 50]
)
def test_what_has_another_form_is_no_token(text: bytes) -> None:
    """Only the whole form counts."""
    assert list(tokens_in(text)) == []
