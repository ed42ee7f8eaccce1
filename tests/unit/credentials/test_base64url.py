import pytest
from hypothesis import given
from hypothesis import strategies as st

from credentials import base64url


@given(st.binary(min_size=1, max_size=200))
def test_what_is_encoded_decodes_to_itself(data: bytes) -> None:
    """Encode and decode are inverse for every byte string that is not empty."""
    assert base64url.decode(base64url.encode(data)) == data


@pytest.mark.parametrize(
    "text",
    ["", "QQ==", "QR", "Q", "QUJD\n", " QUJD", "QU+D", "QU/D", "QUJDé", "Q U", "QUJ="],
)
def test_a_second_spelling_is_refused(text: str) -> None:
    """Padding, stray bits, white space, the other alphabet and nothing at all do not decode."""
    with pytest.raises(ValueError, match="base64url"):
        base64url.decode(text)
