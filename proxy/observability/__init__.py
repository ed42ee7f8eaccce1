"""Logs, masking of secrets, metrics."""
