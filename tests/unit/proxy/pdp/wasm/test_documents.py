"""Which bodies are cut, which are written anew, which are refused."""

import json

import pytest

from proxy.pdp.wasm.documents import NotADocument, input_of, rewritten


def test_the_usual_body_is_cut_out() -> None:
    """Byte for byte: nothing is parsed."""
    assert input_of(b'{"input":{"b":1,"a":2.50}}') == b'{"b":1,"a":2.50}'


@pytest.mark.parametrize(
    ("body", "document"),
    [
        (b'{"input":{"a":"\\ud840\\udc00"}}', '{"a":"\U00020000"}'),
        (b'{"input":{"a":"\\uD83D\\uDE00"}}', '{"a":"\U0001f600"}'),
        (b'{"input":{"a":-0.0,"b":[-0,-0e5,-1.5]}}', '{"a":0.0,"b":[0,0.0,-1.5]}'),
        (b'{"input":{"a":"C:\\\\udata"}}', '{"a":"C:\\\\udata"}'),
        (b' {"input": {"a": -0.0}}', '{"a":0.0}'),
    ],
)
def test_what_is_doubtful_is_written_anew(body: bytes, document: str) -> None:
    """Escaped surrogates, negative zeros, blanks at the start."""
    assert input_of(body).decode() == document


@pytest.mark.parametrize(
    "body",
    [
        b"",
        b"[]",
        b'{"Input":{}}',
        b' {"input":{},"more":1}',
        b'{"input":{"a":"\\ud840"}}',
        b" " + b"[" * 100_000,
    ],
)
def test_what_is_no_body_is_refused(body: bytes) -> None:
    """Also half of a surrogate pair, and what is too deep to be read."""
    with pytest.raises(NotADocument):
        input_of(body)


def test_data_are_rewritten_too() -> None:
    """The same value, in characters instead of escapes."""
    document = {"a": ["\U00020000", 1, None, 0.5], "b": {"c": "\u00e9"}}
    assert json.loads(rewritten(json.dumps(document).encode())) == document
    assert b"\\u" not in rewritten(json.dumps(document).encode())
