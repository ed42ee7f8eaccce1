import hashlib

from proxy.model.hook import ToolUse, claim_of
from proxy.model.ledger import Outcome


def test_a_tool_use_hashes_what_it_ran_with() -> None:
    """The same hash as that of the call it was asked for."""
    use = ToolUse("t1", "claude-code", "Bash", b'{"command":"ls"}', b"{}", Outcome.DONE)
    assert use.arguments_sha256 == hashlib.sha256(b'{"command":"ls"}').hexdigest()


def test_no_client_can_send_the_key_of_a_tool_use() -> None:
    """Keys that clients send are printable."""
    assert not claim_of("toolu_1").isprintable()
