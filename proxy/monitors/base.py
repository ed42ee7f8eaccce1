"""The monitor and alert-sink ports."""

from typing import Protocol

from proxy.model.call import ToolCall
from proxy.model.finding import Alert, Finding


class Monitor(Protocol):
    """Looks at what goes down and what comes back."""

    def on_call(self, call: ToolCall) -> Finding | None:
        """Look at a call before it is decided."""
        ...

    def on_result(self, call: ToolCall, result: bytes) -> Finding | None:
        """Look at a tool's answer (JSON) before the agent sees it."""
        ...


class AlertSink(Protocol):
    """Somewhere people are told."""

    name: str

    async def deliver(self, alert: Alert) -> None:
        """Deliver once; any exception means that it was not delivered."""
        ...
