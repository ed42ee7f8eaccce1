import json
import socket
from pathlib import Path
from typing import Any

import httpx
import pytest

from proxy.cli import kill as subject
from tests.harness.told_port import Port, Run

KILLED = {"epoch": 7, "committed": True, "halted_locally": True, "in_flight": 3}
HALTED = {"epoch": None, "committed": False, "halted_locally": True, "in_flight": 0}
SESSION = {
    "id": "ses_1",
    "tenant": "acme",
    "agent": "loop",
    "mode": "read_only",
    "state": "open",
    "opened_at": "2026-11-22T09:00:00Z",
}


def test_a_kill_needs_no_confirmation_and_no_scope(operate: Run, port: Port) -> None:
    """One request; what it did stands in one line."""
    port.answers(KILLED)
    result = operate("kill")
    assert (result.exit_code, result.output) == (0, "killed: epoch 7, 3 calls were in flight\n")
    assert port.asked == [("POST", "/killswitch", "Bearer dto_x", {"reason": ""})]


def test_a_kill_names_its_scope_and_reason(operate: Run, port: Port) -> None:
    """As they are given."""
    port.answers(KILLED)
    operate("kill", "--scope", "agent:acme/loop", "--reason", "runaway")
    assert port.asked[0][3] == {"scope": "agent:acme/loop", "reason": "runaway"}


def test_what_is_halted_is_listed_with_its_epoch(operate: Run, port: Port) -> None:
    """So that it can be lifted; what is not committed yet is there too."""
    order = {"order_id": "kil_1", "actor": "ops", "reason": "loop", "at": "2026-11-22T09:00:00Z"}
    scopes = [{"kind": "agent", "id": "acme/loop"}, {"kind": "global", "id": ""}]
    told = {"epoch": 7, "active": [{"epoch": 7, "scopes": scopes, **order}]}
    port.answers({**told, "pending": [{"scopes": scopes[1:], **order, "actor": "SIGUSR1"}]})
    result = operate("kills")
    rows = [[cell.strip() for cell in line.split("│")] for line in result.output.splitlines()]
    assert ["", "7", "agent:acme/loop, global", "ops", order["at"], "loop", ""] in rows
    assert ["", "not yet", "global", "SIGUSR1", order["at"], "loop", ""] in rows
    assert json.loads(operate("kills", "--json").output)["epoch"] == 7
    port.answers({"epoch": 7, "active": [], "pending": []})
    assert operate("kills").output == "nothing is halted\n"


def test_a_halt_that_is_not_committed_exits_1(operate: Run, port: Port) -> None:
    """503 is an answer: it holds locally, and that is said."""
    port.answers(HALTED, 503)
    result = operate("kill")
    assert result.exit_code == 1
    assert result.output.startswith("halted locally; the ledger could not be written")


def test_a_kill_of_nobody_is_warned_about(operate: Run, port: Port) -> None:
    """It holds, so the exit code is that of a kill."""
    port.answers(KILLED | {"matched": False, "warning": "Check its spelling."})
    result = operate("kill", "--scope", "agent:acme/looop")
    assert (result.exit_code, result.stderr) == (0, "detent: Check its spelling.\n")


@pytest.mark.parametrize(("document", "status", "code"), [(KILLED, 200, 0), (HALTED, 503, 1)])
def test_a_kill_for_machines_is_the_answer_itself(
    operate: Run, port: Port, document: Any, status: int, code: int
) -> None:
    """With the same exit codes."""
    port.answers(document, status)
    result = operate("kill", "--json")
    assert (result.exit_code, json.loads(result.output)) == (code, document)


def test_a_lift_takes_an_epoch_and_a_reason(operate: Run, port: Port) -> None:
    """Without a reason it is not even asked for."""
    port.answers({"epoch": 8, "lifts": 7})
    assert operate("lift", "7").exit_code == 2
    result = operate("lift", "7", "--reason", "fixed")
    assert (result.exit_code, result.output) == (0, "lifted: epoch 8\n")
    assert port.asked == [("DELETE", "/killswitch/7", "Bearer dto_x", {"reason": "fixed"})]


def test_sessions_are_a_table_or_one_document(operate: Run, port: Port) -> None:
    """Names are shown as they are, not read as markup."""
    port.answers({"sessions": [SESSION | {"agent": "[red]loop"}]})
    shown = operate("sessions").output
    assert "ses_1" in shown
    assert "[red]loop" in shown
    assert json.loads(operate("sessions", "--json").output)["sessions"][0]["id"] == "ses_1"
    assert {asked[:2] for asked in port.asked} == {("GET", "/v1/sessions")}


