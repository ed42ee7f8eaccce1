"""Asking a directory's policies their own suites before anything is made of them."""

import asyncio
from pathlib import Path

from proxy.app.policies import PolicySource
from proxy.pdp.managed_opa import ManagedOpa


async def probe_suites(directory: Path, opa: Path) -> None:
    """Ask a real OPA every case of the suites: what fails here is refused by every gateway.

    Raises PolicyInvalid with the cases that fail, PolicyUnavailable when OPA does not answer.
    """
    source = PolicySource(directory, opa)
    engine = ManagedOpa(opa)
    try:
        bundle, _ = await asyncio.to_thread(source.stage)
        await engine.start(bundle)
        await source.probe(bundle, engine.query)
    finally:
        await engine.stop()
        source.cleanup()
