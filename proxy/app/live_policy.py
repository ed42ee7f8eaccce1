"""The policy in force: loaded, replaced whole, promoted, rolled back, and told of."""

import asyncio
import logging
import os
import socket
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any, Protocol

from proxy.app.policies import CurrentCatalogue, PolicySource
from proxy.app.shadowing import Candidate
from proxy.errors import PolicyError, PolicyInvalid
from proxy.observability.metrics import Metrics
from proxy.pdp.archive import pack
from proxy.pdp.base import StagedBundle
from proxy.pdp.bundle import discard
from proxy.pdp.decision import DecisionPoint
from proxy.pdp.delivery.choice import revision_of
from proxy.pipeline.resolve import Resolver
from proxy.upstream.registry import Registry

log = logging.getLogger(__name__)

LOOK_S = 1.0

Tell = Callable[[str, str], Awaitable[None]]


class Delivery(Protocol):
    """Where signed bundles come from."""

    @property
    def number(self) -> int:
        """The number of the last good bundle; 0 when there is none."""
        ...

    async def look(self, *, older: bool = False) -> bool:
        """Unpack what is new. Raises PolicyError."""
        ...

    def settled(self, *, loaded: bool) -> None:
        """Hear whether that could be loaded."""
        ...

    def signed(self) -> bytes:
        """Return the last good archive as it was signed."""
        ...


@dataclass(frozen=True, slots=True)
class PolicyParts:
    """What a policy comes from, and what lives by it. `noted` is called after each load."""

    source: PolicySource
    decides: DecisionPoint
    catalogue: CurrentCatalogue
    resolver: Resolver
    registry: Registry
    metrics: Metrics
    noted: Callable[[], None] = lambda: None
    delivery: Delivery | None = None
    candidate: Candidate | None = None


class LivePolicy:
    """One change at a time: the manifests in force are always those of the bundle that decides.

    `tell` alerts people: a kind and a message.
    """

    def __init__(self, parts: PolicyParts, bundle: StagedBundle, tell: Tell) -> None:
        self._on = parts
        self._tell = tell
        self._changing = asyncio.Lock()
        self._archive = parts.source.archive
        self._loaded_at = datetime.now(UTC)
        self._refused: dict[str, str] | None = None
        self.bundle = bundle

    async def reload(self, *, older: bool = False) -> str:
        """Serve the bundle as its source offers it now; return the revision.

        A broken one changes nothing, alerts, and raises PolicyError. `older` admits a signed bundle
        with a smaller number than that of the last good one.
        """
        async with self._changing:
            try:
                if self._on.delivery is not None:
                    await self._on.delivery.look(older=older)
                return await self._load()
            except PolicyError as error:
                await self.refuse("policy-reload-failed", str(error))
                raise

    async def promote(self, revision: str) -> str:
        """Serve the candidate that was asked in the shadow. Raises PolicyError.

        `revision` is the one that was looked at: another candidate is refused.
        """
        async with self._changing:
            candidate = self._on.candidate
            if candidate is None or not candidate.archive:
                raise PolicyInvalid("there is no candidate. Cure: name it in policy.shadow")
            if revision_of(candidate.archive) != revision:
                raise PolicyInvalid(
                    "the candidate has another revision. Cure: look at it again, "
                    "`detent policy status`"
                )
            return await self._choose(candidate.archive)

    async def rollback(self) -> str:
        """Serve the bundle that was in force before this one. Raises PolicyError."""
        async with self._changing:
            choices = self._on.source.choices
            previous = await asyncio.to_thread(choices.previous) if choices else b""
            if not previous:
                raise PolicyInvalid("there is nothing to go back to: no other policy was in force")
            return await self._choose(previous)

    async def refuse(self, kind: str, message: str) -> None:
        """Count and tell that a policy was not taken; the last good one stays."""
        self._on.metrics.policy_refused()
        self._refused = {"at": datetime.now(UTC).isoformat(timespec="seconds"), "message": message}
        await self._tell(kind, f"the last good policy stays: {message}")

    async def follow_choices(self) -> None:
        """Load what another process that shares our choices has chosen, for ever."""
        choices = self._on.source.choices
        while choices is not None:
            await asyncio.sleep(LOOK_S)
            if choices.changed():
                async with self._changing:
                    try:
                        await self._load()
                    except PolicyError as error:
                        await self.refuse("policy-reload-failed", str(error))

    async def archived(self) -> tuple[str, bytes]:
        """Return the revision in force, and its bundle, for those attached to us."""
        bundle = self.bundle
        return bundle.revision, await asyncio.to_thread(pack, bundle.directory)

    def signed(self) -> bytes:
        """Return the last good archive as it was signed; nothing when policy comes unsigned."""
        return self._on.delivery.signed() if self._on.delivery else b""

    async def status(self) -> dict[str, Any]:
        """Return which policy this process decides by, and what became of others."""
        on = self._on
        return {
            "replica": f"{socket.gethostname()}:{os.getpid()}",
            "policy_revision": self.bundle.revision,
            "loaded_at": self._loaded_at.isoformat(timespec="seconds"),
            "offered": on.source.offered,
            "number": (on.delivery.number or None) if on.delivery else None,
            "previous": await asyncio.to_thread(self._previous),
            "refused": self._refused,
            "shadow": on.candidate.report() if on.candidate else None,
        }

    def _previous(self) -> str | None:
        choices = self._on.source.choices
        packed = choices.previous() if choices else b""
        return revision_of(packed) if packed else None

    async def _choose(self, packed: bytes) -> str:
        """Serve an archive as long as the source offers what it offers now."""
        choices, offered = self._on.source.choices, self._on.source.offered
        if choices is None:
            raise PolicyInvalid("a sidecar's policy is its gateway's. Cure: ask the gateway")
        before = choices.instead_of(offered)
        await asyncio.to_thread(choices.choose, packed, offered)
        try:
            return await self._load()
        except PolicyError as error:
            await asyncio.to_thread(choices.restore, before, offered)
            await self.refuse("policy-reload-failed", str(error))
            raise

    async def _load(self) -> str:
        on = self._on
        try:
            revision = await self._replace()
        except PolicyError:
            if on.delivery is not None:
                await asyncio.to_thread(on.delivery.settled, loaded=False)
            raise
        if on.delivery is not None:
            await asyncio.to_thread(on.delivery.settled, loaded=True)
        if on.candidate is not None:
            await on.candidate.reload()
        return revision

    async def _replace(self) -> str:
        on = self._on
        bundle, catalogue = await asyncio.to_thread(on.source.stage)
        try:
            await on.decides.reload(bundle)
        except PolicyError:
            discard(bundle)
            raise
        replaced, self.bundle = self.bundle, bundle
        discard(replaced)
        if replaced.revision != bundle.revision and on.source.choices is not None:
            await asyncio.to_thread(on.source.choices.replaced, self._archive)
        self._archive, self._loaded_at = on.source.archive, datetime.now(UTC)
        on.catalogue.replace(catalogue)
        on.resolver.replace(catalogue.tools)
        on.metrics.policy_loaded(bundle.revision)
        on.metrics.know_tools(on.catalogue.names())
        log.info("policy loaded", extra={"policy_revision": bundle.revision})
        await on.registry.refresh()
        on.noted()
        return bundle.revision