COMMANDS = [("kill",), ("kills",), ("lift", "7", "--reason", "x"), ("sessions",)]


@pytest.mark.parametrize("command", COMMANDS, ids=lambda command: str(command[0]))
def test_a_refusal_exits_1_with_status_and_cure(
    operate: Run, port: Port, command: tuple[str, ...]
) -> None:
    """Whatever is asked for."""
    port.answers({"detail": "This takes the role lift."}, 403)
    result = operate(*command)
    assert (result.exit_code, result.stderr) == (1, "detent: 403: This takes the role lift.\n")


@pytest.mark.parametrize("body", [b"<html>", b"[]", b"7", b""])
@pytest.mark.parametrize("command", COMMANDS, ids=lambda command: str(command[0]))
def test_something_else_at_that_port_exits_3(
    operate: Run, port: Port, command: tuple[str, ...], body: bytes
) -> None:
    """It is no gateway; nobody is told that something was killed."""
    port.body = body
    result = operate(*command)
    assert result.exit_code == 3
    assert f"no answer from {port.url}" in result.stderr
    assert result.stdout == ""


@pytest.mark.parametrize(("command", "warns"), [(("kill",), True), (("sessions",), False)])
def test_a_port_that_takes_too_long_exits_3(
    operate: Run, monkeypatch: pytest.MonkeyPatch, command: tuple[str, ...], warns: bool
) -> None:
    """What changes something may be done all the same, and that is said."""
    monkeypatch.setattr(subject, "_answer", _too_late)
    result = operate(*command)
    assert result.exit_code == 3
    assert "within 10 s" in result.stderr
    assert ("it may be done nevertheless" in result.stderr) is warns


def _too_late(*_: object) -> None:
    raise httpx.ReadTimeout("")


def test_nobody_there_exits_3(operate: Run) -> None:
    """The message asks the right question."""
    with socket.socket() as bound:
        bound.bind(("127.0.0.1", 0))
        url = f"http://127.0.0.1:{bound.getsockname()[1]}"
        result = operate("kill", DETENT_URL=url)
    assert result.exit_code == 3
    assert f"no answer from {url}/killswitch; is the gateway running there?" in result.stderr


def test_the_line_wins_over_the_environment(operate: Run, port: Port, tmp_path: Path) -> None:
    """URL and token; a slash at the end and a newline in the file do no harm."""
    port.answers(KILLED)
    file = tmp_path / "token"
    file.write_text("dto_file\n")
    here = ("--url", f"{port.url}/", "--token-file", str(file))
    result = operate("kill", *here, DETENT_URL="http://127.0.0.1:9")
    assert result.exit_code == 0
    assert port.asked[0][1:3] == ("/killswitch", "Bearer dto_file")


@pytest.mark.parametrize(
    "url", ["", "127.0.0.1:8788", "ftp://x", "http://[bad", "http://x:99999", "http://"]
)
def test_a_url_that_is_none_is_a_usage_error(operate: Run, url: str) -> None:
    """With an example of a good one."""
    result = operate("kill", "--url", url)
    assert result.exit_code == 2
    assert "give it as http://127.0.0.1:8788" in result.stderr


@pytest.mark.parametrize(
    ("token", "told"),
    [
        (b"", "set DETENT_OPERATOR_TOKEN or give --token-file"),
        ("dto_é".encode(), "not one line of ASCII"),
        (b"dto_\xff", "not one line of ASCII"),
        (b"dto_a\nX-Other: b", "not one line of ASCII"),
    ],
)
def test_a_token_that_is_none_is_a_usage_error(
    operate: Run, port: Port, tmp_path: Path, token: bytes, told: str
) -> None:
    """Nothing is sent, and it is not repeated."""
    file = tmp_path / "token"
    file.write_bytes(token)
    result = operate("kill", "--token-file", str(file))
    assert (result.exit_code, port.asked) == (2, [])
    assert told in result.stderr
    assert "dto_" not in result.stderr


def test_without_any_token_nothing_is_asked(operate: Run, port: Port) -> None:
    """The message names both ways to give one."""
    result = operate("kill", DETENT_OPERATOR_TOKEN="")
    assert (result.exit_code, port.asked) == (2, [])
    assert "set DETENT_OPERATOR_TOKEN or give --token-file" in result.stderr
