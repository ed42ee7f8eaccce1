"""A gateway in this process whose policy comes signed, in a file that is replaced."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from pathlib import Path

from proxy.app.assemble import assemble
from proxy.app.delivered import delivered_of
from proxy.app.gateway import Gateway
from proxy.app.secrets import Secrets
from proxy.config import load_settings
from proxy.observability.masking import Masker
from proxy.pdp.delivery.choice import Choices
from proxy.pdp.delivery.pull import DeliveredPolicy
from proxy.pdp.find_opa import find_opa
from tests.harness.signing import BundleKey
from tests.harness.tiny_bundle import CASE, FAILING_SUITE, RULE, SUITE_HEAD, write
from tests.harness.world import World

GOOD_SUITE = SUITE_HEAD + CASE


@dataclass
class Delivering:
    """The file, whose signature counts, and what a running gateway has of it."""

    world: World
    key: BundleKey = field(default_factory=BundleKey.make)

    def __post_init__(self) -> None:
        verify = self.key.settings(self.world.directory)
        self.world.settings = {"policy": {"bundle": "b.tar.gz", "verify": verify}}

    @property
    def choices(self) -> Choices:
        """What another process of ours sees of the choices."""
        return Choices(self.world.directory / "var" / "policy")

    def signed(self, text: str, number: int, *, fails: bool = False) -> bytes:
        """Return policies with this text in them, signed; their own suite may fail."""
        suite = FAILING_SUITE if fails else GOOD_SUITE
        files = {"main.rego": f"{RULE}\n# {text}\n", "suites/reads.yaml": suite}
        return self.key.deliver(write(self.world.bundle, files), number)

    def put(self, packed: bytes) -> None:
        """Replace the file."""
        fresh = self.world.directory / "fresh"
        fresh.write_bytes(packed)
        fresh.replace(self.file)

    @property
    def file(self) -> Path:
        """Where the gateway looks."""
        return self.world.directory / "b.tar.gz"

    @asynccontextmanager
    async def running(self) -> AsyncIterator[tuple[Gateway, DeliveredPolicy]]:
        """Run a gateway until the block ends; nobody follows the file."""
        settings = load_settings(self.world.write(), {})
        policy = delivered_of(settings, Secrets(settings, {}), find_opa().path)
        try:
            await policy.first()
            here = settings.policy.model_copy(update={"bundle": policy.directory})
            given = settings.model_copy(update={"policy": here})
            built = assemble(given, {}, Masker(), lambda: policy.revision, policy)
            try:
                await built.gateway.start()
                yield built.gateway, policy
            finally:
                await built.gateway.stop()
                built.cleanup()
        finally:
            await policy.close()
