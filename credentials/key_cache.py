"""An issuer's keys in memory: fetched when they are needed, kept for a while when they cannot be.

    fresh     answered at once
    aging     answered at once, fetched again behind it
    stale     fetched before anything is answered; when that fails there are no keys at all

A key nobody knows has them fetched again, at most every `retry_s` seconds: that is what a key
rotation looks like, and what an attacker with invented key ids can cause.
"""

import asyncio
import time
from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass
from typing import Any

import jiter

from credentials.issuer_keys import PublicKey, find_public_key

Fetch = Callable[[], Awaitable[bytes]]


class KeysUnavailable(Exception):
    """The issuer's keys cannot be had now; the text says why, and holds no URL."""


@dataclass(frozen=True, slots=True)
class CacheTimes:
    """In seconds: for how long keys are fresh, kept at most, and not asked for again."""

    fresh_s: float = 300.0
    kept_s: float = 3_600.0
    retry_s: float = 10.0


class KeyCache:
    """The keys of one issuer. `fetch` gives its JWKS document and raises KeysUnavailable.

    `clock` gives seconds that only grow.
    """

    def __init__(
        self,
        fetch: Fetch,
        times: CacheTimes | None = None,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self._fetch = fetch
        self._times = times or CacheTimes()
        self._clock = clock
        self._document: Mapping[str, Any] = {}
        self._fetched_s = float("-inf")
        self._tried_s = float("-inf")
        self._fetching: asyncio.Task[None] | None = None
        self._problem = "its keys have not been fetched yet"

    async def find(self, kid: str, algorithm: str) -> PublicKey | None:
        """Return the key for this kid and algorithm, None when the issuer has none such.

        Raises KeysUnavailable.
        """
        if not self._is_younger_than(self._times.kept_s):
            await self._refresh()
        elif not self._is_younger_than(self._times.fresh_s):
            self._begin()
        key = self._known(kid, algorithm)
        if key is None and await self._refresh():
            key = self._known(kid, algorithm)
        return key

    async def close(self) -> None:
        """Give up a fetch that is under way."""
        if self._fetching is not None:
            self._fetching.cancel()
            await asyncio.gather(self._fetching, return_exceptions=True)

    def _known(self, kid: str, algorithm: str) -> PublicKey | None:
        if not self._is_younger_than(self._times.kept_s):
            raise KeysUnavailable(self._problem)
        return find_public_key(self._document, kid, algorithm)

    def _is_younger_than(self, seconds: float) -> bool:
        return self._clock() - self._fetched_s < seconds

    async def _refresh(self) -> bool:
        """Fetch and wait; return False without it when that was tried too recently."""
        task = self._begin()
        if task is None:
            return False
        # Shielded: whoever gives up waiting does not end the fetch for the others.
        await asyncio.shield(task)
        return True

    def _begin(self) -> asyncio.Task[None] | None:
        """Join the fetch under way or begin one; None when the last try was too recent."""
        if self._fetching is not None and not self._fetching.done():
            return self._fetching
        if self._clock() - self._tried_s < self._times.retry_s:
            return None
        self._tried_s = self._clock()
        self._fetching = asyncio.get_running_loop().create_task(self._replace())
        return self._fetching

    async def _replace(self) -> None:
        """Take the issuer's document; what is none leaves the last good one."""
        try:
            raw = await self._fetch()
            document = jiter.from_json(raw, allow_inf_nan=False, catch_duplicate_keys=True)
        except KeysUnavailable as problem:
            self._problem = str(problem)
            return
        except ValueError:
            self._problem = "what it gives is not JSON"
            return
        if not isinstance(document, dict) or not isinstance(document.get("keys"), list):
            self._problem = "what it gives is not a key set"
            return
        self._document = document
        self._fetched_s = self._clock()
