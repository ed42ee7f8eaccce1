import logging
from typing import Any

import pytest

from proxy.errors import BadRequest, Refused, StoreUnavailable
from proxy.ingress.operator_access import Access, Role, everything_of
from proxy.model.kill import GLOBAL, Scope, ScopeKind
from proxy.model.session import Operator
from proxy.model.token import TokenKind, new_token, token_sha256
from tests.harness.operators import OPERATORS, Plane

TOKEN = new_token(TokenKind.OPERATOR)
ONCALL = Operator("oncall", ("kill", "view"), ("acme",))


@pytest.fixture
def access(plane: Plane) -> Access:
    return Access({token_sha256(TOKEN): ONCALL}, plane.store)


def request(authorization: str = "") -> dict[str, Any]:
    headers = [(b"authorization", authorization.encode())] if authorization else []
    return {"type": "http", "path": "/killswitch", "headers": headers}


def test_a_known_token_with_the_role_is_admitted(access: Access) -> None:
    """Any one of the roles is enough; the scheme's case does not matter."""
    assert access.admit(request(f"Bearer {TOKEN}"), [Role.KILL]) == ONCALL
    assert access.admit(request(f"bearer {TOKEN}"), [Role.LIFT, Role.VIEW]) == ONCALL


@pytest.mark.parametrize(
    "authorization",
    [
        "",
        TOKEN,
        "Bearer",
        "Bearer ",
        f"Basic {TOKEN}",
        f"Bearer  {TOKEN}",
        f"Bearer {TOKEN} ",
        f"Bearer {TOKEN[:-1]}",
        f"Bearer {TOKEN}x",
        f"Bearer {TOKEN.upper()}",
        f"Bearer {TOKEN.replace('dto_', '')}",
        f"Bearer {new_token(TokenKind.OPERATOR)}",
        f"Bearer {token_sha256(TOKEN)}",
        "Bearer eyJhbGciOiJub25lIn0.e30.",
    ],
)
def test_anything_else_is_not_authenticated(access: Access, authorization: str) -> None:
    """The refusal says what to send."""
    with pytest.raises(Refused) as raised:
        access.admit(request(authorization), [Role.KILL])
    [reason] = raised.value.refusal.reasons
    assert reason.id == "not-authenticated"
    assert "dto_" in reason.message


@pytest.mark.parametrize("kind", [TokenKind.AGENT, TokenKind.SESSION])
def test_an_agents_token_means_nothing(plane: Plane, kind: TokenKind) -> None:
    """Even if its hash were in the table by mistake."""
    token = new_token(kind)
    access = Access({token_sha256(token): ONCALL}, plane.store)
    with pytest.raises(BadRequest) as raised:
        access.admit(request(f"Bearer {token}"), [Role.KILL])
    assert (raised.value.code, raised.value.http) == ("agent-token", 403)


def test_a_missing_role_is_named(access: Access) -> None:
    """The operator knows whom to call."""
    with pytest.raises(BadRequest, match="lift or policy") as raised:
        access.admit(request(f"Bearer {TOKEN}"), [Role.POLICY, Role.LIFT])
    assert (raised.value.code, raised.value.http) == ("role-missing", 403)


def test_refusals_are_logged_without_tokens(
    access: Access, caplog: pytest.LogCaptureFixture
) -> None:
    """Somebody who tries leaves a trace; what was tried does not."""
    caplog.set_level(logging.WARNING)
    wrong = new_token(TokenKind.OPERATOR)
    with pytest.raises(Refused):
        access.admit(request(f"Bearer {wrong}"), [Role.KILL])
    with pytest.raises(BadRequest):
        access.admit(request(f"Bearer {TOKEN}"), [Role.LIFT])
    assert [vars(record)["path"] for record in caplog.records] == ["/killswitch"] * 2
    assert not any(
        token in str(vars(record)) for record in caplog.records for token in (wrong, TOKEN)
    )


COVERED = [
    ("chief", GLOBAL, True),
    ("chief", Scope(ScopeKind.SESSION, "ses_never"), True),
    ("acme", GLOBAL, False),
    ("acme", Scope(ScopeKind.TENANT, "acme"), True),
    ("acme", Scope(ScopeKind.TENANT, "globex"), False),
    ("acme", Scope(ScopeKind.TENANT, "acme2"), False),
    ("acme", Scope(ScopeKind.AGENT, "acme/loop"), True),
    ("acme", Scope(ScopeKind.AGENT, "globex/acme"), False),
    ("acme", Scope(ScopeKind.AGENT, "acme2/loop"), False),
    ("acme", Scope(ScopeKind.TOOL, "repo/git_commit"), False),
    ("acme", Scope(ScopeKind.TOOL, "acme/tool"), False),
    ("acme", Scope(ScopeKind.SESSION, "ses_never"), False),
    ("acme", Scope(ScopeKind.SESSION, "acme"), False),
    ("both", Scope(ScopeKind.TENANT, "globex"), True),
    ("both", GLOBAL, False),
    ("homeless", Scope(ScopeKind.TENANT, "acme"), False),
]


@pytest.mark.parametrize(("by", "scope", "covered"), COVERED)
async def test_an_operator_covers_its_tenants(
    access: Access, by: str, scope: Scope, covered: bool
) -> None:
    """Global and tool scopes touch every tenant and belong to operators of all."""
    assert await access.covers(OPERATORS[by], scope) is covered


async def test_a_session_belongs_to_its_tenant(access: Access, plane: Plane) -> None:
    """It is looked up, not guessed from its id."""
    scope = Scope(ScopeKind.SESSION, (await plane.session("acme")).id)
    assert await access.covers(OPERATORS["acme"], scope)
    assert not await access.covers(OPERATORS["globex"], scope)


async def test_operators_of_all_tenants_need_no_ledger(access: Access, plane: Plane) -> None:
    """Their kill works while it is down; the others cannot be told whose session it is."""
    plane.store.broken = True
    scope = Scope(ScopeKind.SESSION, "ses_1")
    assert await access.covers(OPERATORS["chief"], scope)
    with pytest.raises(StoreUnavailable):
        await access.covers(OPERATORS["acme"], scope)


async def test_every_scope_has_to_be_covered(access: Access) -> None:
    """One foreign scope, or none at all, refuses the whole."""
    own, foreign = Scope(ScopeKind.TENANT, "acme"), Scope(ScopeKind.TENANT, "globex")
    await access.require(OPERATORS["acme"], own)
    for scopes in ((own, foreign), (foreign,), ()):
        with pytest.raises(BadRequest) as raised:
            await access.require(OPERATORS["acme"], *scopes)
        assert (raised.value.code, raised.value.http) == ("not-covered", 403)


def test_everything_is_global_or_each_tenant() -> None:
    """What a kill without a body covers."""
    assert everything_of(OPERATORS["chief"]) == (GLOBAL,)
    assert everything_of(Operator("x", (), ("acme", "*"))) == (GLOBAL,)
    assert everything_of(OPERATORS["both"]) == (
        Scope(ScopeKind.TENANT, "acme"),
        Scope(ScopeKind.TENANT, "globex"),
    )
    assert everything_of(OPERATORS["homeless"]) == ()
