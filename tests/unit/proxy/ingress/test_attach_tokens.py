import json
from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Any

import pytest

from credentials.agent_token import TrustedIssuer
from credentials.key_cache import KeyCache, KeysUnavailable
from proxy.errors import Refused
from proxy.ingress import attach_tokens
from proxy.ingress.attach_tokens import SidecarIssuer, SidecarTokens
from proxy.model.sidecar import Sidecar
from tests.harness.issuer import AUDIENCE, SUBJECT, Issuer

MINE = Sidecar("loop-pods", frozenset({"acme/loop"}))


@dataclass
class Cluster:
    """An issuer, what the port makes of it, and the clock of both."""

    now_s: float = 1_800_000_000.0
    down: bool = False
    fetched: int = 0
    issuer: Issuer = field(init=False)
    tokens: SidecarTokens = field(init=False)

    def __post_init__(self) -> None:
        self.issuer = Issuer(clock=lambda: self.now_s)
        rules = TrustedIssuer(self.issuer.name, frozenset({AUDIENCE}))
        keys = KeyCache(self.fetch, clock=lambda: self.now_s)
        known = SidecarIssuer(rules, keys, {SUBJECT: MINE})
        self.tokens = SidecarTokens([known], lambda: self.now_s)

    async def fetch(self) -> bytes:
        self.fetched += 1
        if self.down:
            raise KeysUnavailable("it cannot be reached")
        return json.dumps(self.issuer.jwks()).encode()


@pytest.fixture
def cluster() -> Cluster:
    return Cluster()


async def test_a_subject_is_its_sidecar(cluster: Cluster) -> None:
    """However many pods show a token of it."""
    for number in range(3):
        token = cluster.issuer.token(jti=str(number))
        assert await cluster.tokens.sidecar(token) == MINE
    await cluster.tokens.close()


@pytest.mark.parametrize(
    "claims",
    [{"sub": "other"}, {"sub": 7}, {"aud": "other"}, {"iss": "https://other.example"}, {"exp": 1}],
    ids=str,
)
async def test_anything_else_is_nobody(cluster: Cluster, claims: dict[str, Any]) -> None:
    """Another subject, audience or issuer; a token that is over."""
    assert await cluster.tokens.sidecar(cluster.issuer.token(**claims)) is None
    assert await cluster.tokens.sidecar("") is None


async def test_a_token_ends_however_often_it_was_shown(cluster: Cluster) -> None:
    """What is remembered does not outlive it."""
    token = cluster.issuer.token(exp=int(cluster.now_s) + 4)
    assert await cluster.tokens.sidecar(token) == MINE
    cluster.now_s += 8
    assert await cluster.tokens.sidecar(token) == MINE  # five seconds of leeway
    cluster.now_s += 2
    assert await cluster.tokens.sidecar(token) is None


async def test_what_was_verified_is_remembered_for_seconds(cluster: Cluster) -> None:
    """A key that was taken out ends its tokens soon."""
    token = cluster.issuer.token()
    assert await cluster.tokens.sidecar(token) == MINE
    del cluster.issuer.keys["ES256"]
    assert await cluster.tokens.sidecar(token) == MINE
    cluster.now_s += 4_000
    assert await cluster.tokens.sidecar(cluster.issuer.token("RS256")) == MINE
    assert await cluster.tokens.sidecar(token) is None


async def test_without_keys_nothing_can_be_said(cluster: Cluster) -> None:
    """That is another answer than that the token is bad."""
    cluster.down = True
    with pytest.raises(Refused) as refused:
        await cluster.tokens.sidecar(cluster.issuer.token())
    assert refused.value.refusal.reasons[0].id == "identity-unavailable"


@pytest.fixture
def small() -> Iterator[None]:
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(attach_tokens, "MAX_CACHED", 2)
        yield


@pytest.mark.usefixtures("small")
async def test_memory_is_bounded(cluster: Cluster) -> None:
    """The oldest makes room."""
    for number in range(5):
        assert await cluster.tokens.sidecar(cluster.issuer.token(jti=str(number))) == MINE
    assert len(cluster.tokens._verified) == 2
