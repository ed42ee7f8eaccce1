import json
from collections.abc import Callable
from pathlib import Path

import pytest
from click.testing import Result

from tests.harness.postgres import Server

Run = Callable[..., Result]


@pytest.fixture
def config(tmp_path: Path, postgres: Server) -> Path:
    """Settings that name an empty database."""
    file = tmp_path / "detent.yaml"
    file.write_text(f"store: {postgres.new('template1')}\n")
    return file


def test_a_ledger_without_a_schema_is_upgraded_once(detent: Run, config: Path) -> None:
    """Status says what to do, upgrade does it, status is content."""
    before = detent("db", "status", "-c", config)
    assert (before.exit_code, "run `detent db upgrade`" in before.output) == (1, True)
    for _ in range(2):
        assert detent("db", "upgrade", "-c", config).exit_code == 0
    after = detent("db", "status", "-c", config)
    assert (after.exit_code, "works with it" in after.output) == (0, True)


def test_machines_get_one_document(detent: Run, config: Path) -> None:
    """Versions, and whether they fit."""
    told = json.loads(detent("db", "upgrade", "-c", config, "--json").output)
    assert told.keys() == {"found", "compatible", "newest", "usable"}
    assert told["compatible"] <= told["found"] == told["newest"]
    assert told["usable"] is True


def test_a_sqlite_ledger_is_looked_at_too(detent: Run, tmp_path: Path) -> None:
    """Without being made by looking."""
    file = tmp_path / "detent.yaml"
    file.write_text("store: sqlite:///ledger/x.db\n")
    assert detent("db", "status", "-c", file).exit_code == 1
    assert not (tmp_path / "ledger").exists()
    assert detent("db", "upgrade", "-c", file).exit_code == 0
    assert detent("db", "status", "-c", file).exit_code == 0


def test_a_server_that_is_not_there_is_unavailable(detent: Run, tmp_path: Path) -> None:
    """Exit code 3."""
    file = tmp_path / "detent.yaml"
    file.write_text("store: postgresql://detent@127.0.0.1:9/ledger\n")
    result = detent("db", "status", "-c", file)
    assert (result.exit_code, "nobody listens" in result.stderr) == (3, True)
