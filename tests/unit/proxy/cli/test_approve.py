import json
from typing import Any

import pytest

from tests.harness.told_port import Port, Run

PENDING: dict[str, Any] = {
    "id": "apr_1",
    "state": "pending",
    "tenant": "acme",
    "agent": "loop",
    "session_id": "ses_1",
    "tool": "tickets/delete_row",
    "effect": "irreversible",
    "risk": 20,
    "reasons": [{"id": "approval-required", "message": "This call cannot be undone."}],
    "request": {
        "json": '{"arguments":{"id":7,"note":"\\u202e[red]x"}}',
        "truncated": False,
        "bytes": 44,
        "sha256": "ab" * 32,
    },
    "policy_revision": "git:abc",
    "tool_pin": "sha256:pin",
    "epoch": 0,
    "asked_at": "2026-11-22T09:00:00.000Z",
    "expires_at": "2026-11-22T09:15:00.000Z",
    "decided_by": "",
    "decided_at": None,
    "note": "",
}
APPROVED = PENDING | {
    "state": "approved",
    "decided_by": "oncall",
    "decided_at": "2026-11-22T09:01:00.000Z",
}


def text_of(output: str) -> str:
    """Return what a table says, its lines joined: cells are folded where they must be."""
    cells = (line.strip(" │┃").split("│") for line in output.splitlines())
    return "".join(cell.strip() for row in cells for cell in row)


def test_the_table_shows_who_would_do_what(operate: Run, port: Port) -> None:
    """Pending ones; the request as it would be sent, and no markup of it is obeyed."""
    port.answers({"approvals": [PENDING]})
    result = operate("approvals", COLUMNS="200")
    assert result.exit_code == 0
    assert port.asked == [("GET", "/v1/approvals?state=pending", "Bearer dto_x", None)]
    said = text_of(result.output)
    for part in ("apr_1", "acme/loop", "tickets/delete_row", "20", PENDING["request"]["json"]):
        assert part in said


def test_a_request_that_is_cut_says_so(operate: Run, port: Port) -> None:
    """With its whole size."""
    cut = PENDING["request"] | {"truncated": True, "bytes": 9_000}
    port.answers({"approvals": [PENDING | {"request": cut}]})
    assert "cut: 9000 bytes in all" in operate("approvals", COLUMNS="200").output


def test_a_list_names_its_state_and_tenant(operate: Run, port: Port) -> None:
    """As they are given."""
    port.answers({"approvals": []})
    operate("approvals", "--state", "any", "--tenant", "acme co")
    assert port.asked[0][1] == "/v1/approvals?state=any&tenant=acme+co"


@pytest.mark.parametrize("document", [PENDING, APPROVED], ids=["pending", "approved"])
def test_one_approval_is_told_whole(operate: Run, port: Port, document: dict[str, Any]) -> None:
    """All that it is bound to, and who decided it if somebody did."""
    port.answers(document)
    result = operate("approvals", "apr_1/..", COLUMNS="200")
    assert port.asked[0][1] == "/v1/approvals/apr_1%2F.."
    said = text_of(result.output)
    for part in ("sha256:pin", "git:abc", "ab" * 32, "approval-required", "irreversible, risk 20"):
        assert part in said
    assert ("by oncall at 2026-11-22T09:01:00.000Z" in said) == (document is APPROVED)


@pytest.mark.parametrize("command", [("approvals",), ("approvals", "apr_1"), ("approve", "apr_1")])
def test_machines_get_the_document(operate: Run, port: Port, command: tuple[str, ...]) -> None:
    """As the port gives it."""
    document = {"approvals": [PENDING]} | APPROVED
    port.answers(document)
    assert json.loads(operate(*command, "--json").output) == document


def test_an_approval_is_given_with_its_reason(operate: Run, port: Port) -> None:
    """One request; the line says what it is good for."""
    port.answers(APPROVED)
    result = operate("approve", "apr_1", "--reason", "as agreed")
    asked = ("POST", "/v1/approvals/apr_1/approve", "Bearer dto_x", {"reason": "as agreed"})
    assert port.asked == [asked]
    assert result.output == (
        "approved: acme/loop tickets/delete_row, good for one call until 2026-11-22T09:15:00.000Z\n"
    )


def test_a_denial_is_said_with_the_same_command(operate: Run, port: Port) -> None:
    """So that yes and no are equally near."""
    port.answers(APPROVED | {"state": "denied"})
    result = operate("approve", "apr_1", "--deny")
    assert port.asked[0][1] == "/v1/approvals/apr_1/deny"
    assert result.output.startswith("denied: acme/loop tickets/delete_row, refused until")


def test_what_is_refused_exits_1(operate: Run, port: Port) -> None:
    """With the port's own sentence."""
    port.answers({"detail": "The approval is used."}, 409)
    result = operate("approve", "apr_1")
    assert (result.exit_code, result.stderr) == (1, "detent: 409: The approval is used.\n")
