"""TLS and passwords, with a server that insists on both."""

from collections.abc import Iterator
from pathlib import Path

import pytest

from proxy.errors import StoreUnavailable
from proxy.stores.postgres import Address, PostgresStore
from tests.harness.certificates import make_certificates
from tests.harness.postgres import QUICK, Server, serving

PASSWORD = "the-right-one"
RULES = "local all all trust\nhostssl all all all scram-sha-256\n"


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Where the authority is, and one nobody asked."""
    folder = tmp_path_factory.mktemp("tls")
    make_certificates(folder, "localhost")
    (folder / "other").mkdir()
    make_certificates(folder / "other", "localhost")
    return folder


@pytest.fixture(scope="module")
def strict(folder: Path) -> Iterator[Server]:
    """It takes no plain text from the network, and nobody without a password."""
    for server in serving(*QUICK):
        server.put("server.pem", (folder / "server.pem").read_text())
        server.put("data/pg_hba.conf", RULES)
        server.stop()
        pem = server.folder / "server.pem"
        server.options = (*QUICK, "ssl=on", f"ssl_cert_file={pem}", f"ssl_key_file={pem}")
        yield server.start()


def address(server: Server, query: str, folder: Path, password: str = PASSWORD) -> Address:
    """Return the address of an empty ledger there."""
    url = f"postgresql://guarded@localhost:{server.port}/ledger?{query}"
    return Address.parse(url, lambda: password, folder)


@pytest.fixture(scope="module", autouse=True)
def _role(strict: Server) -> None:
    strict.execute_now("ledger", f"CREATE ROLE guarded SUPERUSER LOGIN PASSWORD '{PASSWORD}'")


@pytest.mark.parametrize(
    "query",
    [
        "sslmode=verify-full&sslrootcert=authority.pem",
        "sslmode=verify-ca&sslrootcert=authority.pem",
        "sslmode=require",
    ],
)
async def test_who_has_both_gets_in(strict: Server, folder: Path, query: str) -> None:
    """Encrypted, as the server says."""
    store = PostgresStore(address(strict, query, folder))
    await store.open()
    asked = "SELECT ssl FROM pg_stat_ssl WHERE pid = pg_backend_pid()"
    ((encrypted,),) = await store._database.fetch(asked)
    await store.close()
    assert encrypted


@pytest.mark.parametrize(
    ("query", "password"),
    [
        ("sslmode=verify-full&sslrootcert=other/authority.pem", PASSWORD),
        ("sslmode=verify-ca&sslrootcert=other/authority.pem", PASSWORD),
        ("sslmode=verify-full", PASSWORD),
        ("sslmode=disable", PASSWORD),
        ("sslmode=require", "the-wrong-one"),
        ("sslmode=require", ""),
    ],
)
async def test_who_has_not_is_refused(
    strict: Server, folder: Path, query: str, password: str
) -> None:
    """Another authority, plain text, another password; none is told."""
    with pytest.raises(StoreUnavailable) as refused:
        await PostgresStore(address(strict, query, folder, password)).open()
    assert not any(word in str(refused.value) for word in ("the-right", "the-wrong", "guarded"))


async def test_a_password_may_change_while_we_run(strict: Server, folder: Path) -> None:
    """Each new connection asks for it."""
    current = [PASSWORD]
    asked = address(strict, "sslmode=require", folder)
    url = f"postgresql://guarded@localhost:{strict.port}/ledger?sslmode=require"
    store = PostgresStore(Address.parse(url, lambda: current[0]))
    await store.open()
    current[0] = "the-next-one"
    await strict.execute("ledger", "ALTER ROLE guarded PASSWORD 'the-next-one'")
    store._database._pool.drop_idle()
    await store.ping()
    with pytest.raises(StoreUnavailable):
        await PostgresStore(asked).open()
    await store.close()
    await strict.execute("ledger", f"ALTER ROLE guarded PASSWORD '{PASSWORD}'")
