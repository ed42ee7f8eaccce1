import base64
import binascii
from urllib.parse import quote

import pytest
from hypothesis import given
from hypothesis import strategies as st

from proxy.monitors.encodings import LAYERS, base64_forms, layers, normal


@pytest.mark.parametrize(
    ("written", "plain"),
    [
        (rb"a\"b\/c", b'a"b/c'),
        (rb"a\\nb", b"a b"),
        (rb"\u0041\u200bB", b"AB"),
        (b"a%41", b"aA"),
        (b"%2541", b"A"),
        (b"&#65;&#x42;&#x43", b"ABC"),
        (b"&#8203;A", b"A"),
        (b"%26%2365%3B", b"A"),
        (b"AT&T &#; &amp;", b"AT&T &#; &amp;"),
        (rb"\q \u12", rb"\q \u12"),
        (b"\\", b"\\"),
    ],
)
def test_the_last_layer_has_no_escapes_left(written: bytes, plain: bytes) -> None:
    """JSON, percent and HTML escapes in any order; what is no escape stays."""
    assert list(layers(written))[-1] == plain


def test_the_number_of_layers_is_bounded() -> None:
    """Five times encoded is one time too many."""
    text = "%41"
    for _ in range(LAYERS):
        text = quote(text)
    assert list(layers(text.encode()))[-1] == b"%41"


def test_a_text_without_escapes_is_one_layer() -> None:
    """Nothing is done twice for most texts."""
    assert list(layers(b"plain")) == [b"plain"]


def test_the_normal_form_has_one_alphabet_and_no_noise() -> None:
    """White space, controls and invisible characters cannot keep a secret apart."""
    assert normal("a-b_c \n\x00\u200b\x7fd".encode()) == "a+b/cd"


@given(st.binary(max_size=4), st.binary(min_size=1, max_size=60), st.binary(max_size=4))
def test_base64_of_anything_around_a_secret_has_one_of_its_forms(
    before: bytes, secret: bytes, after: bytes
) -> None:
    """The characters between those a neighbour can change are the same at each alignment."""
    encoded = base64.b64encode(before + secret + after).decode()
    assert base64_forms(secret)[len(before) % 3] in encoded


@given(st.binary(min_size=1, max_size=60))
def test_the_first_form_is_base64_itself(secret: bytes) -> None:
    """Without the last character, which the next byte can change, and without padding."""
    encoded = binascii.b2a_base64(secret).decode().rstrip("=\n")
    assert encoded.startswith(base64_forms(secret)[0])
