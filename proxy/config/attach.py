"""The blocks of `detent.yaml` that join a sidecar to the gateway that keeps its ledger."""

from pathlib import Path
from typing import Annotated, Self

from pydantic import Field, model_validator

from proxy.config.blocks import Block, Name, SecretSource, Sha256

AgentName = Annotated[str, Field(pattern=r"^[A-Za-z0-9][A-Za-z0-9-]{0,62}/[A-Za-z0-9][^/]{0,62}$")]
_URL = r"^(https://|http://(127\.0\.0\.1|localhost|\[::1\]):).+$"


class SidecarIdentity(Block):
    """One sidecar that may attach to us."""

    name: Name
    agents: tuple[AgentName, ...] = Field(min_length=1, description="tenant/agent it speaks for")
    token_sha256: Sha256


class Attach(Block):
    """Which gateway we are attached to, and which sidecars may attach to us."""

    url: str | None = Field(
        default=None, pattern=_URL, description="the gateway's attach port; `--attach` sets it"
    )
    token: SecretSource | None = Field(default=None, description="ours, for the gateway")
    ca_file: Path | None = Field(default=None, description="PEM roots the gateway is checked with")
    sidecars: tuple[SidecarIdentity, ...] = ()

    @model_validator(mode="after")
    def _a_gateway_wants_our_token(self) -> Self:
        if self.url is not None and self.token is None:
            raise ValueError("attaching to a gateway needs attach.token, by `file` or `env`")
        return self
