"""How far long work has come, for whoever sits in front of it."""

import sys


def show_progress(done: int) -> None:
    """Say on a terminal how many inputs were asked; what is no terminal is told nothing.

    The line is written over by the next one, and by what comes after it.
    """
    if sys.stderr.isatty():
        sys.stderr.write(f"\r{done:,} asked\r")
        sys.stderr.flush()
