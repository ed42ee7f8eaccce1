"""`detent db`: the schema of the ledger."""

import asyncio
import json
import os
import sys
from collections.abc import Callable, Coroutine
from dataclasses import asdict
from pathlib import Path
from typing import Any

import click

from proxy.app.ledgers import schema_of, upgrade_schema
from proxy.app.secrets import Secrets
from proxy.cli.options import config_option, json_option, settings_of
from proxy.config import Settings
from proxy.stores.schema_state import SchemaState

Asked = Callable[[Settings, Secrets], Coroutine[Any, Any, SchemaState]]


@click.group()
def db() -> None:
    """Look at the ledger's schema, and bring it up to date."""


@db.command()
@config_option
@json_option
def status(config: Path, as_json: bool) -> None:
    """Say which schema the ledger has. Exit code 1 when this Detent cannot work with it."""
    _tell(config, as_json, schema_of)


@db.command()
@config_option
@json_option
def upgrade(config: Path, as_json: bool) -> None:
    """Bring the ledger's schema up to date; running gateways of the version before go on.

    A SQLite ledger is upgraded by `detent serve` too, after a backup.
    """
    _tell(config, as_json, upgrade_schema)


def _tell(config: Path, as_json: bool, asked: Asked) -> None:
    settings = settings_of(config)
    state = asyncio.run(asked(settings, Secrets(settings, dict(os.environ))))
    if as_json:
        click.echo(json.dumps({**asdict(state), "usable": state.is_usable}))
    else:
        click.echo(_text(state))
    sys.exit(0 if state.is_usable else 1)


def _text(state: SchemaState) -> str:
    has = f"schema {state.found}" if state.found else "no schema yet"
    if state.is_usable:
        return f"The ledger has {has}; this Detent works with it."
    cure = "install a newer Detent" if state.found > state.newest else "run `detent db upgrade`"
    return f"The ledger has {has}, this Detent needs {state.newest}; {cure}."
