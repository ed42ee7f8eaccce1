"""A real PostgreSQL for a test run: one server on a unix socket, a new database for each test.

`initdb` and `pg_ctl` are looked for on PATH and where Debian puts them; the server refuses to run
as root, so under root it runs as `postgres` or `nobody`. Everything lies in one new directory, and
everything that is started is stopped.
"""

import asyncio
import itertools
import os
import pwd
import shutil
import socket
import subprocess
import tempfile
from collections.abc import Coroutine, Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any
from urllib.parse import quote

import asyncpg
import pytest

from proxy.stores.postgres import Address, PostgresStore
from proxy.stores.postgres.schema import upgrade

DEBIAN = "/usr/lib/postgresql"
MISSING = (
    "PostgreSQL 15 or newer is not installed here: no `initdb` on PATH or under "
    f"{DEBIAN}. Install it (Debian, Ubuntu: `apt-get install postgresql`), or put the directory "
    "of its programs on PATH; no server has to run."
)
QUICK = ("fsync=off", "full_page_writes=off")
MEMORY = Path("/dev/shm")
ROLE = "detent"
# Reads until we are gone, however we went, and then stops the server and removes its files.
GUARD = """
cat >/dev/null
read -r pid <"$1/data/postmaster.pid" && kill -QUIT "$pid" && sleep 0.5
rm -rf "$1"
"""


def find(program: str) -> str | None:
    """Return the path of a server program, the newest one."""
    places = sorted(Path(DEBIAN).glob("*/bin"), key=lambda one: one.parent.name, reverse=True)
    return shutil.which(program) or shutil.which(program, path=":".join(map(str, places)))


def unprivileged() -> str | None:
    """Return whom the server runs as; None for ourselves."""
    if os.geteuid() != 0:
        return None
    known = {one.pw_name for one in pwd.getpwall()}
    return next(name for name in ("postgres", "nobody") if name in known)


