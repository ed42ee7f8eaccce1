import pytest

from proxy.model.token import TokenKind, kind_of_token, new_id, new_token, token_sha256


@pytest.mark.parametrize("kind", list(TokenKind))
def test_a_new_token_is_recognised_by_its_prefix(kind: TokenKind) -> None:
    """Each kind has its own prefix and 43 characters for 256 bits."""
    token = new_token(kind)
    assert kind_of_token(token) is kind
    assert len(token) == 47


@pytest.mark.parametrize(
    "token", ["", "secret", "dta_short", "dtz_" + "a" * 43, "dta_" + "a" * 44, "dta_" + "é" * 43]
)
def test_any_other_form_is_no_token(token: str) -> None:
    """A token of another form is refused before it is looked up."""
    assert kind_of_token(token) is None


def test_a_trailing_newline_is_another_form() -> None:
    """The whole text has to match, not its first line."""
    assert kind_of_token(new_token(TokenKind.AGENT) + "\n") is None


def test_tokens_and_ids_never_repeat() -> None:
    """256 and 120 random bits."""
    assert len({new_token(TokenKind.AGENT) for _ in range(100)}) == 100
    assert len({new_id("stp") for _ in range(100)}) == 100


def test_the_hash_is_hex_sha256() -> None:
    """The stored form is 64 hex characters."""
    assert token_sha256("abc").startswith("ba7816bf")
