"""Stage 9: the only file that causes effects."""

import time
from datetime import UTC, datetime

from credentials.base import Lease
from proxy.errors import Refused, UpstreamFailed
from proxy.killswitch.inflight import Flight
from proxy.model.step import Step
from proxy.model.tool import Recovery
from proxy.observability.metrics import Metrics
from proxy.pipeline.reserve import decided
from proxy.pipeline.start import Starts
from proxy.stores.base import Ledger
from proxy.upstream.base import UpstreamCall, UpstreamResult
from proxy.upstream.conversation import Conversation
from proxy.upstream.registry import Registry


class Dispatch:
    """Sends the canonical call, after a last look at the kill state and the lease."""

    def __init__(
        self, registry: Registry, starts: Starts, ledger: Ledger, metrics: Metrics
    ) -> None:
        self._registry = registry
        self._starts = starts
        self._ledger = ledger
        self._metrics = metrics

    async def __call__(
        self, step: Step, lease: Lease | None, flight: Flight, conversation: Conversation
    ) -> UpstreamResult:
        """Make the call; `conversation` is what server and client say to each other meanwhile.

        Raises Refused: killed, kill-lease-expired, credential-unavailable (0 bytes sent),
        UpstreamFailed, OutcomeUnknown.
        """
        manifest, _ = decided(step)
        upstream = self._registry.upstream(step.call.server)
        if upstream is None:
            raise UpstreamFailed(f"no server named {step.call.server} is configured")
        if manifest.recovery is Recovery.OPAQUE:
            await self._ledger.mark_sending(step.id)

        def sending() -> None:
            if lease is not None and lease.expires_at <= datetime.now(UTC):
                raise Refused.because("credential-unavailable")  # it ended on the way here
            self._starts(step)
            flight.sent = True

        call = UpstreamCall(
            manifest=manifest,
            arguments=step.call.arguments,
            timeout_s=manifest.timeout_s,
            headers=lease.headers if lease else {},
            idempotency_key=step.id,
            method=step.call.method,
            extras=step.call.extras,
            meta=step.call.meta,
            round=step.call.round,
            conversation=conversation,
        )
        began = time.perf_counter()
        try:
            return await upstream.call(call, sending)
        finally:
            self._metrics.dispatched(time.perf_counter() - began, step.call.server)
