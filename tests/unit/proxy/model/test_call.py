import hashlib

import pytest

from proxy.model.call import Door, ToolCall


def test_the_hash_is_over_the_bytes_the_tool_gets() -> None:
    """arguments_sha256 is the SHA-256 of the canonical arguments."""
    call = ToolCall("repo", "git_log", b'{"a":1}', Door.CALLS)
    assert call.arguments_sha256 == hashlib.sha256(b'{"a":1}').hexdigest()
    assert call.resource_id == "repo/git_log"


def test_the_request_hash_tells_tools_and_arguments_apart() -> None:
    """No two calls that differ in server, tool or arguments share a request hash."""
    calls = [
        ToolCall("a", "bc", b"{}", Door.CALLS),
        ToolCall("ab", "c", b"{}", Door.CALLS),
        ToolCall("a", "bc", b'{"x":1}', Door.CALLS),
    ]
    assert len({call.request_sha256 for call in calls}) == 3


def test_the_request_hash_does_not_depend_on_the_door() -> None:
    """The same call by another door, or asked for as dry run, is the same request."""
    one = ToolCall("a", "b", b"{}", Door.CALLS)
    other = ToolCall("a", "b", b"{}", Door.MCP, dry_run=True, idempotency_key="k")
    assert one.request_sha256 == other.request_sha256


@pytest.mark.parametrize(
    ("meta", "named"),
    [
        (b"{}", ""),
        (b'{"traceparent":"x"}', ""),
        (b'{"claudecode/toolUseId":"toolu_1","x":1}', "toolu_1"),
        (b'{"claudecode/toolUseId":7}', ""),
        (b'{"x":"claudecode/toolUseId"}', ""),
    ],
)
def test_a_call_has_the_name_its_agent_gives_it(meta: bytes, named: str) -> None:
    """In MCP's `_meta`; whatever is no text is no name."""
    assert ToolCall("repo", "git_log", b"{}", Door.MCP, meta=meta).tool_use_id == named
