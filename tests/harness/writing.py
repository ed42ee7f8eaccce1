"""Notes that are written through a ledger's writer, and a way to keep it busy."""

import asyncio
import sqlite3
import threading
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, closing
from pathlib import Path
from typing import Any

from proxy.stores.sqlite.writer import Operation, Writer


def note(text: str) -> Operation[str]:
    """Write a note and return its text."""

    def write(connection: sqlite3.Connection) -> str:
        connection.execute("INSERT INTO notes (text) VALUES (?)", (text,))
        return text

    return write


def statement(*sql: str) -> Operation[object]:
    """Run statements."""
    return lambda connection: [connection.execute(one) for one in sql]


def notes(tmp_path: Path) -> list[str]:
    """Return what another process would see."""
    with closing(sqlite3.connect(tmp_path / "notes.db")) as reader:
        return [text for (text,) in reader.execute("SELECT text FROM notes ORDER BY id")]


@asynccontextmanager
async def held(writer: Writer) -> AsyncIterator[list[asyncio.Task[Any]]]:
    """Keep the thread inside an operation, so that what is started meanwhile queues up."""
    entered, free = threading.Event(), threading.Event()

    def hold(_connection: sqlite3.Connection) -> None:
        entered.set()
        free.wait(10)

    tasks = [asyncio.create_task(writer.run(hold))]
    await asyncio.to_thread(entered.wait, 10)
    try:
        yield tasks
    finally:
        free.set()


async def started(tasks: list[asyncio.Task[Any]], *several: Any) -> None:
    """Start coroutines in order and let them queue."""
    tasks.extend(asyncio.create_task(one) for one in several)
    for _ in range(3):
        await asyncio.sleep(0)
