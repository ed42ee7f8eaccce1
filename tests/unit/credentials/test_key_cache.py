import asyncio
import json
from collections.abc import Callable
from dataclasses import dataclass, field

import pytest

from credentials.key_cache import CacheTimes, KeyCache, KeysUnavailable
from tests.harness.issuer import Issuer

TIMES = CacheTimes(fresh_s=300, kept_s=3600, retry_s=10)


@dataclass
class Source:
    """An issuer's address that answers as told; `hold` keeps it waiting."""

    issuer: Issuer = field(default_factory=Issuer)
    asked: int = 0
    down: bool = False
    body: bytes | None = None
    hold: asyncio.Event | None = None

    async def fetch(self) -> bytes:
        self.asked += 1
        if self.hold is not None:
            await self.hold.wait()
        if self.down:
            raise KeysUnavailable("it cannot be reached")
        return self.body if self.body is not None else json.dumps(self.issuer.jwks()).encode()


@pytest.fixture
def source() -> Source:
    return Source()


@pytest.fixture
def cache(source: Source, clock: Callable[[], float]) -> KeyCache:
    return KeyCache(source.fetch, TIMES, clock)


async def has(cache: KeyCache, kid: str = "ES256") -> bool:
    return await cache.find(kid, "ES256") is not None


async def test_keys_are_fetched_once_for_all(source: Source, cache: KeyCache) -> None:
    """Those who come meanwhile wait for the same answer."""
    assert await asyncio.gather(*(has(cache) for _ in range(10))) == [True] * 10
    assert await has(cache)
    assert source.asked == 1


async def test_an_unknown_key_has_them_fetched_again(
    source: Source, cache: KeyCache, time_s: list[float]
) -> None:
    """A rotation is seen at once; invented ids cost one fetch in ten seconds."""
    await has(cache)
    time_s[0] += 11
    source.body = json.dumps({"keys": [source.issuer.jwks()["keys"][0] | {"kid": "next"}]}).encode()
    assert await has(cache, "next")
    assert not await has(cache)
    for n in range(20):
        assert not await has(cache, f"invented-{n}")
    assert source.asked == 2


async def test_aging_keys_are_used_while_newer_ones_are_fetched(
    source: Source, cache: KeyCache, time_s: list[float]
) -> None:
    """Nobody waits for an issuer that is slow."""
    await has(cache)
    time_s[0] += 301
    source.hold = asyncio.Event()
    assert await has(cache)
    await asyncio.sleep(0)
    assert source.asked == 2
    source.hold.set()
    await asyncio.sleep(0.01)
    assert await has(cache)
    assert source.asked == 2


async def test_the_last_good_keys_are_kept_for_an_hour(
    source: Source, cache: KeyCache, time_s: list[float]
) -> None:
    """Then there are none, until the issuer is back."""
    await has(cache)
    source.down = True
    time_s[0] += 3599
    assert await has(cache)
    await asyncio.sleep(0)
    time_s[0] += 11
    with pytest.raises(KeysUnavailable, match="cannot be reached"):
        await has(cache)
    source.down = False
    with pytest.raises(KeysUnavailable):
        await has(cache)
    time_s[0] += 11
    assert await has(cache)


@pytest.mark.parametrize(
    ("body", "problem"),
    [
        (b"", "not JSON"),
        (b"<html>", "not JSON"),
        (b'{"keys":[],"keys":[]}', "not JSON"),
        (b"[]", "not a key set"),
        (b'{"keys":{}}', "not a key set"),
    ],
)
async def test_what_is_no_key_set_replaces_nothing(
    source: Source, cache: KeyCache, time_s: list[float], body: bytes, problem: str
) -> None:
    """At first there are no keys, later the good ones stay."""
    source.body = body
    with pytest.raises(KeysUnavailable, match=problem):
        await has(cache)
    source.body = None
    time_s[0] += 11
    assert await has(cache)
    source.body = body
    time_s[0] += 400
    assert await has(cache)
    await asyncio.sleep(0)
    assert await has(cache)


async def test_an_issuer_that_withdraws_its_keys_is_heard(
    source: Source, cache: KeyCache, time_s: list[float]
) -> None:
    """An empty set is one: nothing verifies any more."""
    await has(cache)
    source.body = b'{"keys":[]}'
    time_s[0] += 301
    await has(cache)
    await asyncio.sleep(0)
    assert not await has(cache)


async def test_who_gives_up_waiting_ends_no_fetch(source: Source, cache: KeyCache) -> None:
    """The others still get their keys."""
    source.hold = asyncio.Event()
    first, second = (asyncio.create_task(has(cache)) for _ in range(2))
    await asyncio.sleep(0.01)
    first.cancel()
    await asyncio.sleep(0)
    source.hold.set()
    assert await second
    assert source.asked == 1


async def test_closing_gives_up_a_fetch(source: Source, cache: KeyCache) -> None:
    """Nothing is left running; closing before any fetch does nothing."""
    await cache.close()
    source.hold = asyncio.Event()
    waiting = asyncio.create_task(has(cache))
    await asyncio.sleep(0.01)
    await cache.close()
    with pytest.raises(asyncio.CancelledError):
        await waiting
