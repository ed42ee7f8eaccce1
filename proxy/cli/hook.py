"""`detent hook`: what an agent's command hook runs. It carries one event to the gateway and back.

Loaded at every step of an agent: nothing heavy is imported here.
"""

import json
import os
import sys
from collections.abc import Callable
from dataclasses import dataclass
from http.client import HTTPConnection, HTTPException, HTTPSConnection
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import click

BLOCK = 2
TIMEOUT_S = 8.0
MAX_EVENT_BYTES = 16_777_216
MAX_ANSWER_BYTES = 1_048_576
_OK = 200

Document = dict[str, Any]


@dataclass(frozen=True, slots=True)
class Said:
    """What the agent gets: JSON on stdout, or a reason on stderr with the exit code that blocks."""

    stdout: str = ""
    blocked: str = ""


def to_claude(answer: Document) -> Said:
    """Say it as it is: these are Claude Code's own words."""
    return Said(stdout=json.dumps(answer))


def to_codex(answer: Document) -> Said:
    """Say it in what Codex understands; an answer it cannot read it would take for a yes.

    It takes no `continue: false` before a tool runs and knows no `ask`: both are refusals. Its
    `allow` beside `updatedInput` skips no question.
    """
    specific = answer.get("hookSpecificOutput", {})
    decision, event = specific.get("permissionDecision"), specific.get("hookEventName")
    if decision in ("deny", "ask"):
        return Said(blocked=specific["permissionDecisionReason"])
    if event == "PermissionRequest":
        return Said(blocked=specific["decision"]["message"])
    if "updatedInput" in specific:
        return Said(
            stdout=json.dumps({"hookSpecificOutput": {**specific, "permissionDecision": "allow"}})
        )
    kept = ("continue", "stopReason", "decision", "reason")
    return Said(stdout=json.dumps({name: answer[name] for name in kept if name in answer}))


AGENTS: dict[str, tuple[str, Callable[[Document], Said]]] = {
    "claude": ("claude-code", to_claude),
    "codex": ("codex", to_codex),
}


class Unanswered(Exception):
    """The gateway gave no usable answer; the text says why."""


@click.command()
@click.option(
    "--agent", type=click.Choice(sorted(AGENTS)), required=True, help="Who runs the hook."
)
@click.option(
    "--url",
    default=lambda: os.environ.get("DETENT_AGENTS_URL", "http://127.0.0.1:8787"),
    help="The agents' port (default: $DETENT_AGENTS_URL or http://127.0.0.1:8787).",
)
@click.option(
    "--token-file",
    type=click.Path(path_type=Path, dir_okay=False),
    help="A file with the agent's token (default: $DETENT_TOKEN).",
)
@click.option("--timeout", "timeout_s", default=TIMEOUT_S, show_default=True, help="In seconds.")
def hook(agent: str, url: str, token_file: Path | None, timeout_s: float) -> None:
    """Ask the gateway about one hook event, which is read from stdin.

    Prints what the agent's hook has to answer. Exits with 2, which blocks, whenever there is no
    answer.
    """
    client, say = AGENTS[agent]
    code, reason = BLOCK, "the hook failed"
    try:
        said = say(ask(url, client, _token(token_file), timeout_s))
        code, reason = (BLOCK, said.blocked) if said.blocked else (0, "")
        click.echo(said.stdout, nl=bool(said.stdout))
    except (Unanswered, OSError, HTTPException, ValueError) as error:
        code, reason = BLOCK, f"no answer from the gateway, so this is blocked: {error}"
    finally:
        # Also when something nobody thought of was raised: any other code would let the call pass.
        if reason:
            click.echo(f"detent: {reason}", err=True)
        sys.exit(code)


def ask(url: str, client: str, token: str, timeout_s: float) -> Document:
    """Post the event on stdin to `{url}/hooks/{client}` and return the answer.

    No proxy and no redirect is followed. Raises Unanswered, OSError, HTTPException, ValueError.
    """
    parts = urlsplit(url)
    kind = {"http": HTTPConnection, "https": HTTPSConnection}.get(parts.scheme)
    if kind is None or not parts.hostname:
        raise Unanswered("give --url as http://127.0.0.1:8787")
    event = sys.stdin.buffer.read(MAX_EVENT_BYTES)
    connection = kind(parts.hostname, parts.port, timeout=timeout_s)
    try:
        headers = {"Authorization": f"Bearer {token}", "Content-Type": "application/json"}
        connection.request("POST", f"{parts.path.rstrip('/')}/hooks/{client}", event, headers)
        response = connection.getresponse()
        document = json.loads(response.read(MAX_ANSWER_BYTES))
    finally:
        connection.close()
    if response.status != _OK:
        raise Unanswered(f"{response.status} {document.get('detail', '')}".rstrip())
    if not isinstance(document, dict):
        raise Unanswered("the answer is no object")
    return document


def _token(file: Path | None) -> str:
    text = os.environ.get("DETENT_TOKEN", "") if file is None else file.read_text(encoding="utf-8")
    token = text.strip()
    if not token or not token.isascii() or not token.isprintable():
        raise Unanswered("set DETENT_TOKEN or give --token-file")
    return token
