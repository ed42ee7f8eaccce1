import hashlib

import pytest

from proxy.errors import PolicyInvalid
from proxy.pdp.delivery.hashing import MAX_DEPTH, hash_of


def test_plain_files_are_hashed_by_their_bytes() -> None:
    """Rego, and whatever is no data."""
    assert hash_of("a/main.rego", b"{ }") == hashlib.sha256(b"{ }").hexdigest()


@pytest.mark.parametrize(
    ("document", "hashed"),
    [
        (b'{"b": [1, 2.50, 1e3], "a": {"x": null}}', '{"a":{"x":null},"b":[1,2.50,1e3]}'),
        (b'[true, false, {}, [], ""]', '[true,false,{},[],""]'),
        (b'"<\\u2028&\\u2029>"', '"<\\u2028&\\u2029>"'),
        ('"\\u001f\\n\\u007fé😀\\/"'.encode(), '"\\u001f\\n\x7fé😀/"'),
    ],
)
def test_data_is_hashed_by_its_value(document: bytes, hashed: str) -> None:
    """Keys sorted, no white space, numbers as they are spelt, text as Go spells it."""
    assert hash_of("x/data.json", document) == hashlib.sha256(hashed.encode()).hexdigest()


@pytest.mark.parametrize("name", [".manifest", "data.json", "tools/x/data.json"])
def test_the_same_value_has_the_same_digest(name: str) -> None:
    """However it is laid out."""
    assert hash_of(name, b'{"a":1,"b":2}') == hash_of(name, b'{ "b" : 2, "a" : 1 }')


@pytest.mark.parametrize(
    "document",
    [
        b"",
        b"{",
        b'{"a":1,"a":1}',
        b"NaN",
        b"[-Infinity]",
        b'"\\ud800"',
        b'{"\\udfff": 1}',
        b"\xff",
        b"[" * (MAX_DEPTH + 2) + b"]" * (MAX_DEPTH + 2),
        b"[" * 100_000,
    ],
)
def test_what_parsers_read_differently_is_refused(document: bytes) -> None:
    """Twice a key, no numbers, half a pair, too deep."""
    with pytest.raises(PolicyInvalid):
        hash_of("data.json", document)
