"""A gateway that trusts a local issuer: what its settings need for it."""

from collections.abc import AsyncIterator
from typing import Any

import pytest

from proxy.model.session import Mode
from tests.harness.issuer import AUDIENCE, SUBJECT, Issuer
from tests.harness.world import World

PUBLIC_URL = "https://detent.example"


def trust(world: World, issuer: Issuer, **changes: Any) -> dict[str, Any]:
    """Add an issuer to the world's settings; its one subject is acme/nightly. Return its entry."""
    subject = {"sub": SUBJECT, "name": "nightly", "tenant": "acme", "roles": ["tester"]}
    entry: dict[str, Any] = {
        "issuer": issuer.name,
        "audience": AUDIENCE,
        "jwks_uri": issuer.jwks_uri,
        "allow_private": True,
        "subjects": [subject | {"max_mode": Mode.READ_WRITE.value}],
    } | changes
    identity = world.settings.setdefault("identity", world._identity())
    identity.setdefault("issuers", []).append(entry)
    listen = {"agents": "127.0.0.1:0", "operators": "127.0.0.1:0", "public_url": PUBLIC_URL}
    world.settings["listen"] = listen
    return entry


@pytest.fixture
async def issuer() -> AsyncIterator[Issuer]:
    """An issuer that is up."""
    issuer = await Issuer().start()
    yield issuer
    await issuer.stop()


__all__ = ["PUBLIC_URL", "issuer", "trust"]
