"""Who may speak to us: static agents and operators, and issuers whose tokens agents may present."""

from pathlib import Path
from typing import Annotated, Literal, Self

from pydantic import BeforeValidator, Field, model_validator

from proxy.config.blocks import Block, Duration, Name, Sha256
from proxy.model.session import Mode


def _path(value: object) -> object:
    """Read one claim's name as the path of one step."""
    return (value,) if isinstance(value, str) else value


Text = Annotated[str, Field(min_length=1, max_length=512)]
ClaimPath = Annotated[tuple[Text, ...], BeforeValidator(_path), Field(min_length=1)]
OneOrMore = Annotated[tuple[Text, ...], BeforeValidator(_path), Field(min_length=1)]


class Agent(Block):
    """A static agent, known by the hash of its token (`detent token new agent`)."""

    name: Name
    tenant: Name
    roles: tuple[Name, ...] = ()
    token_sha256: Sha256
    max_mode: Mode = Mode.READ_WRITE
    dry_run: bool = Field(default=False, description="preview its writes whatever it asks")


class OperatorEntry(Block):
    """An operator, known by the hash of its token (`detent token new operator`)."""

    name: Name
    roles: tuple[Literal["kill", "lift", "view", "approve", "policy", "evaluate", "pull"], ...]
    tenants: tuple[str, ...] = Field(description="tenants it may act on; ['*'] for all")
    token_sha256: Sha256


class Subject(Block):
    """An agent, known by the `sub` of its issuer's tokens."""

    sub: Text
    name: Name
    tenant: Name
    roles: tuple[Name, ...] = ()
    max_mode: Mode = Mode.READ_WRITE
    dry_run: bool = Field(default=False, description="preview its writes whatever it asks")


class Claims(Block):
    """Agents that nobody lists: the claims that name them. A path leads into nested objects."""

    agent: ClaimPath = Field(description="claim with the agent's name")
    tenants: tuple[Name, ...] = Field(min_length=1, description="tenants the issuer speaks for")
    tenant: ClaimPath | None = Field(default=None, description="claim with the tenant")
    roles: tuple[Name, ...] = Field(default=(), description="the most that the issuer can give")
    roles_claim: ClaimPath | None = Field(default=None, description="claim with the roles")
    max_mode: Mode = Mode.READ_WRITE
    dry_run: bool = Field(default=False, description="preview their writes whatever they ask")

    @model_validator(mode="after")
    def _one_tenant_or_a_claim(self) -> Self:
        if self.tenant is None and len(self.tenants) > 1:
            raise ValueError("several tenants need `tenant`, the claim that names one of them")
        return self


class TokenIssuer(Block):
    """An issuer of tokens, what they have to be, and where its keys are."""

    issuer: Text = Field(description="its `iss`, exactly")
    audience: OneOrMore = Field(description="our name in its tokens, exactly one of these")
    jwks_uri: Text
    algorithms: tuple[Literal["ES256", "RS256", "EdDSA"], ...] = Field(
        default=("ES256", "RS256", "EdDSA"), min_length=1
    )
    token_types: tuple[Literal["at+jwt", "JWT", "none"], ...] = Field(
        default=("at+jwt",), min_length=1, description="`typ` of its tokens; none: has no typ"
    )
    leeway: Duration = Field(default=5.0, le=30, description="seconds clocks may differ")
    max_lifetime: Duration = Field(default=86_400.0, gt=0, description="seconds from now")
    allow_private: bool = Field(default=False, description="jwks_uri may be loopback or private")
    ca_file: Path | None = Field(default=None, description="PEM of the CA that jwks_uri trusts")


class Issuer(TokenIssuer):
    """An issuer of agents' tokens: OIDC, Kubernetes service accounts, SPIFFE JWT-SVID."""

    authorization_server: bool = Field(default=True, description="tell MCP clients to ask it")
    subjects: tuple[Subject, ...] = ()
    claims: Claims | None = None

    @model_validator(mode="after")
    def _somebody(self) -> Self:
        if not self.subjects and self.claims is None:
            raise ValueError("say whom its tokens stand for, in `subjects` or `claims`")
        if len({one.sub for one in self.subjects}) < len(self.subjects):
            raise ValueError("a `sub` stands twice in `subjects`; keep one")
        return self


class Identity(Block):
    """Who may speak to us."""

    issuers: tuple[Issuer, ...] = ()
    agents: tuple[Agent, ...] = ()
    operators: tuple[OperatorEntry, ...] = ()

    @model_validator(mode="after")
    def _one_meaning(self) -> Self:
        """Refuse what would make a name stand for two things."""
        tokens = [one.token_sha256 for one in self.agents]
        tokens += [one.token_sha256 for one in self.operators]
        if len(set(tokens)) < len(tokens):
            raise ValueError("two have the same token_sha256; make each a token of its own")
        if len({one.issuer for one in self.issuers}) < len(self.issuers):
            raise ValueError("an issuer stands twice in `issuers`; join them")
        claimed = [tenant for one in self.issuers if one.claims for tenant in one.claims.tenants]
        if len(set(claimed)) < len(claimed):
            raise ValueError("two issuers name agents of one tenant by claims; use `subjects`")
        meanings: dict[tuple[str, str], tuple[object, ...]] = {}
        subjects = {(one.tenant, one.name) for one in self.named if isinstance(one, Subject)}
        for one in self.named:
            if (one.tenant, one.name) not in subjects:
                continue
            said = (frozenset(one.roles), one.max_mode, one.dry_run)
            if meanings.setdefault((one.tenant, one.name), said) != said:
                raise ValueError(f"{one.tenant}/{one.name} stands twice with different rights")
        return self

    @property
    def named(self) -> tuple[Agent | Subject, ...]:
        """Every agent that the settings name."""
        subjects = (one for issuer in self.issuers for one in issuer.subjects)
        return (*self.agents, *subjects)
