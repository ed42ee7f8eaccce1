from collections.abc import Callable

import pytest

from credentials.agent_token import NO_TYPE
from proxy.app.build import Builder
from proxy.app.identity import (
    authorization_servers,
    identities_of,
    operators_of,
    principals_of,
    scopes_of_settings,
    sidecar_tokens_of,
)
from proxy.config import Settings
from proxy.errors import ConfigError
from proxy.model.kill import Scope, ScopeKind
from proxy.model.session import Mode, Operator, Principal
from proxy.model.sidecar import Sidecar

A, B = "a" * 64, "b" * 64
LISTEN = {"public_url": "https://detent.acme"}
IDP = {
    "issuer": "https://idp.example",
    "audience": "detent",
    "jwks_uri": "https://idp.example/jwks",
    "subjects": [{"sub": "u1", "name": "loop", "tenant": "acme", "roles": ["dev"]}],
}
K8S = {
    "issuer": "https://kubernetes.default.svc",
    "audience": ["detent", "https://detent.acme/mcp"],
    "jwks_uri": "https://10.0.0.1/openid/v1/jwks",
    "algorithms": ["RS256"],
    "token_types": ["none", "JWT"],
    "leeway": "30s",
    "max_lifetime": "1h",
    "allow_private": True,
    "ca_file": "ca.pem",
    "authorization_server": False,
    "claims": {
        "agent": ["kubernetes.io", "serviceaccount", "name"],
        "tenant": ["kubernetes.io", "namespace"],
        "tenants": ["prod", "test"],
        "roles": ["reader"],
        "dry_run": True,
    },
}


def test_agents_are_known_by_the_hash_of_their_token(settings_of: Callable[..., Settings]) -> None:
    """With their roles, the mode they are capped at, and their own dry run."""
    agents = [
        {"name": "loop", "tenant": "acme", "roles": ["dev"], "token_sha256": A},
        {
            "name": "new",
            "tenant": "acme",
            "token_sha256": B,
            "max_mode": "read_only",
            "dry_run": True,
        },
    ]
    assert principals_of(settings_of(identity={"agents": agents})) == {
        A: Principal(tenant="acme", agent="loop", roles=("dev",)),
        B: Principal(tenant="acme", agent="new", max_mode=Mode.READ_ONLY, dry_run=True),
    }


def test_a_dry_run_of_everything_covers_every_agent(
    settings_of: Callable[..., Settings],
) -> None:
    """Whatever its own entry says."""
    agents = [{"name": "loop", "tenant": "acme", "token_sha256": A, "dry_run": False}]
    principals = principals_of(settings_of(dry_run=True, identity={"agents": agents}))
    assert principals[A].dry_run


def test_operators_are_known_by_the_hash_of_their_token(
    settings_of: Callable[..., Settings],
) -> None:
    """With roles and tenants."""
    entry = {"name": "oncall", "roles": ["kill"], "tenants": ["acme"], "token_sha256": A}
    operators = operators_of(settings_of(identity={"operators": [entry]}))
    assert operators == {A: Operator("oncall", ("kill",), ("acme",))}


PODS = {
    "issuer": "https://kubernetes.default.svc",
    "jwks_uri": "https://10.0.0.1/openid/v1/jwks",
    "allow_private": True,
    "subjects": [{"sub": "system:serviceaccount:a:b", "name": "pods", "agents": ["acme/loop"]}],
}


def test_an_issuer_is_trusted_as_the_settings_say(builder_of: Callable[..., Builder]) -> None:
    """Its rules, its subjects, its claims; nothing is opened for it yet."""
    builder = builder_of(listen=LISTEN, identity={"issuers": [IDP, K8S]})
    identities, clients = identities_of(builder.settings, builder.key_set)
    idp, k8s = identities._issuers.values()
    assert idp.rules.audiences == {"detent"}
    assert idp.rules.types == {"at+jwt"}
    assert idp.subjects == {"u1": Principal("acme", "loop", ("dev",))}
    assert k8s.rules.algorithms == {"RS256"}
    assert k8s.rules.types == {NO_TYPE, "jwt"}
    assert (k8s.rules.leeway_s, k8s.rules.max_lifetime_s) == (30, 3600)
    claims = {"kubernetes.io": {"namespace": "prod", "serviceaccount": {"name": "nightly"}}}
    assert k8s.claims is not None
    assert k8s.claims.principal(claims) == Principal("prod", "nightly", ("reader",), dry_run=True)
    assert [client._client for client in clients] == [None, None]
    assert clients[1]._ca_file == str(builder.settings.directory / "ca.pem")


