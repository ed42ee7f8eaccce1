"""Signed bundles by the settings: where they come from, whose signature counts, who follows."""

import asyncio
import contextlib
import logging
from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import Protocol, TypeVar

from proxy.app.policies import PolicySource
from proxy.app.secrets import Secrets
from proxy.config import Settings
from proxy.config.policy import is_archive
from proxy.errors import ConfigError, EgressRefused, PolicyInvalid
from proxy.pdp.delivery.origin import FileOrigin, Origin, UrlOrigin
from proxy.pdp.delivery.pull import DeliveredPolicy
from proxy.pdp.delivery.signature import Trust, trust

T = TypeVar("T")
log = logging.getLogger(__name__)

MAX_KEY_BYTES = 8192


class Follower(Protocol):
    """The policy in force, as the follower sees it."""

    async def follow_once(self, told: str = "") -> str:
        """Load what is newly delivered; return the trouble there was, told unless it was."""
        ...


def delivered_of(settings: Settings, secrets: Secrets, opa: Path) -> DeliveredPolicy:
    """Return what delivers the signed bundle of the settings. Raises ConfigError."""
    trusted = trust_of(settings)
    return DeliveredPolicy(_origin(settings, secrets), trusted, opa, settings.policy_state)


async def source_of(
    settings: Settings, secrets: Secrets, opa: Path, undo: contextlib.AsyncExitStack
) -> PolicySource:
    """Return the policy's source after one look at a signed one; `undo` ends it.

    Raises ConfigError, PolicyError.
    """
    if is_archive(settings.policy.bundle):
        signed = delivered_of(settings, secrets, opa)
        undo.push_async_callback(signed.close)
        await signed.look()
        source = PolicySource(signed.directory, opa, lambda: signed.revision)
    else:
        source = PolicySource(settings.path(Path(settings.policy.bundle)), opa)
    undo.callback(source.cleanup)
    return source


def candidate_delivered(settings: Settings, opa: Path) -> DeliveredPolicy | None:
    """Return what delivers the signed candidate of the settings; None for a directory.

    Raises ConfigError.
    """
    shadow = settings.policy.shadow
    if shadow is None or not is_archive(shadow):
        return None
    origin, state = FileOrigin(settings.path(shadow)), settings.policy_state / "shadow"
    return DeliveredPolicy(origin, trust_of(settings), opa, state)


def trust_of(settings: Settings) -> Trust:
    """Return whose signature counts. Raises ConfigError."""
    verify = settings.policy.verify
    if verify is None:
        raise ConfigError(("policy.verify: name `key` and `keyid`",))
    try:
        with settings.path(verify.key).open("rb") as file:
            return trust(verify.keyid, file.read(MAX_KEY_BYTES), verify.scope)
    except OSError as error:
        raise ConfigError((f"policy.verify.key: cannot be read ({error.strerror})",)) from None
    except PolicyInvalid as error:
        raise ConfigError((f"policy.verify.key: {error}",)) from None


async def follow(live: Follower, every_s: float, started: Callable[[], Awaitable[bool]]) -> None:
    """Look for new bundles for ever, from the moment the gateway has started.

    A trouble is told once, and again when there was none or another in between.
    """
    await started()
    told = ""
    while True:
        told = await live.follow_once(told)
        await asyncio.sleep(every_s)


async def begun(policy: DeliveredPolicy, assemble: Callable[[], T]) -> T:
    """Assemble with the last good policy or, when it is good no more, with a newer one.

    Raises ConfigError, PolicyError.
    """
    try:
        return assemble()
    except PolicyInvalid as error:
        log.error("the last good policy does not load: %s", error)
        if not await policy.look():
            raise
    return assemble()


def _origin(settings: Settings, secrets: Secrets) -> Origin:
    bundle, pull = settings.policy.bundle, settings.policy.pull
    if isinstance(bundle, Path):
        return FileOrigin(settings.path(bundle))
    ca_file = str(settings.path(pull.ca_file)) if pull.ca_file else None
    read = secrets.open(pull.token, "policy.pull.token").read if pull.token else str
    try:
        return UrlOrigin(bundle, read, ca_file)
    except EgressRefused as error:
        raise ConfigError((f"policy.bundle: {error}",)) from None
