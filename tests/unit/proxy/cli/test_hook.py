"""`detent hook` before a gateway that answers as it is told."""

import json
import threading
from collections.abc import Callable, Iterator
from http.server import BaseHTTPRequestHandler, HTTPServer
from pathlib import Path
from typing import Any

import pytest
from click.testing import CliRunner, Result

from proxy.cli import hook as module
from proxy.cli import main

EVENT = b'{"hook_event_name":"PreToolUse","session_id":"s1"}'
DENIED = {
    "hookSpecificOutput": {
        "hookEventName": "PreToolUse",
        "permissionDecision": "deny",
        "permissionDecisionReason": "Detent: no.",
    }
}
KILLED = DENIED | {"continue": False, "stopReason": "Detent: killed."}
STOP = {"continue": False, "stopReason": "killed", "decision": "block", "reason": "killed"}


class Gateway(HTTPServer):
    """Keeps what it is asked."""

    status = 200
    answer: Any = None
    asked: tuple[str, dict[str, str], bytes] = ("", {}, b"")


class Handler(BaseHTTPRequestHandler):
    server: Gateway

    def do_POST(self) -> None:
        body = self.rfile.read(int(self.headers["Content-Length"]))
        self.server.asked = (self.path, dict(self.headers), body)
        raw = self.server.answer
        data = raw if isinstance(raw, bytes) else json.dumps(raw).encode()
        self.send_response(self.server.status)
        self.send_header("Content-Length", str(len(data)))
        self.end_headers()
        self.wfile.write(data)

    def log_message(self, format: str, *args: object) -> None:  # noqa: A002  (its name there)
        """Say nothing."""


@pytest.fixture
def gateway(socket_enabled: None) -> Iterator[Gateway]:
    """A port on loopback."""
    server = Gateway(("127.0.0.1", 0), Handler)
    thread = threading.Thread(target=server.serve_forever, args=(0.01,))
    thread.start()
    yield server
    server.shutdown()
    thread.join()
    server.server_close()


Ask = Callable[..., Result]


@pytest.fixture
def ask(gateway: Gateway) -> Ask:
    """Run the hook of an agent with an event on stdin."""

    def run(agent: str, answer: Any, *more: str | Path, **environ: str) -> Result:
        gateway.answer = answer
        url = f"http://127.0.0.1:{gateway.server_port}"
        arguments = ["hook", "--agent", agent, "--url", url, *map(str, more)]
        known = {"DETENT_TOKEN": "dta_x"} | environ
        return CliRunner().invoke(main, arguments, input=EVENT, env=known)

    return run


def test_the_event_goes_to_the_gateway_as_it_came(ask: Ask, gateway: Gateway) -> None:
    """With the agent's token, under the agent's name."""
    assert ask("claude", {}).exit_code == 0
    path, headers, body = gateway.asked
    assert (path, body) == ("/hooks/claude-code", EVENT)
    assert headers["Authorization"] == "Bearer dta_x"
    assert headers["Content-Type"] == "application/json"
    ask("codex", {})
    assert gateway.asked[0] == "/hooks/codex"


@pytest.mark.parametrize("answer", [{}, DENIED, KILLED, STOP])
def test_claude_gets_the_answer_as_it_is(ask: Ask, answer: dict[str, Any]) -> None:
    """These are its own words."""
    result = ask("claude", answer)
    assert (result.exit_code, json.loads(result.stdout)) == (0, answer)


@pytest.mark.parametrize(
    "answer",
    [
        DENIED,
        KILLED,
        {"hookSpecificOutput": DENIED["hookSpecificOutput"] | {"permissionDecision": "ask"}},
        {
            "hookSpecificOutput": {
                "hookEventName": "PermissionRequest",
                "decision": {"behavior": "deny", "message": "Detent: no."},
            }
        },
    ],
)
def test_codex_is_refused_by_its_exit_code(ask: Ask, answer: dict[str, Any]) -> None:
    """JSON that it does not know it would take for a yes; it knows no ask and no stop here."""
    result = ask("codex", answer)
    assert (result.exit_code, result.stdout) == (2, "")
    assert result.stderr == "detent: Detent: no.\n"


