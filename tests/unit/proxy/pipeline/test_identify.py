import json
import logging
from dataclasses import dataclass, replace
from typing import Any

import pytest

from credentials.agent_token import TrustedIssuer
from credentials.key_cache import KeyCache, KeysUnavailable
from proxy.errors import Refused
from proxy.model.session import Mode, Principal
from proxy.pipeline import identify
from proxy.pipeline.authenticate import Authenticator
from proxy.pipeline.identify import ClaimRule, Identities
from proxy.pipeline.identify import Issuer as Trusted
from proxy.pipeline.sessions import SessionRequest
from tests.harness.issuer import AUDIENCE, SUBJECT, Issuer

NIGHTLY = Principal("acme", "nightly", ("maintainer",), Mode.READ_ONLY, dry_run=True)
BY_CLAIMS = ClaimRule(
    agent=("client_id",),
    tenant=("org", "name"),
    tenants=frozenset({"acme", "globex"}),
    roles_claim=("groups",),
    roles=frozenset({"maintainer", "reader"}),
)
CLAIMS: dict[str, Any] = {
    "sub": "u1",
    "client_id": "loop",
    "org": {"name": "globex"},
    "groups": ["reader", "admin", 7, "maintainer"],
}


@dataclass
class World:
    """An issuer, what the gateway makes of it, and a clock that both look at."""

    issuer: Issuer
    identities: Identities
    now_s: float
    down: bool = False
    fetched: int = 0

    async def fetch(self) -> bytes:
        self.fetched += 1
        if self.down:
            raise KeysUnavailable("it cannot be reached")
        return json.dumps(self.issuer.jwks()).encode()

    def trust(self, claims: ClaimRule | None = None, **subjects: Principal) -> None:
        """Configure the issuer; subjects are named by `sub`."""
        rules = TrustedIssuer(self.issuer.name, frozenset({AUDIENCE}))
        keys = KeyCache(self.fetch, clock=lambda: self.now_s)
        trusted = Trusted(rules, keys, {SUBJECT: NIGHTLY} | subjects, claims)
        reserved = {("acme", "static")}
        self.identities = Identities([trusted], reserved, lambda: self.now_s)

    async def refusal(self, token: str) -> str:
        with pytest.raises(Refused) as refused:
            await self.identities.principal(token)
        return refused.value.refusal.reasons[0].id


@pytest.fixture
def world() -> World:
    world = World(Issuer(), Identities(), 1_800_000_000.0)
    world.issuer.clock = lambda: world.now_s
    world.trust()
    return world


async def test_a_subject_is_the_agent_of_its_entry(world: World) -> None:
    """With the roles and limits the configuration gives, whatever the token claims."""
    token = world.issuer.token(roles=["admin"], tenant="globex")
    assert await world.identities.principal(token) == NIGHTLY


async def test_claims_name_agent_tenant_and_roles(world: World) -> None:
    """Nested claims too; roles the issuer may not give are left out."""
    world.trust(BY_CLAIMS)
    principal = await world.identities.principal(world.issuer.token(**CLAIMS))
    assert principal == Principal("globex", "loop", ("maintainer", "reader"))
    assert await world.identities.principal(world.issuer.token()) == NIGHTLY


async def test_fixed_tenant_and_roles_need_no_claims(world: World) -> None:
    """One tenant, all of the roles."""
    world.trust(
        ClaimRule(("client_id",), frozenset({"acme"}), roles=frozenset({"reader"}), dry_run=True)
    )
    principal = await world.identities.principal(world.issuer.token(**CLAIMS))
    assert principal == Principal("acme", "loop", ("reader",), dry_run=True)


@pytest.mark.parametrize(
    ("groups", "roles"),
    [("reader admin", ("reader",)), (["admin"], ()), ({"reader": 1}, ()), (None, ())],
)
async def test_roles_come_as_a_list_or_as_words(
    world: World, groups: object, roles: tuple[str, ...]
) -> None:
    """Any other form gives none, and policy denies an agent without roles."""
    world.trust(BY_CLAIMS)
    principal = await world.identities.principal(world.issuer.token(**CLAIMS | {"groups": groups}))
    assert principal.roles == roles


UNMAPPED: list[dict[str, Any]] = [
    {"client_id": None},
    {"client_id": ["loop"]},
    {"client_id": ""},
    {"client_id": "a/b"},
    {"client_id": "a" * 64},
    {"client_id": "lo\u043ep"},
    {"client_id": "loop\n"},
    {"org": None},
    {"org": "globex"},
    {"org": {"name": "initech"}},
    {"org": {"name": "acme"}, "client_id": "static"},
]


