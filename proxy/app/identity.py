"""Who may speak to us, from the settings: static principals, operators, issuers of tokens."""

from collections.abc import Awaitable, Callable, Iterable

from credentials.agent_token import NO_TYPE, TrustedIssuer
from credentials.key_cache import KeyCache
from proxy.config import Settings
from proxy.config.attach import SidecarIssuer
from proxy.config.identity import Agent, Claims, Issuer, Subject, TokenIssuer
from proxy.egress.key_set import KeySetClient
from proxy.errors import ConfigError
from proxy.ingress.attach_tokens import SidecarIssuer as TrustedSidecars
from proxy.ingress.attach_tokens import SidecarTokens
from proxy.model.kill import Scope, ScopeKind
from proxy.model.session import Operator, Principal
from proxy.model.sidecar import Sidecar
from proxy.pipeline.identify import ClaimRule, Identities
from proxy.pipeline.identify import Issuer as Trusted


def principals_of(settings: Settings) -> dict[str, Principal]:
    """Return the static agents by the SHA-256 of their tokens."""
    agents = settings.identity.agents
    return {agent.token_sha256: _principal(agent, settings) for agent in agents}


def named_principals(settings: Settings) -> dict[tuple[str, str], Principal]:
    """Return every agent that the settings name, by tenant and name."""
    return {(one.tenant, one.name): _principal(one, settings) for one in settings.identity.named}


def operators_of(settings: Settings) -> dict[str, Operator]:
    """Return the static operators by the SHA-256 of their tokens."""
    return {
        one.token_sha256: Operator(one.name, one.roles, one.tenants)
        for one in settings.identity.operators
    }


def sidecars_of(settings: Settings) -> dict[str, Sidecar]:
    """Return the sidecars that may attach, by the SHA-256 of their tokens."""
    return {
        one.token_sha256: Sidecar(one.name, frozenset(one.agents))
        for one in settings.attach.sidecars
    }


def scopes_of_settings(settings: Settings, tools: Iterable[str]) -> frozenset[Scope]:
    """Return the tenants, agents and tools that the settings name; kills can name others too."""
    named = [(one.tenant, one.name) for one in settings.identity.named]
    claims = [one.claims for one in settings.identity.issuers if one.claims]
    tenants = {tenant for one in claims for tenant in one.tenants}
    return frozenset(
        {
            *(Scope(ScopeKind.TENANT, tenant) for tenant in {*tenants, *(one for one, _ in named)}),
            *(Scope(ScopeKind.AGENT, f"{tenant}/{agent}") for tenant, agent in named),
            *(Scope(ScopeKind.TOOL, tool) for tool in tools),
        }
    )


def identities_of(
    settings: Settings, key_set: Callable[[TokenIssuer], KeySetClient]
) -> tuple[Identities, tuple[KeySetClient, ...]]:
    """Return what verifies tokens of the issuers, and the clients it fetches their keys with."""
    identity = settings.identity
    clients = tuple(key_set(one) for one in identity.issuers)
    trusted = [
        _trusted(one, client, settings)
        for one, client in zip(identity.issuers, clients, strict=True)
    ]
    reserved = {(one.tenant, one.name) for one in identity.named}
    return Identities(trusted, reserved), clients


def authorization_servers(settings: Settings) -> tuple[str, ...]:
    """Return the issuers that MCP clients may ask for a token."""
    return tuple(one.issuer for one in settings.identity.issuers if one.authorization_server)


def sidecar_tokens_of(
    settings: Settings, key_set: Callable[[TokenIssuer], KeySetClient]
) -> tuple[SidecarTokens, tuple[Callable[[], Awaitable[None]], ...]]:
    """Return what verifies sidecars' tokens of issuers, and what gives up and closes it.

    Raises ConfigError when a token could be both an agent's and a sidecar's.
    """
    refuse_shared_audiences(settings)
    issuers = settings.attach.issuers
    clients = tuple(key_set(one) for one in issuers)
    tokens = SidecarTokens(
        _trusted_sidecars(one, client) for one, client in zip(issuers, clients, strict=True)
    )
    return tokens, (tokens.close, *(client.close for client in clients))


def refuse_shared_audiences(settings: Settings) -> None:
    """Raise ConfigError when a token could be both an agent's and a sidecar's."""
    agents = {(one.issuer, name) for one in settings.identity.issuers for name in one.audience}
    sidecars = {(one.issuer, name) for one in settings.attach.issuers for name in one.audience}
    if agents & sidecars:
        cure = "give sidecars' tokens an audience of their own, such as detent-attach"
        raise ConfigError((f"attach.issuers: an audience of agents' tokens; {cure}",))


def _trusted_sidecars(issuer: SidecarIssuer, client: KeySetClient) -> TrustedSidecars:
    subjects = {one.sub: Sidecar(one.name, frozenset(one.agents)) for one in issuer.subjects}
    return TrustedSidecars(_rules(issuer), KeyCache(client.fetch), subjects)


def _rules(issuer: TokenIssuer) -> TrustedIssuer:
    return TrustedIssuer(
        issuer=issuer.issuer,
        audiences=frozenset(issuer.audience),
        algorithms=frozenset(issuer.algorithms),
        types=frozenset(NO_TYPE if one == "none" else one.lower() for one in issuer.token_types),
        leeway_s=issuer.leeway,
        max_lifetime_s=issuer.max_lifetime,
    )


def _trusted(issuer: Issuer, client: KeySetClient, settings: Settings) -> Trusted:
    subjects = {one.sub: _principal(one, settings) for one in issuer.subjects}
    claims = _claim_rule(issuer.claims, settings) if issuer.claims else None
    return Trusted(_rules(issuer), KeyCache(client.fetch), subjects, claims)


def _principal(one: Agent | Subject, settings: Settings) -> Principal:
    return Principal(
        tenant=one.tenant,
        agent=one.name,
        roles=one.roles,
        max_mode=one.max_mode,
        dry_run=one.dry_run or settings.dry_run,
    )


def _claim_rule(claims: Claims, settings: Settings) -> ClaimRule:
    return ClaimRule(
        agent=claims.agent,
        tenants=frozenset(claims.tenants),
        tenant=claims.tenant or (),
        roles_claim=claims.roles_claim or (),
        roles=frozenset(claims.roles),
        max_mode=claims.max_mode,
        dry_run=claims.dry_run or settings.dry_run,
    )