@pytest.mark.parametrize(
    ("answer", "said"),
    [
        ({}, {}),
        (STOP, STOP),
        (STOP | {"hookSpecificOutput": {"updatedToolOutput": "x"}}, STOP),
        (
            {
                "hookSpecificOutput": {
                    "hookEventName": "PreToolUse",
                    "updatedInput": {"command": "x"},
                }
            },
            {
                "hookSpecificOutput": {
                    "hookEventName": "PreToolUse",
                    "updatedInput": {"command": "x"},
                    "permissionDecision": "allow",
                }
            },
        ),
    ],
)
def test_codex_gets_only_what_it_knows(
    ask: Ask, answer: dict[str, Any], said: dict[str, Any]
) -> None:
    """One member too many and it would ignore the whole answer."""
    result = ask("codex", answer)
    assert (result.exit_code, json.loads(result.stdout)) == (0, said)


@pytest.mark.parametrize(
    ("status", "answer"),
    [
        (401, {"detail": "Send a valid token."}),
        (503, {"detail": "The ledger cannot be written."}),
        (302, {}),
        (200, []),
        (200, b"not json"),
        (200, b""),
        (500, b"<html>"),
    ],
)
@pytest.mark.parametrize("agent", ["claude", "codex"])
def test_no_usable_answer_blocks(
    ask: Ask, gateway: Gateway, agent: str, status: int, answer: Any
) -> None:
    """Any code but 2 would let the tool run."""
    gateway.status = status
    result = ask(agent, answer)
    assert (result.exit_code, result.stdout) == (2, "")
    assert result.stderr.startswith("detent: no answer from the gateway, so this is blocked: ")
    if isinstance(answer, dict):
        assert answer.get("detail", "") in result.stderr


def test_what_nobody_thought_of_blocks_too(ask: Ask, monkeypatch: pytest.MonkeyPatch) -> None:
    """A bug in here is no way around the gateway."""
    result = ask("codex", {"hookSpecificOutput": {"permissionDecision": "deny"}})
    assert (result.exit_code, result.stderr) == (2, "detent: the hook failed\n")


@pytest.mark.parametrize(
    "url", ["http://127.0.0.1:1", "ftp://127.0.0.1", "nonsense", "http://[::1"]
)
def test_a_gateway_that_is_not_there_blocks(socket_enabled: None, url: str) -> None:
    """Down, or named wrongly."""
    arguments = ["hook", "--agent", "claude", "--url", url]
    result = CliRunner().invoke(main, arguments, input=EVENT, env={"DETENT_TOKEN": "dta_x"})
    assert (result.exit_code, result.stdout) == (2, "")
    assert "so this is blocked" in result.stderr


@pytest.mark.parametrize("token", ["", "dta_\u00e9", "a\nb"])
def test_without_a_usable_token_nothing_is_asked(ask: Ask, gateway: Gateway, token: str) -> None:
    """And the tool does not run."""
    result = ask("claude", {}, DETENT_TOKEN=token)
    assert result.exit_code == 2
    assert "set DETENT_TOKEN or give --token-file" in result.stderr
    assert gateway.asked[0] == ""


def test_the_token_may_be_in_a_file(ask: Ask, gateway: Gateway, tmp_path: Path) -> None:
    """Where the agent's own tools cannot read it from the environment."""
    (tmp_path / "token").write_text("dta_from_file\n")
    assert ask("claude", {}, "--token-file", tmp_path / "token", DETENT_TOKEN="").exit_code == 0
    assert gateway.asked[1]["Authorization"] == "Bearer dta_from_file"
    missing = ask("claude", {}, "--token-file", tmp_path / "nowhere", DETENT_TOKEN="")
    assert missing.exit_code == 2


def test_an_agent_nobody_knows_is_a_usage_error() -> None:
    """Which blocks as well."""
    result = CliRunner().invoke(main, ["hook", "--agent", "nobody"], input=EVENT)
    assert result.exit_code == 2


def test_only_these_agents_are_known() -> None:
    """Each with the server its tools stand under."""
    assert {name: client for name, (client, _) in module.AGENTS.items()} == {
        "claude": "claude-code",
        "codex": "codex",
    }
