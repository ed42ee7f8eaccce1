"""A63: a credential minted for one call is good for no other: tool, arguments, audience (I23)."""

import asyncio
import hashlib
from collections.abc import Iterator
from pathlib import Path
from tempfile import TemporaryDirectory

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from credentials.base import LeaseRequest
from credentials.jwt_broker import JwtBroker
from credentials.keys import KeyDirectory
from credentials.verify import InvalidToken, Verifier

ISSUER = "https://detent.example"
NAMES = st.text("abcdefgh_-./", min_size=1, max_size=12)
CALLS = st.tuples(NAMES, NAMES, st.binary(max_size=40))
REFUSED = {"tool-mismatch", "arguments-mismatch", "wrong-audience"}


@pytest.fixture(scope="module")
def keys() -> Iterator[KeyDirectory]:
    with TemporaryDirectory() as folder:
        yield KeyDirectory.open(Path(folder) / "keys")


def mint(keys: KeyDirectory, call: tuple[str, str, bytes]) -> str:
    audience, tool, arguments = call
    request = LeaseRequest(
        lease_id="lse_1",
        step_id="stp_1",
        session_id="ses_1",
        subject="acme/loop",
        audience=audience,
        scope=("records:write",),
        ttl_s=30,
        tool=tool,
        arguments_sha256=hashlib.sha256(arguments).hexdigest(),
        tool_pin="sha256:" + "b" * 64,
        policy_revision="git:abc",
        decision_id="dec_1",
        epoch=0,
        write=True,
    )
    lease = asyncio.run(JwtBroker(keys, ISSUER).mint(request))
    return lease.headers["Authorization"].removeprefix("Bearer ")


def verdict(keys: KeyDirectory, token: str, call: tuple[str, str, bytes]) -> str:
    audience, tool, arguments = call
    try:
        Verifier(keys.jwks, ISSUER, audience, lambda _: 0).verify(
            token, tool=tool, arguments=arguments
        )
    except InvalidToken as refused:
        return refused.code
    return "good"


@settings(max_examples=150, deadline=None)
@given(minted=CALLS, other=CALLS, mask=st.tuples(*[st.booleans()] * 3))
def test_a63_a_token_verifies_for_its_own_call_only(
    keys: KeyDirectory,
    minted: tuple[str, str, bytes],
    other: tuple[str, str, bytes],
    mask: tuple[bool, bool, bool],
) -> None:
    """Whatever part differs, audience, tool or arguments, the token is refused."""
    shown = (
        other[0] if mask[0] else minted[0],
        other[1] if mask[1] else minted[1],
        other[2] if mask[2] else minted[2],
    )
    token = mint(keys, minted)
    assert verdict(keys, token, minted) == "good"
    assert verdict(keys, token, shown) in ({"good"} if shown == minted else REFUSED)
