"""Tables for people: every cell whole, and as plain text."""

import sys
from collections.abc import Iterable, Sequence

from rich.console import Console
from rich.table import Table
from rich.text import Text

from proxy.cli.plain import plain

MAX_WIDTH = 1_000


def print_table(columns: Sequence[str], rows: Iterable[Sequence[str | Text]]) -> None:
    """Print rows to stdout; long words are folded, so that no cure is cut off.

    Strings are taken as they are: what servers and policies say is no markup. What is no terminal
    gets every row on one line, so that an id can be found in it.
    """
    table = Table()
    for column in columns:
        table.add_column(column, overflow="fold")
    for row in rows:
        table.add_row(*(Text(plain(cell)) if isinstance(cell, str) else cell for cell in row))
    Console(width=None if sys.stdout.isatty() else MAX_WIDTH).print(table)
