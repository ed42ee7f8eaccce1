"""What the blocks of `detent.yaml` are made of."""

import re
from pathlib import Path
from typing import Annotated, Self

from pydantic import BaseModel, BeforeValidator, ConfigDict, Field, model_validator

_DURATION = re.compile(r"(\d+(?:\.\d+)?)(ms|s|m|h)")
_SECONDS = {"ms": 0.001, "s": 1.0, "m": 60.0, "h": 3600.0}


def seconds(value: object) -> float:
    """Read `250ms`, `2s`, `5m` or `1h`. Raises ValueError."""
    match = _DURATION.fullmatch(str(value))
    if match is None:
        raise ValueError("a duration with its unit is needed, such as 250ms, 2s or 5m")
    return float(match[1]) * _SECONDS[match[2]]


Duration = Annotated[float, BeforeValidator(seconds)]
Name = Annotated[str, Field(pattern=r"^[A-Za-z0-9][A-Za-z0-9-]{0,62}$")]
Sha256 = Annotated[str, Field(pattern=r"^[0-9a-f]{64}$")]


class Block(BaseModel):
    """A block of the file: frozen, unknown keys refused."""

    model_config = ConfigDict(frozen=True, extra="forbid")


class SecretSource(Block):
    """Where a secret is: a file (0600) or an environment variable."""

    file: Path | None = Field(default=None, description="path of a file only we may read")
    env: str | None = Field(default=None, description="name of an environment variable")

    @model_validator(mode="after")
    def _one_source(self) -> Self:
        if (self.file is None) == (self.env is None):
            raise ValueError("name the secret by exactly one of `file` and `env`")
        return self
