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
        (b'{"input":{"a":-0.0,"b":[-0,-0e5,-1.5]}}', '{"a":0.0,"b":[0,0,-1.5]}'),
        (b'{"input":{"a":"C:\\\\udata"}}', '{"a":"C:\\\\udata"}'),
        (b' {"input": {"a": -0.0}}', '{"a": 0.0}'),
        (b'{"input":[-0,0.10000000000000001]}', "[0,0.10000000000000001]"),
        (b'{"input":[1e22,-15E-1]}', "[10000000000000000000000.00,-1.500]"),
        (b'{"input":["1e5,-0",1e-7]}', '["1e5,-0",0.000000100]'),
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
        b'{"input":[1e10000]}',
        b' {"input":NaN}',
        b' {"input":{"a":1,"a":2}}',
        b' {"\\u0069nput":1}',
        b'\xff{"input":1}',
        b" " + b"[" * 100_000,
    ],
)
def test_what_is_no_body_is_refused(body: bytes) -> None:
    """Also half of a surrogate pair, a number beyond all bounds, what is too deep to be read."""
    with pytest.raises(NotADocument):
        input_of(body)


def test_data_are_rewritten_too() -> None:
    """The same value, in characters instead of escapes."""
    document = {"a": ["\U00020000", 1, None, 0.5], "b": {"c": "\u00e9"}}
    assert json.loads(rewritten(json.dumps(document).encode())) == document
    assert b"\\u" not in rewritten(json.dumps(document).encode())


def test_data_keep_all_their_digits() -> None:
    """A limit that is rounded is another limit."""
    assert rewritten(b'{"a": [-0.0, 0.10000000000000001]}') == b'{"a": [0.0, 0.10000000000000001]}'


@pytest.mark.parametrize(
    "data", [b"[Infinity]", b"[-0, NaN]", b'{"a":1,"a":2}', b"[1e99999]", b"[" * 100_000]
)
def test_data_that_are_no_json_are_refused(data: bytes) -> None:
    """Python would read and write infinities."""
    with pytest.raises(ValueError, match=r"JSON|twice|bounds|deep"):
        rewritten(data)
