"""A plain agent: every tool call is one POST, and a refusal is a text its model can read."""

import json
import os
from typing import Any

import httpx

detent = httpx.Client(
    base_url=os.environ.get("DETENT_AGENTS_URL", "http://127.0.0.1:8787"),
    headers={"Authorization": f"Bearer {os.environ['DETENT_TOKEN']}"},
    timeout=60,
    trust_env=False,
)


class Stopped(Exception):
    """An operator has stopped this agent; the text says why."""


def call(server: str, tool: str, arguments: dict[str, Any], key: str | None = None) -> str:
    """Call a tool and return what its model reads. Raises Stopped.

    With a `key` a call that got no answer can be made again: it takes effect at most once.
    """
    body = {"server": server, "tool": tool, "arguments": arguments} | (
        {"idempotency_key": key} if key else {}
    )
    answer = detent.post("/v1/calls", json=body).json()
    reasons = answer.get("reasons", [])
    if any(reason["id"] in {"killed", "agent-locked"} for reason in reasons):
        raise Stopped(reasons[0]["message"])
    if answer.get("outcome") in {"done", "failed"} and "result" in answer:
        return json.dumps(answer["result"])
    told = [f"{reason['message']} ({reason['id']})" for reason in reasons]
    return f"{answer.get('outcome', 'refused')}: {' '.join(told) or answer['detail']}"
