"""Which ledger the settings name."""

import contextlib
import os
import ssl
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from proxy.app import ledgers
from proxy.app.secrets import Secrets
from proxy.config import Settings
from proxy.errors import ConfigError, SchemaNewer, StoreUnavailable
from proxy.stores.postgres import Address, PostgresStore, ServerAuthority
from proxy.stores.postgres.schema import migration, shipped, upgrade
from proxy.stores.sqlite import SqliteStore
from tests.harness.postgres import Server

SettingsOf = Callable[..., Settings]
URL = "postgresql://detent@db.example/ledger"


def made(settings: Settings, **environ: str) -> tuple[Settings, Secrets]:
    """Return what every function here is given."""
    return settings, Secrets(settings, environ)


@pytest.mark.parametrize(
    ("store", "kind"),
    [
        ("sqlite:///x.db", SqliteStore),
        (URL, PostgresStore),
        (URL.replace("postgresql", "postgres"), PostgresStore),
    ],
)
def test_the_scheme_names_the_store(settings_of: SettingsOf, store: str, kind: type) -> None:
    """Both spellings of PostgreSQL."""
    assert isinstance(ledgers.store_of(*made(settings_of(store=store))), kind)


def test_the_password_is_asked_for_at_each_connection(settings_of: SettingsOf) -> None:
    """It comes from a file or the environment, is told to the masker, and is never shown."""
    settings = settings_of(store=URL, store_password={"env": "PG"})
    told: list[str] = []
    secrets = Secrets(
        settings, {"PG": "s3cret-of-the-store"}, lambda _place, value: told.append(value)
    )
    address = ledgers.address_of(settings, secrets)
    assert address is not None
    assert address.password() == "s3cret-of-the-store"
    assert told == ["s3cret-of-the-store"]
    assert "s3cret-of-the-store" not in f"{address!r} {address}"


def test_a_password_that_is_gone_later_makes_the_store_unavailable(
    settings_of: SettingsOf, tmp_path: Path
) -> None:
    """Its file was removed while Detent runs."""
    file = tmp_path / "password"
    file.write_text("s3cret-of-the-store")
    file.chmod(0o600)
    address = ledgers.address_of(*made(settings_of(store=URL, store_password={"file": file})))
    assert address is not None
    file.unlink()
    with pytest.raises(StoreUnavailable, match="store_password"):
        address.password()


@pytest.mark.parametrize(
    ("more", "problem"),
    [
        ({"store": URL + "?sslmode=prefer"}, "sslmode is one of"),
        ({"store": URL + "?sslrootcert=none.pem"}, "PEM files"),
        ({"store": "postgresql://detent@db.example"}, "names no database"),
        ({"store": URL, "store_password": {"env": "MISSING"}}, "store_password: "),
    ],
)
def test_a_problem_is_told_with_its_cure(
    settings_of: SettingsOf, more: dict[str, Any], problem: str
) -> None:
    """Before anything is connected to."""
    with pytest.raises(ConfigError, match=problem):
        ledgers.store_of(*made(settings_of(**more)))


@pytest.mark.parametrize(
    ("existing", "writable", "fits"),
    [
        ("", True, True),
        ("", False, False),
        ("var/detent.db", True, True),
        ("var/detent.db", False, False),
        ("var/detent.db/", True, False),
        ("var", True, False),
    ],
)
def test_the_ledger_needs_a_place_that_can_be_written(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, existing: str, writable: bool, fits: bool
) -> None:
    """A file, or a directory where it can be made; a directory in its place is none."""
    place = tmp_path / existing
    if existing.endswith("/"):
        place.mkdir(parents=True)
    elif existing:
        place.parent.mkdir(exist_ok=True)
        place.touch()
    monkeypatch.setattr(os, "access", lambda *_: writable)
    with contextlib.nullcontext() if fits else pytest.raises(StoreUnavailable, match="cannot be"):
        assert ledgers.writable(tmp_path / "var/detent.db") == str(tmp_path / "var/detent.db")


async def test_a_sqlite_ledger_is_upgraded_by_opening_it(settings_of: SettingsOf) -> None:
    """Nothing there, then the newest schema."""
    given = made(settings_of(store="sqlite:///ledger/x.db"))
    assert (await ledgers.schema_of(*given)).found == 0
    upgraded = await ledgers.upgrade_schema(*given)
    assert upgraded.is_usable
    assert await ledgers.schema_of(*given) == upgraded


async def test_a_postgres_ledger_says_what_is_missing(
    settings_of: SettingsOf, postgres: Server
) -> None:
    """No schema, the right one, and one of a newer Detent."""
    given = made(settings_of(store=postgres.new("template1")))
    with pytest.raises(StoreUnavailable, match="db upgrade"):
        await ledgers.usable(*given)
    assert (await ledgers.upgrade_schema(*given)).is_usable
    assert f"schema {shipped()[-1].version}" in await ledgers.usable(*given)
    newest = shipped()[-1].version + 1
    newer = migration(newest, f"-- compatible: {newest}\nSELECT 1")
    await upgrade(Address.parse(given[0].store), [*shipped(), newer])
    with pytest.raises(SchemaNewer):
        await ledgers.usable(*given)


def test_tls_files_are_read_before_the_start(settings_of: SettingsOf, tmp_path: Path) -> None:
    """A root certificate that can be had makes a context that verifies."""
    found = ssl.get_default_verify_paths().openssl_cafile
    if not Path(found).is_file():
        pytest.skip("this machine has no root certificates")
    (tmp_path / "ca.pem").write_bytes(Path(found).read_bytes())
    address = ledgers.address_of(*made(settings_of(store=URL + "?sslrootcert=ca.pem")))
    assert address is not None
    assert address.tls == "verify-full"


def test_a_ledger_of_our_own_is_asked_on_the_main_loop(settings_of: SettingsOf) -> None:
    """There is nobody else to hear of."""
    assert ledgers.authority_of(*made(settings_of(store="sqlite:///x.db"))) is None


async def test_a_shared_ledger_is_asked_over_connections_of_its_own(
    settings_of: SettingsOf,
) -> None:
    """By name, not yet connected."""
    connect = ledgers.authority_of(*made(settings_of(store=URL)))
    assert connect is not None
    assert isinstance(connect(), ServerAuthority)


async def test_a_gateway_is_asked_over_connections_of_its_own(settings_of: SettingsOf) -> None:
    """Closed with the thread that asks."""
    attach = {"url": "http://127.0.0.1:1", "token": {"env": "TOKEN"}}
    connect = ledgers.authority_of(*made(settings_of(attach=attach), TOKEN="dtx_0123456789"))
    assert connect is not None
    async with connect() as authority:
        with pytest.raises(StoreUnavailable):
            await authority.acknowledge("hld", 1)
