"""Spawn a child that cannot outlive us (see keeper.py for how)."""
