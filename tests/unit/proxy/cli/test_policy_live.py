import json
from typing import Any

import pytest

from tests.harness.told_port import Port, Run

STATUS: dict[str, Any] = {
    "replica": "host:1",
    "policy_revision": "sha256:1",
    "loaded_at": "2026-11-22T09:00:00Z",
    "offered": "sha256:1",
    "number": 7,
    "previous": None,
    "refused": None,
    "shadow": None,
}
SHADOW: dict[str, Any] = {
    "revision": "sha256:9",
    "counts": {"same": 4, "flip": 1, "error": 0},
    "problem": None,
}
BROKEN: dict[str, Any] = {"revision": None, "counts": {}, "problem": "main.rego:3"}
CASES = [
    ({}, ["host:1", "sha256:1", "the same"]),
    ({"offered": "sha256:2"}, ["sha256:2"]),
    ({"previous": "sha256:0", "number": None}, ["sha256:0"]),
    ({"shadow": SHADOW}, ["4 same", "1 flip"]),
    ({"shadow": SHADOW | {"counts": {}}}, ["nothing", "yet"]),
    ({"shadow": BROKEN}, ["main.rego"]),
    ({"refused": {"at": "2026", "message": "older"}}, ["older"]),
]


@pytest.mark.parametrize(("more", "shown"), CASES)
def test_the_status_is_a_row_a_replica(
    operate: Run, port: Port, more: dict[str, Any], shown: list[str]
) -> None:
    """Which revision is live, what is offered, what the candidate does, what was refused."""
    port.answers(STATUS | more)
    result = operate("policy", "status", COLUMNS="250")
    assert result.exit_code == 0, result.output
    assert all(text in result.output for text in shown)
    assert port.asked[0][:2] == ("GET", "/v1/policy")


def test_the_status_for_machines_is_the_answers(operate: Run, port: Port) -> None:
    """One for each port that is named."""
    port.answers(STATUS)
    result = operate("policy", "status", "--json", "--url", port.url, "--url", port.url)
    assert json.loads(result.output) == [STATUS, STATUS]


@pytest.mark.parametrize(
    ("arguments", "path", "body"),
    [
        (("promote", "sha256:9"), "promote", {"revision": "sha256:9"}),
        (("rollback",), "rollback", {}),
        (("rollback", "--revision", "sha256:1"), "rollback", {"revision": "sha256:1"}),
        (("reload",), "reload", {"older": False}),
        (("reload", "--older"), "reload", {"older": True}),
    ],
)
def test_a_change_is_one_request_a_replica(
    operate: Run, port: Port, arguments: tuple[str, ...], path: str, body: dict[str, Any]
) -> None:
    """What decides now is told."""
    port.answers({"policy_revision": "sha256:9"})
    result = operate("policy", *arguments, "--reason", "why")
    assert (result.exit_code, result.output) == (0, f"{port.url}: decides by sha256:9\n")
    [(method, asked, _, sent)] = port.asked
    assert (method, asked, sent) == ("POST", f"/v1/policy/{path}", {**body, "reason": "why"})


def test_a_replica_that_refuses_ends_it(operate: Run, port: Port) -> None:
    """With exit code 1 and its reason."""
    port.answers({"detail": "there is nothing to go back to"}, 422)
    result = operate("policy", "rollback", "--url", port.url, "--url", port.url)
    assert (result.exit_code, len(port.asked)) == (1, 1)
    assert "nothing to go back to" in result.stderr


def test_a_port_is_a_url(operate: Run) -> None:
    """Another thing is a usage error."""
    assert operate("policy", "status", "--url", "localhost").exit_code == 2