class Server:
    """A server in a directory of its own. `options` are `name=value` of postgresql.conf.

    It listens on a unix socket, and on a port of loopback too.
    """

    def __init__(self, *options: str) -> None:
        quick = options == QUICK and MEMORY.is_dir()
        self.folder = Path(tempfile.mkdtemp(prefix="detent-pg-", dir=MEMORY if quick else None))
        self.data = self.folder / "data"
        self.port = _free_port()
        self.user = unprivileged()
        self.options = options
        self._names = itertools.count()
        if self.user is not None:
            shutil.chown(self.folder, self.user)
        self._guard = subprocess.Popen(
            ["setsid", "--fork", "sh", "-c", GUARD, "sh", self.folder],
            stdin=subprocess.PIPE,
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
        )
        self._guard.wait()  # what goes on is no child of ours

    def create(self) -> "Server":
        """Make the files of a new server."""
        self._run("initdb", "-D", self.data, "-U", ROLE, "-A", "trust", "-E", "UTF8", "--no-sync",
                  "--locale=C.UTF-8")  # fmt: skip
        return self

    def start(self) -> "Server":
        """Start it; returns when it takes connections."""
        given = [
            "listen_addresses=127.0.0.1",
            f"unix_socket_directories={self.folder}",
            f"port={self.port}",
            "max_connections=120",
            "shared_buffers=32MB",
            "autovacuum=off",
            *self.options,
        ]
        flags = " ".join(f"-c {one}" for one in given)
        self._pg_ctl("start", "-l", self.folder / "log", "-o", flags)
        return self

    def stop(self, mode: str = "fast") -> None:
        """Stop it: `fast`, or `immediate` as a crash would."""
        self._pg_ctl("stop", "-m", mode)

    def remove(self) -> None:
        """Stop it if it runs, and remove everything."""
        if (self.data / "postmaster.pid").exists() and Path(f"/proc/{self.pid}").exists():
            self.stop("immediate")
        shutil.rmtree(self.folder)
        self._guard.communicate()

    @property
    def pid(self) -> int:
        """The server's own process."""
        return int((self.data / "postmaster.pid").read_text().split()[0])

    def copy(self, *options: str) -> "Server":
        """Return a server made from a base backup of this one, not started: a standby."""
        other = Server(*options)
        self._run("pg_basebackup", "-D", other.data, "-h", self.folder, "-p", str(self.port),
                  "-U", ROLE, "-R", "-X", "stream", "-c", "fast")  # fmt: skip
        return other

    def promote(self) -> None:
        """Make a standby a primary."""
        self._pg_ctl("promote")

    def url(self, database: str) -> str:
        """Return the URL of a database of this server."""
        host = quote(str(self.folder))
        return f"postgresql://{ROLE}@/{database}?host={host}&port={self.port}&connections=4"

    def new(self, template: str = "ledger") -> str:
        """Make a database, a copy of an empty ledger unless told otherwise; return its URL."""
        name = f"t{next(self._names)}"
        _await(self._create_database(name, template))
        return self.url(name)

    def make_template(self) -> "Server":
        """Make the empty ledger that `new` copies."""
        _await(self._create_database("ledger", "template0"))
        _await(upgrade(Address.parse(self.url("ledger"))))
        return self

    def put(self, name: str, text: str) -> None:
        """Write a file of its own, which nobody else may read."""
        file = self.folder / name
        file.write_text(text)
        file.chmod(0o600)
        if self.user is not None:
            shutil.chown(file, self.user)

    def execute_now(self, database: str, *statements: str) -> None:
        """Run statements as the administrator, outside of a test."""
        _await(self.execute(database, *statements))

    async def execute(self, database: str, *statements: str) -> Any:
        """Run statements as the administrator, one each; return the rows of the last."""
        connection = await asyncpg.connect(
            host=str(self.folder), port=self.port, user=ROLE, database=database
        )
        try:
            rows = [await connection.fetch(statement) for statement in statements]
        finally:
            await connection.close()
        return rows[-1]

    async def _create_database(self, name: str, template: str) -> None:
        await self.execute(
            "postgres", f"CREATE DATABASE {name} TEMPLATE {template} STRATEGY FILE_COPY"
        )

    def _pg_ctl(self, action: str, *more: str | Path) -> None:
        self._run("pg_ctl", "-D", self.data, "-w", "-s", action, *more)

    def _run(self, program: str, *arguments: str | Path) -> None:
        found = find(program)
        assert found is not None, MISSING
        # A file, and no pipe: the server keeps what it inherits.
        with (self.folder / "said").open("w") as said:
            done = subprocess.run(
                [found, *map(str, arguments)], user=self.user, stdout=said, stderr=said,
                extra_groups=[] if self.user else None, cwd=self.folder, check=False,
                stdin=subprocess.DEVNULL, timeout=60,
            )  # fmt: skip
        assert done.returncode == 0, (self.folder / "said").read_text()


def _await(work: Coroutine[Any, Any, Any]) -> None:
    """Run it on a loop of its own: fixtures are called beside the loop of a test."""
    with ThreadPoolExecutor(1) as beside:
        beside.submit(asyncio.run, work).result()


def _free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


def database_of(url: str) -> str:
    """Return the name of the database in a URL."""
    return Address.parse(url).database


def store_at(url: str) -> PostgresStore:
    """Return a store there, not yet open."""
    return PostgresStore(Address.parse(url))


def serving(*options: str) -> Iterator[Server]:
    """Run a server with a template, or skip the test when there is no PostgreSQL."""
    if find("initdb") is None:
        pytest.skip(MISSING)
    server = Server(*options)
    try:
        yield server.create().start().make_template()
    finally:
        server.remove()


@pytest.fixture(scope="session")
def postgres() -> Iterator[Server]:
    """The server of this test run; it forgets what it wrote when the machine stops."""
    yield from serving(*QUICK)


@pytest.fixture(scope="module")
def durable_postgres() -> Iterator[Server]:
    """A server that syncs every commit, and may be stopped and killed; one for a file of tests."""
    yield from serving()
