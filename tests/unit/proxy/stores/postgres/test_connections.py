"""The pool, over a real server."""

import asyncio
import socket

import asyncpg
import pytest

from proxy.errors import StoreUnavailable
from proxy.stores.postgres import connections
from proxy.stores.postgres.address import Address
from proxy.stores.postgres.connections import Connections, connect, goodbye
from tests.harness.postgres import Server, database_of


async def test_a_connection_is_set_up_for_the_ledger(address: Address) -> None:
    """Isolation, timeouts and names are said, whatever the server would do by itself."""
    connection = await connect(address)
    shown = {}
    for name in connections.SETTINGS:
        ((shown[name],),) = await connection.fetch("SELECT current_setting($1)", name)
    ((name,),) = await connection.fetch("SELECT current_setting('application_name')")
    await goodbye(connection)
    assert name == "detent"
    assert shown["default_transaction_isolation"] == "read committed"
    assert (shown["statement_timeout"], shown["lock_timeout"]) == ("1s", "500ms")


@pytest.mark.parametrize(("given", "used"), [("off", "on"), ("local", "on"), ("on", "on")])
async def test_what_is_acknowledged_is_durable_whatever_the_database_says(
    postgres: Server, url: str, address: Address, given: str, used: str
) -> None:
    """`synchronous_commit` of a role or a database cannot weaken a commit."""
    name = database_of(url)
    await postgres.execute(name, f"ALTER DATABASE {name} SET synchronous_commit = {given}")
    connection = await connect(address)
    assert [tuple(row) for row in await connection.fetch("SHOW synchronous_commit")] == [(used,)]
    await goodbye(connection)


async def test_a_connection_is_used_again(address: Address) -> None:
    """The last one first."""
    pool = Connections(address, 3)
    async with pool.use() as first:
        pass
    async with pool.use() as second, pool.use() as third:
        assert second is first
        assert third is not first
    await pool.close()


async def test_no_more_than_so_many_are_lent(
    address: Address, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The next one waits for a while and is told."""
    monkeypatch.setattr(connections, "WAIT_S", 0.05)
    pool = Connections(address, 1)
    async with pool.use():
        with pytest.raises(StoreUnavailable, match="busy"):
            async with pool.use():
                pass
    await pool.close()


async def test_a_statement_that_was_cut_costs_its_connection(address: Address) -> None:
    """One that the server refused does not."""
    pool = Connections(address, 1)
    with pytest.raises(asyncpg.PostgresError):
        async with pool.use() as first:
            await first.fetch("SELECT 1/0")
    with pytest.raises(TimeoutError):
        async with pool.use() as second, asyncio.timeout(0.05):
            await second.fetch("SELECT pg_sleep(1)")
    assert second is first
    async with pool.use() as third:
        assert third is not first
        assert len(await third.fetch("SELECT 1")) == 1
    await pool.close()


async def test_a_connection_that_died_is_not_lent(address: Address) -> None:
    """Nor those that were dropped because the primary moved."""
    pool = Connections(address, 1)
    async with pool.use() as first:
        pass
    first.terminate()
    async with pool.use() as second:
        assert second is not first
    pool.drop_idle()
    async with pool.use() as third:
        assert third is not second
    await pool.close()


async def test_a_closed_pool_lends_nothing_and_closes_what_comes_back(address: Address) -> None:
    """While a call still has one."""
    pool = Connections(address, 2)
    async with pool.use() as lent:
        await pool.close()
    assert lent.is_closed()
    with pytest.raises(StoreUnavailable, match="closed"):
        async with pool.use():
            pass


async def test_failed_attempts_are_spaced(monkeypatch: pytest.MonkeyPatch) -> None:
    """Who comes between two of them is told at once."""
    monkeypatch.setattr(connections, "FIRST_BACK_OFF_S", 30.0)
    monkeypatch.setattr(connections, "LAST_BACK_OFF_S", 30.0)
    with socket.socket() as nobody:
        nobody.bind(("127.0.0.1", 0))
        pool = Connections(Address.parse(f"postgresql://u@127.0.0.1:{port_of(nobody)}/d"), 2)
        for said in ("nobody listens", "tried again soon"):
            with pytest.raises(StoreUnavailable, match=said):
                async with pool.use():
                    pass
    await pool.close()


def port_of(bound: socket.socket) -> int:
    """Return its port."""
    return int(bound.getsockname()[1])


async def test_a_host_that_never_answers_is_given_up(monkeypatch: pytest.MonkeyPatch) -> None:
    """It takes the connection and says nothing."""
    monkeypatch.setattr(connections, "CONNECT_S", 0.1)
    with socket.socket() as silent:
        silent.bind(("127.0.0.1", 0))
        silent.listen()
        with pytest.raises(StoreUnavailable, match="no answer in time"):
            await connect(Address.parse(f"postgresql://u@127.0.0.1:{port_of(silent)}/d"))


async def test_a_refusal_names_no_user_and_no_password(postgres: Server) -> None:
    """What servers say of failed logins stays with them."""
    wrong = f"postgresql://somebody@127.0.0.1:{postgres.port}/nowhere"
    with pytest.raises(StoreUnavailable) as refused:
        await connect(Address.parse(wrong, lambda: "s3cret"))
    assert "28000" in str(refused.value)
    assert not any(word in str(refused.value) for word in ("somebody", "nowhere", "s3cret"))
