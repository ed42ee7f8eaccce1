from datetime import UTC, datetime

from proxy.model.ledger import Intent
from proxy.model.tool import Effect, Recovery


def test_an_intent_names_its_tool_as_kills_do() -> None:
    """`server/tool`."""
    at = datetime(2026, 11, 22, tzinfo=UTC)
    intent = Intent(
        "stp_1", "ses_1", "acme", "loop", "repo", "git_commit", Effect.WRITE, Recovery.PROBE,
        b"{}", "0" * 64, 0, at,
    )  # fmt: skip
    assert intent.resource_id == "repo/git_commit"
