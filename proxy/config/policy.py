"""The block of `detent.yaml` that names the policies and what evaluates them."""

from pathlib import Path
from typing import Annotated, Literal, Self

from pydantic import BeforeValidator, Field, field_validator, model_validator

from proxy.config.blocks import Block, Duration, SecretSource

_URL = r"^(https://|http://(127\.0\.0\.1|localhost|\[::1\]):)[^?#]+$"
BundleUrl = Annotated[str, Field(pattern=_URL)]
KeyId = Annotated[str, Field(pattern=r"^[A-Za-z0-9._-]{1,64}$")]


class RemotePolicy(Block):
    """An OPA that others run."""

    url: str = Field(description="such as http://127.0.0.1:8181")
    token: SecretSource | None = None


class VerifyPolicy(Block):
    """Whose signature a bundle must carry."""

    keyid: KeyId = Field(description="the name of the key, as signatures carry it")
    key: Path = Field(description="the public key, PEM: P-256 or Ed25519")
    scope: str = Field(default="", description="what the signature must be for; OPA's `scope`")


class PullPolicy(Block):
    """How a bundle is had that changes while we run."""

    every: Duration = Field(
        default=30.0, ge=0.05, le=86_400, description="seconds between two looks"
    )
    token: SecretSource | None = Field(default=None, description="sent to the URL as a bearer")
    ca_file: Path | None = Field(default=None, description="PEM roots the URL is checked with")


class DecisionLogPolicy(Block):
    """Where every decision is written, one JSON object a line, with what is secret masked."""

    directory: Path = Field(description="made with mode 0700 when it is missing")
    file_bytes: int = Field(
        default=64 * 1024 * 1024, ge=4096, description="bytes until the next file is begun"
    )
    files: int = Field(default=16, ge=2, le=10_000, description="files that are kept, of all")


def _log(value: object) -> object:
    return {"directory": value} if isinstance(value, str | Path) else value


class Policy(Block):
    """Where policies come from and what evaluates them."""

    bundle: BundleUrl | Path = Field(
        default=Path("policies"),
        union_mode="left_to_right",
        description="a directory, or signed: a .tar.gz or its https URL",
    )
    verify: VerifyPolicy | None = Field(default=None, description="whose signature counts")
    pull: PullPolicy = PullPolicy()
    shadow: Path | None = Field(
        default=None, description="a directory or signed .tar.gz that is asked too and never obeyed"
    )
    state: Path | None = Field(
        default=None, description="directory of the last good bundles; beside the ledger if unset"
    )
    log: Annotated[DecisionLogPolicy, BeforeValidator(_log)] | None = Field(
        default=None, description="the decision log: a directory, or a block; off if unset"
    )
    engine: Literal["managed", "remote", "wasm"] = "managed"
    deadline: Duration = Field(default=0.25, description="seconds until no answer is a deny")
    opa: Path | None = Field(default=None, description="the opa binary; found by itself if unset")
    remote: RemotePolicy | None = None

    @field_validator("bundle")
    @classmethod
    def _no_other_url(cls, bundle: str | Path) -> str | Path:
        if isinstance(bundle, Path) and bundle.parts[:1] in {("http:",), ("https:",)}:
            raise ValueError("a bundle's URL begins with https://, and has no query")
        return bundle

    @model_validator(mode="after")
    def _remote_has_its_block(self) -> Self:
        if self.engine == "remote" and self.remote is None:
            raise ValueError("engine remote needs policy.remote.url")
        return self

    @model_validator(mode="after")
    def _what_travels_is_signed(self) -> Self:
        places = (self.bundle, self.shadow)
        if self.verify is None and any(is_archive(place) for place in places):
            raise ValueError(
                "a .tar.gz or a URL is taken only when signed: name the key in policy.verify"
            )
        return self


def is_archive(place: str | Path | None) -> bool:
    """Whether a bundle is one signed file, here or elsewhere, and not a directory."""
    return isinstance(place, str) or (place is not None and place.name.endswith(".tar.gz"))
