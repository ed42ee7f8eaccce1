"""A call's time, which stands still while its client is being asked."""

import asyncio
from collections.abc import Awaitable, Callable
from types import TracebackType
from typing import Self, TypeVar

ASKING_S = 300.0

T = TypeVar("T")


class Clock:
    """Bounds a block to `timeout_s` seconds of the server's time; raises TimeoutError.

    What `asking` waits for does not count, but has `asking_s` seconds for the whole block.
    """

    def __init__(self, timeout_s: float, asking_s: float = ASKING_S) -> None:
        self._left_s = timeout_s
        self._asking_left_s = asking_s
        self._asking = 0
        self._since = 0.0
        self._timeout = asyncio.timeout(None)

    async def __aenter__(self) -> Self:
        await self._timeout.__aenter__()
        self._run()
        return self

    async def __aexit__(
        self,
        kind: type[BaseException] | None,
        problem: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        await self._timeout.__aexit__(kind, problem, trace)

    async def asking(self, ask: Callable[[], Awaitable[T]]) -> T:
        """Wait for a client. Raises TimeoutError when all asking took too long."""
        left_s = self._asking_left_s - (self._waited_s() if self._asking else 0.0)
        if left_s <= 0:
            raise TimeoutError
        if not self._asking:
            self._rest()
        self._asking += 1
        try:
            async with asyncio.timeout(left_s):
                return await ask()
        finally:
            self._asking -= 1
            if not self._asking:
                self._asking_left_s -= self._waited_s()
                self._run()

    def _waited_s(self) -> float:
        return _now() - self._since

    def _run(self) -> None:
        self._since = _now()
        if not self._timeout.expired():
            self._timeout.reschedule(self._since + self._left_s)

    def _rest(self) -> None:
        now = _now()
        self._left_s -= now - self._since
        self._since = now
        if not self._timeout.expired():
            self._timeout.reschedule(None)


def _now() -> float:
    return asyncio.get_running_loop().time()
