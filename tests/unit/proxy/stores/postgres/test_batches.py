"""Group commit, with a server that is told what to do."""

import asyncio
from collections.abc import Sequence

import pytest

from proxy.errors import StoreUnavailable
from proxy.stores.postgres.batches import Batches
from proxy.stores.postgres.database import RolledBack


class Server:
    """Commits batches of words, in capitals, when it may; `bad` rolls a batch back."""

    def __init__(self) -> None:
        self.batches: list[list[str]] = []
        self.may = asyncio.Event()
        self.gone = False

    async def commit(self, words: Sequence[str]) -> Sequence[str]:
        self.batches.append([*words])
        await self.may.wait()
        if self.gone:
            raise StoreUnavailable("gone")
        if "bad" in words:
            raise RolledBack("bad")
        return [word.upper() for word in words]


async def all_of(batches: Batches[str, str], words: str) -> list[object]:
    """Add words at once, and return what came of each."""
    return list(
        await asyncio.gather(*(batches.add(word) for word in words.split()), return_exceptions=True)
    )


async def test_what_waits_goes_into_one_batch() -> None:
    """While the first is under way; each gets its own result."""
    server = Server()
    adding = asyncio.create_task(all_of(Batches(server.commit, lanes=1), "a b c d"))
    await asyncio.sleep(0)
    server.may.set()
    assert await adding == ["A", "B", "C", "D"]
    assert server.batches in ([["a", "b", "c", "d"]], [["a"], ["b", "c", "d"]])


async def test_batches_have_a_size_and_lanes() -> None:
    """No more than so many items, and so many under way."""
    server = Server()
    batches = Batches(server.commit, lanes=2, max_batch=2)
    adding = asyncio.create_task(all_of(batches, "a b c d e f g"))
    await asyncio.sleep(0.01)
    assert len(server.batches) == 2
    server.may.set()
    assert await adding == list("ABCDEFG")
    assert max(map(len, server.batches)) == 2


async def test_a_bad_item_is_refused_alone() -> None:
    """The others of its batch are tried again, alone."""
    server = Server()
    server.may.set()
    got = await all_of(Batches(server.commit, lanes=1), "a bad b")
    assert (got[0], got[2]) == ("A", "B")
    assert isinstance(got[1], RolledBack)
    assert ["bad"] in server.batches


async def test_a_server_that_is_gone_fails_the_batch_once() -> None:
    """Whether it was written nobody knows, so nothing is tried again."""
    server = Server()
    server.gone = True
    server.may.set()
    got = await all_of(Batches(server.commit, lanes=1), "a b")
    assert all(isinstance(one, StoreUnavailable) for one in got)
    assert sum(map(len, server.batches)) == 2


async def test_a_full_queue_refuses_at_once() -> None:
    """A caller is told rather than kept."""
    server = Server()
    batches = Batches(server.commit, lanes=1, max_waiting=2)
    adding = [asyncio.create_task(batches.add("a"))]
    await asyncio.sleep(0.01)  # under way, so it waits no more
    adding += [asyncio.create_task(batches.add(word)) for word in "bc"]
    await asyncio.sleep(0)
    with pytest.raises(StoreUnavailable, match="Too many"):
        await batches.add("d")
    server.may.set()
    assert await asyncio.gather(*adding) == ["A", "B", "C"]


@pytest.mark.parametrize("gone", [False, True])
async def test_a_caller_that_is_cancelled_does_not_cancel_its_item(gone: bool) -> None:
    """It is committed all the same, and nobody else waits longer; nor does it matter if not."""
    server = Server()
    server.gone = gone
    batches = Batches(server.commit, lanes=1)
    adding = asyncio.create_task(batches.add("a"))
    await asyncio.sleep(0.01)
    adding.cancel()
    server.may.set()
    await batches.finish()
    assert server.batches == [["a"]]
    assert adding.cancelled()
