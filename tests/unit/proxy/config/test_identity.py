from typing import Any

import pytest
from pydantic import ValidationError

from proxy.config.settings import Settings

SUBJECT = {"sub": "u1", "name": "loop", "tenant": "acme", "roles": ["dev"]}
CLAIMS = {"agent": "client_id", "tenants": ["globex"]}
ISSUER = {
    "issuer": "https://idp.example",
    "audience": "detent",
    "jwks_uri": "https://idp.example/jwks",
    "subjects": [SUBJECT],
}
OTHER = ISSUER | {"issuer": "https://other.example", "subjects": [], "claims": CLAIMS}
STATIC = {"name": "loop", "tenant": "acme", "roles": ["dev"], "token_sha256": "a" * 64}


def settings(*issuers: dict[str, Any], agents: Any = (), **listen: Any) -> Settings:
    """Return settings with these issuers, behind a public name."""
    return Settings.model_validate(
        {
            "listen": {"public_url": "https://detent.acme"} | listen,
            "identity": {"issuers": issuers, "agents": agents},
        }
    )


def test_one_audience_and_one_claim_are_lists_of_one() -> None:
    """As people write them."""
    idp, other = settings(ISSUER, OTHER).identity.issuers
    assert idp.audience == ("detent",)
    assert other.claims is not None
    assert (other.claims.agent, other.claims.tenant) == (("client_id",), None)


def test_a_static_agent_may_be_a_subject_too() -> None:
    """With the same rights: that is how a token of ours is replaced by one of the issuer."""
    identity = settings(ISSUER, agents=[STATIC]).identity
    assert [(one.tenant, one.name) for one in identity.named] == [("acme", "loop")] * 2
    twice = [STATIC, STATIC | {"token_sha256": "b" * 64, "roles": []}]
    assert len(settings(OTHER, agents=twice).identity.agents) == 2


BAD: list[tuple[tuple[dict[str, Any], ...], dict[str, Any], str]] = [
    ((ISSUER | {"subjects": []},), {}, "`subjects` or `claims`"),
    ((ISSUER | {"subjects": [SUBJECT, SUBJECT]},), {}, "stands twice in `subjects`"),
    ((ISSUER, ISSUER), {}, "an issuer stands twice"),
    ((OTHER, OTHER | {"issuer": "https://third.example"}), {}, "two issuers name agents"),
    ((ISSUER,), {"agents": [STATIC | {"roles": ["admin"]}]}, "different rights"),
    ((ISSUER,), {"agents": [STATIC | {"max_mode": "read_only"}]}, "different rights"),
    ((ISSUER | {"audience": []},), {}, "at least 1"),
    ((ISSUER | {"audience": ""},), {}, "at least 1"),
    ((ISSUER | {"algorithms": ["HS256"]},), {}, "ES256"),
    ((ISSUER | {"algorithms": []},), {}, "at least 1"),
    ((ISSUER | {"token_types": ["at+JWT"]},), {}, "at[+]jwt"),
    ((ISSUER | {"leeway": "31s"},), {}, "less than or equal to 30"),
    ((ISSUER | {"jwks": "https://idp.example"},), {}, "Extra inputs"),
    ((OTHER | {"claims": CLAIMS | {"tenants": []}},), {}, "at least 1"),
    ((OTHER | {"claims": CLAIMS | {"tenants": ["a", "b"]}},), {}, "need `tenant`"),
    ((OTHER | {"claims": CLAIMS | {"agent": []}},), {}, "at least 1"),
    ((ISSUER,), {"public_url": None}, "needs listen.public_url"),
    ((ISSUER,), {"public_url": "http://detent.acme"}, "begin with https"),
    ((ISSUER,), {"public_url": "http://localhost.evil"}, "begin with https"),
    ((ISSUER,), {"public_url": "https://detent.acme/mcp"}, "pattern"),
]


@pytest.mark.parametrize(("issuers", "more", "message"), BAD)
def test_what_would_admit_the_wrong_ones_is_refused(
    issuers: tuple[dict[str, Any], ...], more: dict[str, Any], message: str
) -> None:
    """Nobody named, names that mean two things, algorithms with secrets, tokens in the clear."""
    with pytest.raises(ValidationError, match=message):
        settings(*issuers, **more)


@pytest.mark.parametrize("url", ["http://127.0.0.1:8787", "http://localhost:1", "http://[::1]:1"])
def test_loopback_needs_no_tls(url: str) -> None:
    """For trying it out."""
    assert settings(ISSUER, public_url=url).listen.public_url == url
