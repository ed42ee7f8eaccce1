"""The ledger's own tables, read beside the gateway: steps, credentials, decisions, accounts."""

import asyncio
import contextlib
import json
import sqlite3
import time
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, Protocol

import asyncpg

from proxy.stores.postgres import Address
from tests.matrix.crash_judge import Books, Row

_STEPS = """
SELECT one.arguments, one.state, one.at, steps.settled_at, credentials.state,
       credentials.expires_at,
       (SELECT count(*) FROM decisions WHERE decisions.decision_id = one.decision_id)
FROM intent_rows AS one JOIN steps USING (seq) LEFT JOIN credentials ON credentials.step = seq
WHERE seq > {} AND one.tool <> 'written' ORDER BY seq
"""
_LAST = "SELECT coalesce(max(seq), 0) FROM steps"
_SUMS = "SELECT state, sum(risk) FROM intent_rows GROUP BY state"
_ACCOUNTS = """
SELECT account LIKE 'session:%', sum(used), sum(held) FROM accounts
GROUP BY account LIKE 'session:%'
"""
_OVER = frozenset({"done", "failed", "aborted"})

Answer = Sequence[Sequence[Any]]


class Tables(Protocol):
    """A way to ask a database."""

    async def fetch(self, sql: str) -> Answer:
        """Return the rows of a statement that reads."""
        ...

    async def close(self) -> None:
        """Let go."""
        ...


class SqliteTables:
    """A file that a gateway has; it is opened for each question, before it is there too."""

    def __init__(self, file: Path) -> None:
        self._file = file

    async def fetch(self, sql: str) -> Answer:
        """Return the rows; none while there is no ledger."""
        if not self._file.exists():
            return []
        with contextlib.closing(sqlite3.connect(f"{self._file.as_uri()}?mode=ro", uri=True)) as db:
            rows: Answer = db.execute(sql).fetchall()
        return rows

    async def close(self) -> None:
        """Nothing is held."""


class PostgresTables:
    """A database; one connection, asked by one at a time."""

    def __init__(self, url: str) -> None:
        self._url = url
        self._one = asyncio.Lock()
        self._connection: Any = None

    async def fetch(self, sql: str) -> Answer:
        """Return the rows."""
        async with self._one:
            if self._connection is None:
                arguments = Address.parse(self._url).arguments()
                settings = {"search_path": "detent"}
                self._connection = await asyncpg.connect(**arguments, server_settings=settings)
            rows: Answer = await self._connection.fetch(sql)
        return rows

    async def close(self) -> None:
        """Close the connection."""
        if self._connection is not None:
            await self._connection.close()


class Ledger:
    """What the matrix wants to know of it. `mark` sets where the steps of a trial begin."""

    def __init__(self, tables: Tables) -> None:
        self._tables = tables
        self._after = 0

    async def mark(self) -> None:
        """Leave out of `rows` everything that is there by now."""
        found = await self._tables.fetch(_LAST)
        self._after = int(found[0][0]) if found else 0

    async def rows(self) -> list[Row]:
        """Return the steps since the mark."""
        return [_row(found) for found in await self._tables.fetch(_STEPS.format(self._after))]

    async def has(self, text: str) -> bool:
        """Whether there is an intent for this text now."""
        return any(row.text == text for row in await self.rows())

    async def books(self) -> Books:
        """Return the accounts, and the sums over all steps."""
        sums = {str(state): int(risk) for state, risk in await self._tables.fetch(_SUMS)}
        accounts = {
            bool(session): (int(used), int(held))
            for session, used, held in await self._tables.fetch(_ACCOUNTS)
        }
        return _books(sums, accounts)

    async def close(self) -> None:
        """Let go."""
        await self._tables.close()


def _row(found: Sequence[Any]) -> Row:
    arguments, state, at_us, settled_us, credential, expires_us, decisions = found
    settled_at = None if settled_us is None else settled_us / 1e6
    if credential == "pending" and expires_us / 1e6 < time.time():
        credential = "expired"
    text = json.loads(arguments).get("text", "")
    return Row(text, state, at_us / 1e6, settled_at, credential or "", decisions)


def _books(sums: Mapping[str, int], accounts: Mapping[bool, tuple[int, int]]) -> Books:
    used, held = accounts.get(True, (0, 0))
    return Books(
        used=used,
        held=held,
        agent_held=accounts.get(False, (0, 0))[1],
        done=sums.get("done", 0),
        unsettled=sum(risk for state, risk in sums.items() if state not in _OVER),
    )
