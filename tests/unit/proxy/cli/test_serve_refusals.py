import os
import socket
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from click.testing import Result

from proxy.stores.sqlite.lock import ExclusiveLock
from tests.harness.assembled import living_children
from tests.harness.tiny_bundle import BROKEN_RULE, FAILING_SUITE, write
from tests.harness.world import World

Run = Callable[..., Result]

REFUSED: dict[str, tuple[dict[str, Any], dict[str, str], int, str]] = {
    "opa": ({"policy": {"bundle": "policies", "opa": "/no/opa"}}, {}, 2, "run `make setup`"),
    "bundle": ({"policy": {"bundle": "none"}}, {}, 2, "check policy.bundle"),
    "rego": ({}, {"main.rego": BROKEN_RULE}, 2, "main.rego:4"),
    "suites": ({}, {"suites/reads.yaml": FAILING_SUITE}, 2, "1 cases of the suites fail"),
    "keys": (
        {"credentials": {"x": {"jwt": {"issuer": "https://x", "keys": "policies"}}}},
        {},
        2,
        "'policies' is open to other users: chmod 700",
    ),
    "tls": ({"listen": {"tls_cert": "a.pem", "tls_key": "b.pem"}}, {}, 2, "'b.pem' cannot be read"),
    "ledger": ({"store": "sqlite:///detent.yaml/x.db"}, {}, 3, "name a writable file"),
}


@pytest.mark.parametrize("what", REFUSED)
def test_a_start_that_cannot_be_is_one_message_and_an_exit_code(
    detent: Run, tmp_path: Path, staging: Path, what: str
) -> None:
    """With the cure, without a stack trace; nothing is left behind."""
    settings, files, code, told = REFUSED[what]
    world = World(tmp_path, "http://127.0.0.1:9", settings=settings)
    write(world.bundle).chmod(0o755)
    write(world.bundle, files)
    result = detent("serve", "--config", world.write())
    assert (result.exit_code, type(result.exception)) == (code, SystemExit)
    assert result.stderr.startswith("detent: ")
    assert told in result.stderr
    assert living_children() == []
    assert list(staging.iterdir()) == []


def test_a_port_in_use_exits_2(detent: Run, tmp_path: Path) -> None:
    """Told before anything is started."""
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        listen = {"agents": f"127.0.0.1:{taken.getsockname()[1]}", "operators": "127.0.0.1:0"}
        world = World(tmp_path, "http://127.0.0.1:9", settings={"listen": listen})
        write(world.bundle)
        result = detent("serve", "--config", world.write())
    assert result.exit_code == 2
    assert result.stderr.startswith(f"detent: cannot listen on {listen['agents']}: ")
    assert not world.database.exists()


def test_a_ledger_in_use_exits_3(detent: Run, tmp_path: Path) -> None:
    """The process that has it is named."""
    world = World(tmp_path, "http://127.0.0.1:9")
    write(world.bundle)
    world.database.parent.mkdir()
    with ExclusiveLock(world.database.with_name("detent.db.lock")):
        result = detent("serve", "--config", world.write())
    assert result.exit_code == 3
    assert f"in use by process {os.getpid()}" in result.stderr
    assert "give this one its own `store`" in result.stderr


def test_workers_on_sqlite_exit_2(detent: Run, tmp_path: Path) -> None:
    """With the cure; no port is bound, no ledger made."""
    world = World(tmp_path, "http://127.0.0.1:9")
    write(world.bundle)
    result = detent("serve", "--config", world.write(), "--workers", "2")
    assert result.exit_code == 2
    assert "set store: postgresql://" in result.stderr
    assert not world.database.exists()


def test_a_level_nobody_knows_is_a_usage_error(detent: Run) -> None:
    """The message lists those there are."""
    result = detent("serve", "--log-level", "loud")
    assert result.exit_code == 2
    assert "'warning'" in result.stderr
