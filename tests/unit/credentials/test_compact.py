import pytest

from credentials import base64url
from credentials.compact import json_object


def test_an_object_is_read() -> None:
    """With its members as they are."""
    assert json_object(base64url.encode(b'{"a":[1]}')) == {"a": [1]}


@pytest.mark.parametrize(
    "part",
    [
        "",
        "A",
        base64url.encode(b"{}") + "=",
        base64url.encode(b"[]"),
        base64url.encode(b"null"),
        base64url.encode(b"{"),
        base64url.encode(b'{"a":1,"a":2}'),
        base64url.encode(b'{"a":NaN}'),
        base64url.encode(b'{"a":"\xff"}'),
    ],
)
def test_anything_else_is_refused(part: str) -> None:
    """Another spelling of the bytes, another value, a member given twice."""
    with pytest.raises(ValueError):  # noqa: PT011 - who calls tells nobody why
        json_object(part)
