"""The policy enforcement point: one stage a file, the order in run.py."""
