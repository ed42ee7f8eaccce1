"""The blocks of `detent.yaml` that join a sidecar to the gateway that keeps its ledger."""

from pathlib import Path
from typing import Annotated, Literal, Self

from pydantic import Field, model_validator

from proxy.config.blocks import Block, Duration, Name, SecretSource, Sha256
from proxy.config.identity import OneOrMore, Text, TokenIssuer

AgentName = Annotated[str, Field(pattern=r"^[A-Za-z0-9][A-Za-z0-9-]{0,62}/[A-Za-z0-9][^/]{0,62}$")]
_URL = r"^(https://|http://(127\.0\.0\.1|localhost|\[::1\]):).+$"


class SidecarIdentity(Block):
    """One sidecar that may attach to us."""

    name: Name
    agents: tuple[AgentName, ...] = Field(min_length=1, description="tenant/agent it speaks for")
    token_sha256: Sha256


class SidecarSubject(Block):
    """A sidecar, known by the `sub` of its issuer's tokens; its pods may be many."""

    sub: Text
    name: Name
    agents: tuple[AgentName, ...] = Field(min_length=1, description="tenant/agent it speaks for")


class SidecarIssuer(TokenIssuer):
    """An issuer of sidecars' tokens: Kubernetes, by projected service account tokens."""

    audience: OneOrMore = Field(
        default=("detent-attach",), description="of tokens to attach with, and of no others"
    )
    token_types: tuple[Literal["at+jwt", "JWT", "none"], ...] = Field(
        default=("none",), min_length=1, description="`typ` of its tokens; none: has no typ"
    )
    max_lifetime: Duration = Field(default=7_200.0, gt=0, description="seconds from now")
    subjects: tuple[SidecarSubject, ...] = Field(min_length=1)


class Attach(Block):
    """Which gateway we are attached to, and which sidecars may attach to us."""

    url: str | None = Field(
        default=None, pattern=_URL, description="the gateway's attach port; `--attach` sets it"
    )
    token: SecretSource | None = Field(default=None, description="ours, for the gateway")
    ca_file: Path | None = Field(default=None, description="PEM roots the gateway is checked with")
    sidecars: tuple[SidecarIdentity, ...] = ()
    issuers: tuple[SidecarIssuer, ...] = ()

    @model_validator(mode="after")
    def _a_gateway_wants_our_token(self) -> Self:
        if self.url is not None and self.token is None:
            raise ValueError("attaching to a gateway needs attach.token, by `file` or `env`")
        return self

    @model_validator(mode="after")
    def _one_meaning(self) -> Self:
        """Refuse what would make a token or a name stand for two sidecars."""
        if len({one.issuer for one in self.issuers}) < len(self.issuers):
            raise ValueError("an issuer stands twice in `issuers`; join them")
        subjects = [one for issuer in self.issuers for one in issuer.subjects]
        if len({one.sub for one in subjects}) < len(subjects):
            raise ValueError("a `sub` stands twice in `issuers`; keep one")
        names = [one.name for one in self.sidecars] + [one.name for one in subjects]
        if len(set(names)) < len(names):
            raise ValueError("two sidecars have the same name; give each its own")
        return self
