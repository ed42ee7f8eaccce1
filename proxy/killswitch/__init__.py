"""Halting: the log, its state in memory, the halt file, the calls in flight."""
