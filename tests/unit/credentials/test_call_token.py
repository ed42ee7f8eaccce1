import json

import pytest

from credentials import base64url
from credentials.call_token import InvalidToken, parse
from credentials.compact import MAX_TOKEN_BYTES

HEADER = '{"alg":"ES256","typ":"at+jwt","kid":"k"}'


def compact(header: str | bytes, payload: str | bytes = "{}", signature: bytes = b"s") -> str:
    parts = (part.encode() if isinstance(part, str) else part for part in (header, payload))
    return ".".join([*(base64url.encode(part) for part in parts), base64url.encode(signature)])


def refusal(token: str) -> str:
    with pytest.raises(InvalidToken) as refused:
        parse(token)
    return refused.value.code


def test_a_well_formed_token_comes_apart() -> None:
    """Key id and claims are read without being believed."""
    parsed = parse(compact(HEADER, '{"iss":"x"}'))
    assert (parsed.kid, parsed.claims) == ("k", {"iss": "x"})


def test_a_token_of_the_largest_size_is_still_read() -> None:
    """The cap is on more than 8 KiB, measured before anything is decoded."""
    rest = compact(HEADER, " ")
    assert refusal("A" * (MAX_TOKEN_BYTES - len(rest)) + rest) == "malformed"
    assert refusal("A" * (MAX_TOKEN_BYTES - len(rest) + 1) + rest) == "too-large"


@pytest.mark.parametrize(
    "token",
    [
        "",
        "..",
        "a.b",
        "a.b.c.d",
        compact(HEADER) + ".AA",
        compact(HEADER) + "=",
        compact(HEADER) + "\n",
        compact(HEADER) + "é",
        compact(HEADER).rsplit(".", 1)[0] + ".",
        compact("[]"),
        compact("null"),
        compact(HEADER, "[]"),
        compact(HEADER, '"text"'),
        compact(HEADER, "{"),
        compact(HEADER, "{} {}"),
        compact(HEADER, '{"exp":NaN}'),
        compact(HEADER, '{"exp":Infinity}'),
        compact(HEADER, '{"sub":"a","sub":"b"}'),
        compact(HEADER, '{"sub":"a","\\u0073ub":"b"}'),
        compact(HEADER, '{"act":{"sub":"a","sub":"b"}}'),
        compact('{"alg":"none","alg":"ES256","typ":"at+jwt","kid":"k"}'),
        compact(HEADER, b'{"sub":"\xff"}'),
        compact(HEADER, b"\xef\xbb\xbf{}"),
        compact(HEADER, "{}".encode("utf-16")),
        compact(HEADER, '{"a":"\\ud800"}'),
        compact(HEADER, '{"a":' + "[" * 1000 + "]" * 1000 + "}"),
        compact(HEADER, '{"exp":' + "9" * 5000 + "}"),
    ],
)
def test_a_token_in_any_other_form_is_malformed(token: str) -> None:
    """Parts, base64url and JSON have one form; duplicates and depth are refused in it."""
    assert refusal(token) == "malformed"


@pytest.mark.parametrize(
    ("changes", "code"),
    [
        ({"alg": "none"}, "algorithm-refused"),
        ({"alg": None}, "algorithm-refused"),
        ({"alg": ["ES256"]}, "algorithm-refused"),
        ({"alg": "es256"}, "algorithm-refused"),
        ({"jwk": {}}, "header-refused"),
        ({"b64": False}, "header-refused"),
        ({"crit": []}, "header-refused"),
        ({"typ": "JWT"}, "type-refused"),
        ({"typ": "AT+JWT"}, "type-refused"),
        ({"kid": 1}, "unknown-key"),
        ({"kid": None}, "unknown-key"),
    ],
)
def test_a_header_that_is_not_ours_is_refused(changes: dict[str, object], code: str) -> None:
    """Algorithm, type and parameters are fixed; the key is named by a string."""
    assert refusal(compact(json.dumps(json.loads(HEADER) | changes))) == code


def test_the_refusal_says_its_code_and_nothing_of_the_token() -> None:
    """The text is fit for a log."""
    with pytest.raises(InvalidToken, match=r"^the call token is refused: malformed$") as refused:
        parse(compact(HEADER, '{"sub":"precious", "sub":"precious"}'))
    assert refused.value.__suppress_context__