def test_no_claim_takes_a_name_of_the_settings(builder_of: Callable[..., Builder]) -> None:
    """Static agents and subjects alike."""
    static = {"name": "nightly", "tenant": "prod", "token_sha256": A}
    builder = builder_of(listen=LISTEN, identity={"agents": [static], "issuers": [IDP, K8S]})
    identities, _ = identities_of(builder.settings, builder.key_set)
    assert identities._reserved == {("prod", "nightly"), ("acme", "loop")}


def test_a_key_set_that_may_not_be_fetched_is_told(builder_of: Callable[..., Builder]) -> None:
    """Plain http and private addresses take `allow_private`."""
    for url in ("http://idp.example/jwks", "https://127.0.0.1/jwks", "ftp://idp.example/jwks"):
        builder = builder_of(listen=LISTEN, identity={"issuers": [IDP | {"jwks_uri": url}]})
        with pytest.raises(ConfigError, match=r"https://idp\.example: jwks_uri"):
            identities_of(builder.settings, builder.key_set)


def test_kills_know_the_names_of_issuers(settings_of: Callable[..., Settings]) -> None:
    """Subjects by name, and every tenant that claims can name."""
    static = {"name": "old", "tenant": "acme", "token_sha256": A}
    settings = settings_of(listen=LISTEN, identity={"agents": [static], "issuers": [IDP, K8S]})
    assert scopes_of_settings(settings, ["repo/rm"]) == {
        *(Scope(ScopeKind.TENANT, tenant) for tenant in ("acme", "prod", "test")),
        *(Scope(ScopeKind.AGENT, agent) for agent in ("acme/old", "acme/loop")),
        Scope(ScopeKind.TOOL, "repo/rm"),
    }


def test_clients_are_sent_to_authorization_servers_only(
    settings_of: Callable[..., Settings],
) -> None:
    """A cluster gives no tokens to MCP clients that ask."""
    settings = settings_of(listen=LISTEN, identity={"issuers": [IDP, K8S]})
    assert authorization_servers(settings) == ("https://idp.example",)


def test_a_dry_run_of_everything_covers_issuers_too(builder_of: Callable[..., Builder]) -> None:
    """Whatever their entries say."""
    quiet = K8S | {"claims": {"agent": "sub", "tenants": ["prod"]}}
    builder = builder_of(listen=LISTEN, dry_run=True, identity={"issuers": [IDP, quiet]})
    identities, _ = identities_of(builder.settings, builder.key_set)
    idp, k8s = identities._issuers.values()
    assert idp.subjects["u1"].dry_run
    assert k8s.claims is not None
    assert k8s.claims.dry_run


async def test_an_issuer_of_sidecars_is_trusted_as_the_settings_say(
    builder_of: Callable[..., Builder],
) -> None:
    """The same issuer may sign for agents, for another audience."""
    builder = builder_of(listen=LISTEN, identity={"issuers": [K8S]}, attach={"issuers": [PODS]})
    tokens, closing = sidecar_tokens_of(builder.settings, builder.key_set)
    (known,) = tokens._issuers.values()
    assert known.rules.audiences == {"detent-attach"}
    assert known.rules.types == {NO_TYPE}
    assert known.subjects == {
        "system:serviceaccount:a:b": Sidecar("pods", frozenset({"acme/loop"}))
    }
    for close in closing:
        await close()


def test_a_key_set_of_sidecars_that_may_not_be_fetched_is_told(
    builder_of: Callable[..., Builder],
) -> None:
    """With its own place in the settings."""
    builder = builder_of(attach={"issuers": [PODS | {"jwks_uri": "ftp://10.0.0.1/jwks"}]})
    with pytest.raises(ConfigError, match=r"attach\.issuers: https://kubernetes"):
        sidecar_tokens_of(builder.settings, builder.key_set)


def test_a_token_is_an_agents_or_a_sidecars(builder_of: Callable[..., Builder]) -> None:
    """An audience that would make it both keeps the gateway from starting."""
    both = {"issuers": [PODS | {"audience": ["detent-attach", "detent"]}]}
    builder = builder_of(listen=LISTEN, identity={"issuers": [K8S]}, attach=both)
    with pytest.raises(ConfigError, match="audience"):
        sidecar_tokens_of(builder.settings, builder.key_set)
