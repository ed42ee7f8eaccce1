"""Sessions with a server of the handshake era: one for each client's session (I20).

What a server says in a session is for that client alone, and what it keeps for a session no other
client can see. The empty session is the gateway's own.
"""

import asyncio
import json
from collections.abc import AsyncIterator, Awaitable, Callable, Mapping
from contextlib import asynccontextmanager
from dataclasses import dataclass
from typing import Any

from proxy.errors import UpstreamFailed
from proxy.upstream.channel import Channel

Open = Callable[[str, Mapping[str, Any]], Awaitable[Channel]]
_Key = tuple[str, str]


@dataclass(frozen=True, slots=True)
class Bounds:
    """How many sessions are kept with one server, how many of them for one client's session (whose
    capabilities may differ), and how long one is kept that nobody uses.
    """

    channels: int = 256
    per_session: int = 4
    idle_s: float = 1800.0


class Channels:
    """The open channels of one server. `open_channel` opens one; it raises UpstreamFailed."""

    def __init__(self, open_channel: Open, bounds: Bounds | None = None) -> None:
        self._open = open_channel
        self._bounds = bounds or Bounds()
        self._channels: dict[_Key, Channel] = {}  # the one used last stands last
        self._timers: dict[_Key, asyncio.TimerHandle] = {}
        self._opening = asyncio.Lock()

    @asynccontextmanager
    async def use(self, session: str, capabilities: Mapping[str, Any]) -> AsyncIterator[Channel]:
        """Yield the channel of a client's session; it is not closed for idleness meanwhile.

        Raises UpstreamFailed when there is none and none can be opened.
        """
        key = (session, json.dumps(dict(capabilities), sort_keys=True) if capabilities else "")
        channel = self._found(key) or await self._opened(key, capabilities)
        channel.users += 1
        self._wake(key)
        try:
            yield channel
        finally:
            channel.users -= 1
            if not channel.users:
                self._rest(key, channel)

    def of(self, session: str) -> tuple[Channel, ...]:
        """Return the channels of one client's session."""
        return tuple(one for key, one in self._channels.items() if key[0] == session)

    def forget(self, session: str) -> None:
        """Close what is kept for a client's session; what is in use when its last user leaves."""
        for key in self._keys_of(session):
            channel = self._drop(key)
            if not channel.users:
                channel.close()

    def close(self) -> None:
        """Close all channels."""
        for key in tuple(self._channels):
            self._drop(key).close()

    def _keys_of(self, session: str) -> list[_Key]:
        return [key for key in self._channels if key[0] == session]

    def _found(self, key: _Key) -> Channel | None:
        channel = self._channels.get(key)
        if channel is not None and channel.gone.is_set():
            self._drop(key)
            return None
        return channel

    async def _opened(self, key: _Key, capabilities: Mapping[str, Any]) -> Channel:
        async with self._opening:
            found = self._found(key)
            if found is not None:
                return found
            self._make_room(self._keys_of(key[0]), self._bounds.per_session)
            self._make_room(list(self._channels), self._bounds.channels)
            self._channels[key] = await self._open(key[0], capabilities)
            return self._channels[key]

    def _make_room(self, keys: list[_Key], most: int) -> None:
        """Close the channel that was used the longest time ago, if there are too many."""
        if len(keys) < most:
            return
        idle = next((key for key in keys if not self._channels[key].users), None)
        if idle is None:
            raise UpstreamFailed("too many of its sessions are in use")
        self._drop(idle).close()

    def _wake(self, key: _Key) -> None:
        self._channels[key] = self._channels.pop(key)
        timer = self._timers.pop(key, None)
        if timer is not None:
            timer.cancel()

    def _rest(self, key: _Key, channel: Channel) -> None:
        """Let a channel that nobody uses wait for its next user, for a while."""
        if channel.gone.is_set():
            return
        if self._channels.get(key) is channel:
            loop = asyncio.get_running_loop()
            self._timers[key] = loop.call_later(self._bounds.idle_s, self._expire, key)
        else:
            channel.close()

    def _expire(self, key: _Key) -> None:
        self._drop(key).close()

    def _drop(self, key: _Key) -> Channel:
        timer = self._timers.pop(key, None)
        if timer is not None:
            timer.cancel()
        return self._channels.pop(key)
