import asyncio
from collections.abc import Iterator

import pytest

from proxy.process.siblings import Mailbox, Siblings

Family = list[Siblings]


@pytest.fixture
def family() -> Iterator[Family]:
    """Three that could be in three processes."""
    mailboxes = tuple(Mailbox.new() for _ in range(3))
    yield [Siblings(number, mailboxes) for number in (1, 2, 3)]
    for mailbox in mailboxes:
        mailbox.close()


async def stop(*answering: Siblings) -> None:
    for one in answering:
        asyncio.get_running_loop().remove_reader(one._mailboxes[one.number - 1].desk)
        await asyncio.gather(*one._answering)


async def test_everybody_else_is_asked(family: Family) -> None:
    """Each with its own answer, however long."""
    family[0].answer(lambda: b"own")
    family[1].answer(lambda: b"second" * 100_000)
    family[2].answer(lambda: b"third")
    assert await family[0].ask(5.0) == {2: b"second" * 100_000, 3: b"third"}
    assert await family[2].ask(5.0) == {1: b"own", 2: b"second" * 100_000}
    await stop(*family)


async def test_one_that_does_not_answer_is_not_waited_for(family: Family) -> None:
    """The others are heard all the same."""
    family[2].answer(lambda: b"third")
    assert await family[0].ask(0.2) == {2: None, 3: b"third"}
    await stop(family[2])


async def test_one_that_has_not_looked_for_long_is_not_asked_again(family: Family) -> None:
    """Its mailbox is full; asking it costs no time any more."""
    for _ in range(400):
        await family[0].ask(0.0)
    loop = asyncio.get_running_loop()
    began = loop.time()
    assert await family[0].ask(5.0) == {2: None, 3: None}
    assert loop.time() - began < 1


async def test_who_asked_in_vain_is_no_trouble_later(family: Family) -> None:
    """It has gone when the answer comes."""
    await family[0].ask(0.0)
    family[1].answer(lambda: b"second" * 100_000)
    assert (await family[0].ask(5.0))[2] == b"second" * 100_000
    await stop(family[1])


async def test_an_empty_answer_is_none(family: Family) -> None:
    """One that dies in the middle says nothing either."""
    family[1].answer(lambda: b"")
    assert (await family[0].ask(1.0))[2] is None
    await stop(family[1])


async def test_a_message_without_a_socket_is_passed_over(family: Family) -> None:
    """Nobody would hear the answer."""
    mailbox = family[1]._mailboxes[1]
    mailbox.door.send(b"?")
    family[1].answer(lambda: b"second")
    assert (await family[0].ask(5.0))[2] == b"second"
    await stop(family[1])
