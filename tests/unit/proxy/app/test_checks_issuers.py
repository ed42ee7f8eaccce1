"""What `detent check` says of issuers."""

from collections.abc import AsyncIterator
from typing import Any

import pytest

from proxy.app.checks import Finding, examine
from proxy.config import load_settings
from tests.harness.issuer import Issuer
from tests.harness.world import World

WHAT = "identity.issuers: https://idp.example"


@pytest.fixture
async def issuer() -> AsyncIterator[Issuer]:
    """An issuer that is up."""
    issuer = await Issuer().start()
    yield issuer
    await issuer.stop()


async def found(world: World, issuer: Issuer, **changes: Any) -> Finding:
    """Return what is found of the issuer, and nothing of agents that are missing."""
    entry = {
        "issuer": issuer.name,
        "audience": "detent",
        "jwks_uri": issuer.jwks_uri,
        "allow_private": True,
        "claims": {"agent": "sub", "tenants": ["acme"]},
    }
    operator = {"name": "oncall", "roles": ["kill"], "tenants": ["*"], "token_sha256": "0" * 64}
    world.settings = {
        "listen": {"agents": "127.0.0.1:0", "public_url": "https://detent.acme"},
        "identity": {"issuers": [entry | changes], "operators": [operator]},
    }
    findings = await examine(load_settings(world.write(), {}), {})
    assert [one for one in findings if one.what == "identity"] == []
    (one,) = (finding for finding in findings if finding.what == WHAT)
    return one


async def test_keys_that_can_be_had_are_fine(world: World, issuer: Issuer) -> None:
    """Agents need no static entry then."""
    assert await found(world, issuer) == Finding("ok", WHAT, "its keys can be had")


@pytest.mark.parametrize("body", [b"<html>", b"{}"])
async def test_keys_that_cannot_be_had_are_a_warning(
    world: World, issuer: Issuer, body: bytes
) -> None:
    """A start does without them; its tokens are refused meanwhile."""
    issuer.document = body
    finding = await found(world, issuer)
    assert (finding.level, finding.what) == ("warning", WHAT)
    assert finding.message.startswith("its keys cannot be had: what it gives is not")


async def test_an_address_that_is_not_admitted_is_an_error(world: World, issuer: Issuer) -> None:
    """A start would refuse it."""
    finding = await found(world, issuer, allow_private=False)
    assert (finding.level, finding.message[:9]) == ("error", "jwks_uri:")
    assert "use https" in finding.message
