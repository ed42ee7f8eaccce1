"""The policy in force: loaded, replaced whole, promoted, rolled back, and told of."""

import asyncio
import contextlib
import logging
import os
import socket
from collections.abc import Callable
from dataclasses import dataclass
from datetime import UTC, datetime
from functools import partial
from typing import Any

from proxy.app.policies import CurrentCatalogue, Delivery, PolicySource
from proxy.app.refusals import Refusals, Tell, shown
from proxy.app.shadowing import Candidate
from proxy.errors import PolicyError, PolicyInvalid
from proxy.observability.metrics import Metrics
from proxy.pdp.archive import pack
from proxy.pdp.base import StagedBundle
from proxy.pdp.bundle import discard
from proxy.pdp.decision import DecisionPoint
from proxy.pdp.delivery.choice import Choices, revision_of
from proxy.pdp.manifests import Catalogue
from proxy.pipeline.resolve import Resolver
from proxy.upstream.registry import Registry

log = logging.getLogger(__name__)

LOOK_S = 1.0
NO_CHOICE = "a sidecar's policy is its gateway's. Cure: ask the gateway"


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
        self._refusals = Refusals(parts.metrics, tell)
        self._changing = asyncio.Lock()
        self._archive = parts.source.archive
        self._loaded_at = datetime.now(UTC)
        self.bundle = bundle

    async def begin(self) -> None:
        """Start the engine under what was staged, or else under what there is instead.

        A choice that does not load is left, a last good bundle gives way to a newer one. Raises
        PolicyError.
        """
        on = self._on
        try:
            await on.decides.start(self.bundle)
        except PolicyInvalid as error:
            if not await self._is_another(error):
                raise
            bundle, catalogue = await asyncio.to_thread(on.source.stage)
            await on.decides.start(bundle)
            self._in_force(bundle, catalogue)
        await asyncio.to_thread(on.source.moved_on)
        for problem in (on.source.problem, on.delivery.problem if on.delivery else ""):
            if problem:
                await self.tell("policy-not-kept", problem)

    async def reload(self, *, older: bool = False) -> str:
        """Serve the bundle as its source offers it now; return the revision.

        A broken one changes nothing, alerts, and raises PolicyError. `older` admits a signed bundle
        with a smaller number than that of the last good one.
        """
        async with self._changing:
            try:
                if self._on.delivery is not None:
                    await self._on.delivery.look(anew=True, older=older)
                return await self._load_offered()
            except PolicyError as error:
                await self._refusals.tell_of("policy-reload-failed", error)
                raise

    async def follow_once(self, told: str = "") -> str:
        """Load what is newly delivered, if anything is.

        Return the trouble there was, which is not told again when it is what people were `told`.
        """
        async with self._changing:
            kind = ""
            try:
                if self._on.delivery is None or not await self._on.delivery.look():
                    return ""
                kind = "policy-reload-failed"
                await self._load_offered()
            except PolicyError as error:
                refused = "refused" if isinstance(error, PolicyInvalid) else "unavailable"
                if str(error) != told:
                    await self._refusals.tell_of(kind or f"policy-bundle-{refused}", error)
                return str(error)
            return ""

    async def promote(self, revision: str) -> str:
        """Serve the candidate that was asked in the shadow. Raises PolicyError.

        `revision` is the one that was looked at: another candidate is refused.
        """
        async with self._changing:
            candidate = self._on.candidate
            if candidate is None or not candidate.archive:
                raise PolicyInvalid("there is no candidate. Cure: name it in policy.shadow")
            if (found := revision_of(candidate.archive)) != revision:
                raise PolicyInvalid(f"the candidate is {found}. Cure: look at it, name it whole")
            return await self._choose(candidate.archive)

    async def rollback(self, revision: str = "") -> str:
        """Serve the bundle before this one, that of `revision` when named. Raises PolicyError."""
        async with self._changing:
            choices, left = self._on.source.choices, self.bundle.revision
            if choices is None:
                raise PolicyInvalid(NO_CHOICE)
            previous = await asyncio.to_thread(choices.back, revision, left)
            with choices.leaving(left):
                return await self._choose(previous, older=True)

    async def follow_choices(self) -> None:
        """Load what another process that shares our choices has chosen, for ever.

        It may have forgotten a choice because the source moved on: so we look there first.
        """
        choices = self._on.source.choices
        while choices is not None:
            await asyncio.sleep(LOOK_S)
            if choices.changed():
                await self.follow_once()
            if choices.changed():
                async with self._changing:
                    try:
                        await self._load()
                    except PolicyError as error:
                        await self._refusals.tell_of("policy-reload-failed", error)

    async def archived(self) -> tuple[str, bytes]:
        """Return the revision in force, and its bundle, for those attached to us.

        A bundle that is replaced meanwhile is being deleted: half of it is not given.
        """
        while True:
            bundle = self.bundle
            try:
                packed = await asyncio.to_thread(pack, bundle.directory)
            except PolicyInvalid:
                if bundle is self.bundle:
                    raise
            else:
                if bundle is self.bundle:
                    return bundle.revision, packed

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
            "refused": self._refusals.last,
            "shadow": on.candidate.report() if on.candidate else None,
        }

    async def _is_another(self, error: PolicyInvalid) -> bool:
        """Whether there is another policy to start with than one that did not load."""
        on = self._on
        if await asyncio.to_thread(on.source.forgo, error):
            return True
        log.error("%s", shown(str(error)))
        with contextlib.suppress(PolicyError):
            return on.delivery is not None and await on.delivery.look()
        return False

    async def tell(self, kind: str, message: str) -> None:
        """Alert people, in characters that can be stored and shown."""
        await self._refusals.tell(kind, shown(message))

    def _previous(self) -> str | None:
        choices = self._on.source.choices
        packed = choices.previous() if choices else b""
        return revision_of(packed) if packed else None

    async def _check_number(self, packed: bytes) -> None:
        """Refuse a signed candidate that is older than the last good bundle. Raises PolicyError."""
        delivery = self._on.delivery
        if delivery is None:
            return
        opened = await asyncio.to_thread(delivery.opened, packed)
        if opened.number < delivery.number:
            raise PolicyInvalid(
                f"the candidate's number {opened.number} is smaller than {delivery.number}, that "
                "of the last good bundle. Cure: build it with a greater number"
            )

    async def _choose(self, packed: bytes, *, older: bool = False) -> str:
        """Serve an archive as long as the source offers what it offers now.

        It is kept once it was loaded: a choice that ends the process must not end the next start.
        """
        choices, offered = self._on.source.choices, self._on.source.offered
        if choices is None:
            raise PolicyInvalid(NO_CHOICE)
        try:
            if not older:
                await self._check_number(packed)
            revision = await self._load(packed)
            await self._keep(choices, packed, offered)
        except PolicyError as error:
            await self._refusals.tell_of("policy-reload-failed", error)
            raise
        return revision

    async def _keep(self, choices: Choices, packed: bytes, offered: str) -> None:
        try:
            await asyncio.to_thread(choices.choose, packed, offered)
        except PolicyInvalid:
            await self._load()  # what a restart would end must not decide
            raise

    async def _load_offered(self) -> str:
        """Serve what the source, just asked, offers; a choice made before that is over."""
        revision = await self._load()
        await asyncio.to_thread(self._on.source.moved_on)
        return revision

    async def _load(self, chosen: bytes = b"") -> str:
        """Serve what is offered or stands chosen, or this archive instead. Raises PolicyError."""
        try:
            revision = await self._replace(chosen)
        except PolicyError as error:
            if not chosen:
                await self._settled(loaded=False, again=not isinstance(error, PolicyInvalid))
            raise
        if not chosen:
            await self._settled(loaded=True)
        if self._on.candidate is not None:
            await self._on.candidate.reload()
        return revision

    async def _settled(self, *, loaded: bool, again: bool = False) -> None:
        if self._on.delivery is not None:
            await asyncio.to_thread(self._on.delivery.settled, loaded=loaded, again=again)

    async def _replace(self, chosen: bytes) -> str:
        on = self._on
        bundle, catalogue = await asyncio.to_thread(on.source.stage, chosen)
        before, archive = self.bundle, self._archive
        try:
            await on.decides.reload(bundle, partial(self._in_force, bundle, catalogue))
        except PolicyError:
            discard(bundle)
            raise
        if before.revision != bundle.revision and on.source.choices is not None:
            await asyncio.to_thread(on.source.choices.replaced, archive)
        log.info("policy loaded", extra={"policy_revision": bundle.revision})
        await on.registry.refresh()
        on.noted()
        return bundle.revision

    def _in_force(self, bundle: StagedBundle, catalogue: Catalogue) -> None:
        """Live by the manifests of the bundle that decides now."""
        on = self._on
        replaced, self.bundle = self.bundle, bundle
        on.catalogue.replace(catalogue)
        on.resolver.replace(catalogue.tools)
        self._archive, self._loaded_at = on.source.archive, datetime.now(UTC)
        on.metrics.policy_loaded(bundle.revision)
        on.metrics.know_tools(on.catalogue.names())
        discard(replaced)
