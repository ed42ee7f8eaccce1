"""Sidecars that wait for a newer epoch of the kill log: thousands, and all are told at once."""

import asyncio
from collections.abc import Callable
from dataclasses import dataclass
from functools import partial

from proxy.ingress.repeats import Forget, Write
from proxy.killswitch.switch import KillSwitch


@dataclass(frozen=True, slots=True, eq=False)
class _Waiter:
    known: int
    write: Write
    due: asyncio.TimerHandle


class News:
    """Answers with the newest epoch as soon as it is newer, or after `poll_s` all the same."""

    def __init__(self, kill_switch: KillSwitch, poll_s: Callable[[], float]) -> None:
        self._kill_switch = kill_switch
        self._poll_s = poll_s
        self._waiting: dict[object, _Waiter] = {}
        kill_switch.on_news(self._tell)

    async def after(self, known: int) -> bytes:
        """Return the newest epoch when it is newer than that, or when the time is over."""
        told: asyncio.Future[bytes] = asyncio.get_running_loop().create_future()

        def write(newest: bytes) -> None:
            if not told.done():  # cancelled already, and about to be forgotten
                told.set_result(newest)

        answer = self.ask(known, write)
        if isinstance(answer, bytes):
            return answer
        try:
            return await told
        finally:
            answer()

    def ask(self, known: int, write: Write) -> bytes | Forget:
        """Return the newest epoch; or write it later, unless what is returned is called before."""
        if self._kill_switch.synced > known:
            return self._newest()
        key = object()
        due = asyncio.get_running_loop().call_later(self._poll_s(), self._answer, key)
        self._waiting[key] = _Waiter(known, write, due)
        return partial(self._forget, key)

    def _tell(self) -> None:
        synced = self._kill_switch.synced
        for key in [key for key, one in self._waiting.items() if one.known < synced]:
            self._answer(key)

    def _answer(self, key: object) -> None:
        waiter = self._waiting[key]
        self._forget(key)
        waiter.write(self._newest())

    def _forget(self, key: object) -> None:
        waiter = self._waiting.pop(key, None)
        if waiter is not None:
            waiter.due.cancel()

    def _newest(self) -> bytes:
        return b"%d" % self._kill_switch.synced
