"""Reviewing a change of policy: the decision log, replay, diff and explain."""
