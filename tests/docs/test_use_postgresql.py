"""The how-to page on PostgreSQL: its commands run, its parameters are those there are."""

import asyncio
import re
import shlex
from pathlib import Path

import pytest
import yaml
from click.testing import CliRunner

from proxy.app import ledgers
from proxy.app.secrets import Secrets
from proxy.cli import main
from proxy.config import Settings
from proxy.model.ledger import ReserveStatus
from proxy.stores.postgres import connections
from proxy.stores.postgres.address import _KNOWN, DEFAULT_CONNECTIONS, TLS_MODES
from tests.harness.ledger import NOW, Call, kill, session
from tests.harness.postgres import Server, store_at

PAGE = (Path(__file__).parents[2] / "docs/how-to/use-postgresql.md").read_text()


def block(language: str) -> str:
    """Return the one block of a language."""
    (found,) = re.findall(rf"^```{language}\n(.*?)^```$", PAGE, re.MULTILINE | re.DOTALL)
    return str(found)


def test_the_commands_of_the_page_make_the_schema(
    postgres: Server, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """On a database made the way the page says."""
    role, database = (one for one in block("sql").split("\n") if one)
    asyncio.run(postgres.execute("postgres", role.replace("ROLE detent", "ROLE page")))
    made = database.replace("DATABASE detent OWNER detent", "DATABASE page OWNER page")
    asyncio.run(postgres.execute("postgres", made))
    url = postgres.url("page").replace("//detent@", "//page@")
    (tmp_path / "detent.yaml").write_text(f"store: {url}\n")
    monkeypatch.chdir(tmp_path)
    lines = [line.removeprefix("$ detent ") for line in block("console").splitlines()]
    codes = [CliRunner().invoke(main, shlex.split(line)).exit_code for line in lines]
    assert codes == [1, 0, 0]
    assert asyncio.run(reserved(url)) is ReserveStatus.RESERVED


async def reserved(url: str) -> ReserveStatus:
    """Do what a gateway does, with that role's rights."""
    store = store_at(url)
    await store.open()
    await store.open_session(session(), None, 10)
    status = (await store.reserve(Call().reservation())).status
    await store.append_kill(kill("ord1"))
    await store.pushed(0)
    assert await store.open_intents_to_unknown(NOW)
    await store.close()
    return status


def test_the_settings_of_the_page_are_settings(tmp_path: Path) -> None:
    """Up to the files, which are not there."""
    settings = Settings.model_validate({"directory": tmp_path, **yaml.safe_load(block("yaml"))})
    assert settings.store_password is not None
    settings = settings.model_copy(update={"store_password": None})
    with pytest.raises(Exception, match="PEM files"):
        ledgers.address_of(settings, Secrets(settings, {}))


def test_the_parameters_of_the_page_are_those_there_are() -> None:
    """Names, modes and defaults."""
    table = [line for line in PAGE.splitlines() if line.startswith("| `")]
    assert set(re.findall(r"`(\w+)`", " ".join(line.split("|")[1] for line in table))) == _KNOWN
    assert all(f"`{mode}`" in PAGE for mode in TLS_MODES)
    assert any(f"| {DEFAULT_CONNECTIONS} |" in line for line in table if "`connections`" in line)


def test_the_timeouts_of_the_page_are_those_that_are_set() -> None:
    """In milliseconds in the code."""
    settings = connections.SETTINGS
    assert (settings["statement_timeout"], settings["lock_timeout"]) == ("1000", "500")
    assert settings["idle_in_transaction_session_timeout"] == "2000"
    assert connections.LAST_BACK_OFF_S == 2.0
