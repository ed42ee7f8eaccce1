import json

import pytest

from proxy.model.approval import Approval, Binding, sent_by, sha256_of
from proxy.model.call import Door, Round, ToolCall
from proxy.model.kill import scopes_of
from tests.harness.approving import question

PLAIN = ToolCall("repo", "rm", b'{"path":"a"}', Door.MCP)


def test_what_would_be_sent_is_one_canonical_object() -> None:
    """Sorted, without blanks; what is empty is left out, arguments never."""
    assert sent_by(PLAIN) == b'{"arguments":{"path":"a"},"server":"repo","tool":"rm"}'
    bare = ToolCall("repo", "rm", b"{}", Door.MCP)
    assert sent_by(bare) == b'{"arguments":{},"server":"repo","tool":"rm"}'


def test_everything_the_tool_gets_is_in_it() -> None:
    """Extras, meta, and what the client answered in a later round."""
    call = ToolCall(
        "repo",
        "rm",
        b"{}",
        Door.MCP,
        extras=b'{"task":{"ttl":1}}',
        meta=b'{"x.example/mode":"force"}',
        round=Round("stp_1", 2, b'{"a":{"action":"accept"}}', 'st"ate\u2028'),
    )
    sent = sent_by(call)
    assert json.loads(sent) == {
        "arguments": {},
        "extras": {"task": {"ttl": 1}},
        "input_responses": {"a": {"action": "accept"}},
        "meta": {"x.example/mode": "force"},
        "request_state": 'st"ate\u2028',
        "server": "repo",
        "tool": "rm",
    }
    assert list(json.loads(sent)) == sorted(json.loads(sent))


CHANGES = {
    "server": ToolCall("other", "rm", b'{"path":"a"}', Door.MCP),
    "tool": ToolCall("repo", "ls", b'{"path":"a"}', Door.MCP),
    "arguments": ToolCall("repo", "rm", b'{"path":"b"}', Door.MCP),
    "extras": ToolCall("repo", "rm", b'{"path":"a"}', Door.MCP, extras=b'{"task":{}}'),
    "meta": ToolCall("repo", "rm", b'{"path":"a"}', Door.MCP, meta=b'{"a/b":1}'),
    "an answer": ToolCall(
        "repo", "rm", b'{"path":"a"}', Door.MCP, round=Round("s", 2, b'{"a":{}}')
    ),
    "a state": ToolCall(
        "repo", "rm", b'{"path":"a"}', Door.MCP, round=Round("s", 2, b"{}", "state")
    ),
}


@pytest.mark.parametrize("other", CHANGES.values(), ids=CHANGES)
def test_whatever_changes_changes_the_hash(other: ToolCall) -> None:
    """An approval of one is none of the other."""
    assert sha256_of(sent_by(other)) != sha256_of(sent_by(PLAIN))


def test_the_agents_name_for_its_attempt_is_no_part_of_it() -> None:
    """Claude Code gives every attempt another one."""
    named = ToolCall("repo", "rm", PLAIN.arguments, Door.MCP, meta=b'{"claudecode/toolUseId":"t1"}')
    assert sent_by(named) == sent_by(PLAIN)


def test_how_a_call_came_in_is_no_part_of_it() -> None:
    """Door, key and trace context differ from attempt to attempt."""
    again = ToolCall(
        "repo",
        "rm",
        b'{"path":"a"}',
        Door.CALLS,
        idempotency_key="k",
        meta=b'{"traceparent":"00-1-2-01","tracestate":"a=b","baggage":"c=d"}',
    )
    assert sent_by(again) == sent_by(PLAIN)
    kept = ToolCall("repo", "rm", b"{}", Door.MCP, meta=b'{"a/b":"\xc3\xa9","traceparent":"1"}')
    assert json.loads(sent_by(kept))["meta"] == {"a/b": "\u00e9"}


def test_a_question_stands_under_the_scopes_of_its_call() -> None:
    """Those a kill may name."""
    asked: Approval = question()
    binding: Binding = asked.binding
    assert asked.scopes == scopes_of(
        binding.tenant, binding.agent, asked.session_id, binding.resource_id
    )
