"""Lint for guardrails: what OPA accepts and a reviewer overlooks, each with its cure."""
