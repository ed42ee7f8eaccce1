"""The real Datasette, with the tickets that the shipped manifest is about."""

import os
import secrets
import socket
import sqlite3
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import closing
from dataclasses import dataclass
from pathlib import Path

import httpx
import pytest

from proxy.pdp.strict_yaml import load
from tests.harness.world import ROOT, World

BIN = Path(sys.executable).parent
START_S = 30


@dataclass(frozen=True)
class Datasette:
    """Where it is served, the key that may write, and its database."""

    url: str
    key: str
    database: Path

    def titles(self) -> list[str]:
        """Return the titles of all tickets, as they lie in the database."""
        with closing(sqlite3.connect(self.database)) as database:
            return [title for (title,) in database.execute("select title from tickets order by id")]


@pytest.fixture(scope="module")
def datasette(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Datasette]:
    """Datasette for a whole file; its tables are made anew for each test by `tickets`."""
    directory = tmp_path_factory.mktemp("datasette")
    database = directory / "tickets.db"
    with closing(sqlite3.connect(database)) as tickets:
        tickets.execute("create table tickets (id integer primary key, title text, state text)")
        tickets.execute("create table comments (id integer primary key, ticket int, body text)")
        tickets.commit()
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
    environ = {**os.environ, "DATASETTE_SECRET": secrets.token_hex(16)}
    command = [str(BIN / "datasette"), "serve", str(database), "--root", "--port", str(port)]
    command += ["--setting", "sql_time_limit_ms", "4000"]
    quiet = {"stdout": subprocess.DEVNULL, "stderr": subprocess.DEVNULL}
    with subprocess.Popen(command, env=environ, cwd=directory, **quiet) as child:  # type: ignore[call-overload]  # two of its keywords
        try:
            token = [str(BIN / "datasette"), "create-token", "root"]
            made = subprocess.run(token, env=environ, check=True, capture_output=True, text=True)
            url = f"http://127.0.0.1:{port}"
            _until_up(f"{url}/-/versions.json")
            yield Datasette(url, made.stdout.split()[-1], database)
        finally:
            child.terminate()


@pytest.fixture
def tickets(datasette: Datasette, world: World) -> Datasette:
    """One ticket, and a world whose agents reach them by the shipped manifest."""
    with closing(sqlite3.connect(datasette.database)) as database:
        database.execute("delete from tickets")
        database.execute("insert into tickets values (1, 'Crash on start', 'open')")
        database.commit()
    manifest = ROOT / "policies/tools/tickets/data.yaml"
    world.tools["tickets"] = load(manifest.read_bytes(), manifest.name)
    world.servers["tickets"] = {"http": {"base_url": datasette.url}, "allow_private": True}
    key = world.directory / "datasette-key"
    key.touch(0o600)
    key.write_text(datasette.key)
    lent = {"header": "Authorization", "prefix": "Bearer ", "secret": {"file": str(key)}}
    world.settings["credentials"] = {"tickets": {"static": lent | {"allow_writes": True}}}
    return datasette


def _until_up(url: str) -> None:
    until = time.monotonic() + START_S
    while True:
        try:
            httpx.get(url, trust_env=False).raise_for_status()
        except httpx.HTTPError:
            if time.monotonic() > until:
                raise
            time.sleep(0.1)
        else:
            return