@pytest.mark.parametrize("changes", UNMAPPED, ids=str)
async def test_whom_nothing_names_is_nobody(world: World, changes: dict[str, Any]) -> None:
    """A claim is missing or odd, the tenant is not theirs, the name is the configuration's own."""
    world.trust(BY_CLAIMS)
    assert await world.refusal(world.issuer.token(**CLAIMS | changes)) == "not-authenticated"


@pytest.mark.parametrize("sub", [None, "", "other", ["a"], {}])
async def test_without_claims_only_subjects_are_somebody(world: World, sub: object) -> None:
    """A valid token alone is no principal."""
    assert await world.refusal(world.issuer.token(sub=sub)) == "not-authenticated"


async def test_refusals_are_logged_without_the_token(
    world: World, caplog: pytest.LogCaptureFixture
) -> None:
    """Why and whose; a stranger's issuer is not repeated."""
    caplog.set_level(logging.WARNING)
    forged = world.issuer.token(iss="https://evil.example")
    late = world.issuer.token(exp=int(world.now_s) - 60, iat=None, nbf=None)
    for token in (forged, late, "a.b.c"):
        assert await world.refusal(token) == "not-authenticated"
        assert token not in caplog.text
    told = [(record.message, vars(record)["issuer"]) for record in caplog.records]
    assert told == [
        ("agent refused: wrong-issuer", ""),
        ("agent refused: expired", world.issuer.name),
        ("agent refused: malformed", ""),
    ]
    assert "evil" not in caplog.text


async def test_without_the_issuers_keys_nobody_is_let_in(world: World) -> None:
    """503: the token may be good, and nobody can tell."""
    world.down = True
    assert await world.refusal(world.issuer.token()) == "identity-unavailable"


async def test_a_verified_token_is_remembered_for_seconds(world: World) -> None:
    """Its signature is not verified at every call; keys that are withdrawn count soon."""
    token = world.issuer.token()
    await world.identities.principal(token)
    world.issuer.keys = {}
    world.now_s += 9
    assert await world.identities.principal(token) == NIGHTLY
    world.now_s += 3601
    assert await world.refusal(token) == "not-authenticated"


async def test_a_remembered_token_still_expires(world: World) -> None:
    """Its own time counts first."""
    token = world.issuer.token(exp=int(world.now_s) + 3)
    await world.identities.principal(token)
    world.now_s += 9
    assert await world.refusal(token) == "not-authenticated"


async def test_memory_is_bounded(world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    """The oldest token makes room."""
    monkeypatch.setattr(identify, "MAX_CACHED", 2)
    tokens = [world.issuer.token(jti=str(n)) for n in range(4)]
    for token in tokens:
        await world.identities.principal(token)
    assert len(world.identities._verified) == 2
    assert len(world.identities._proved) == 1


async def test_a_jwt_opens_a_session_that_lives_as_long_as_its_proof(
    house: Any, world: World
) -> None:
    """The session's token is good while the issuer's last word is, and again after the next one."""
    agents = {"0" * 64: Principal("acme", "somebody")}
    stage = Authenticator(agents, house.store, house.stages.desk, world.identities)
    house.pipeline._stages = replace(house.stages, authenticate=stage)
    first = await stage.caller(world.issuer.token())
    assert (first.principal, first.session.implicit) == (NIGHTLY, True)
    assert first.session.mode is Mode.READ_ONLY
    opened = await house.pipeline.open_session(world.issuer.token(), SessionRequest())
    assert (await stage.caller(opened.token)).principal == NIGHTLY
    world.now_s += 306
    with pytest.raises(Refused, match="not-authenticated"):
        await stage.caller(opened.token)
    fresh = world.issuer.token(exp=int(world.now_s) + 300)
    await stage.caller(fresh)
    assert (await stage.caller(opened.token)).session.id == opened.session.id


async def test_without_issuers_a_jwt_is_nobody(house: Any, world: World) -> None:
    """Nothing is fetched for it."""
    with pytest.raises(Refused, match="not-authenticated"):
        await house.pipeline.authenticate(world.issuer.token())
    assert world.fetched == 0


async def test_closing_gives_up_fetches(world: World) -> None:
    """A second time does nothing more."""
    await world.identities.principal(world.issuer.token())
    await world.identities.close()
    await world.identities.close()
