"""The params of a call as they leave."""

import json
from dataclasses import replace
from typing import Any

import pytest

from proxy.errors import UpstreamFailed
from proxy.model.call import Round
from proxy.model.mcp import Era
from proxy.model.tool import Effect, ToolManifest
from proxy.upstream.base import UpstreamCall
from proxy.upstream.envelope import Inputs, inputs_of, params_of
from tests.harness.client import Client

META = "io.modelcontextprotocol/"


def call(tool: str = 't","x":"', **members: Any) -> UpstreamCall:
    manifest = ToolManifest("s", tool, Effect.READ)
    given = {"arguments": b'{"a":1e+21,"b":"\xc3\xa9"}', **members}
    return UpstreamCall(manifest, timeout_s=1, **given)


def made(given: UpstreamCall, era: Era = Era.HANDSHAKE, inputs: Inputs = Inputs()) -> Any:  # noqa: B008 frozen
    return json.loads(params_of(given, era, 7, inputs))


def test_a_tool_call_is_its_name_and_arguments() -> None:
    """Byte for byte; a name cannot break out of its string."""
    params = params_of(call(), Era.HANDSHAKE, 7, Inputs())
    assert b'"arguments":{"a":1e+21,"b":"\xc3\xa9"}' in params
    assert json.loads(params).keys() == {"name", "arguments"}


def test_other_members_stand_beside() -> None:
    """Such as a task, as it was decided on."""
    params = params_of(call(extras=b'{"task":{"ttl":1e+21}}'), Era.HANDSHAKE, 7, Inputs())
    assert b'"task":{"ttl":1e+21}' in params
    assert json.loads(params)["task"] == {"ttl": 1e21}


@pytest.mark.parametrize("arguments", [b"{}", b'{"uri":"a://b"}'])
def test_another_method_has_its_own_params(arguments: bytes) -> None:
    """Nothing of a tool's."""
    given = call("resources/read", method="resources/read", arguments=arguments)
    assert params_of(given, Era.HANDSHAKE, 7, Inputs()) == arguments


@pytest.mark.parametrize(
    "given",
    [
        call(extras=b'{"arguments":{}}'),
        call(extras=b'{"name":"other"}'),
        call(extras=b'{"_meta":{}}'),
        call(extras=b'{"inputResponses":{}}'),
        call("a/b", method="a/b", arguments=b'{"_meta":{"progressToken":1}}'),
        call("prompts/get", method="prompts/get", arguments=b'{"requestState":"x"}'),
    ],
)
def test_what_is_ours_cannot_be_given(given: UpstreamCall) -> None:
    """A member that stands twice would have two meanings."""
    with pytest.raises(UpstreamFailed):
        params_of(given, Era.STATELESS, 7, Inputs())


def test_a_caller_that_wants_nothing_sends_nothing_beside() -> None:
    """Before 2026 a request needs no `_meta`."""
    assert "_meta" not in made(call())


def test_a_progress_token_is_ours() -> None:
    """One for each request."""
    given = call(conversation=Client(Era.HANDSHAKE), meta=b'{"progressToken":"stolen"}')
    assert made(given)["_meta"] == {"progressToken": 7}


@pytest.mark.parametrize("era", list(Era))
def test_the_callers_own_keys_are_passed_on(era: Era) -> None:
    """In their own text; the protocol's are not the caller's to write."""
    meta = b'{"io.modelcontextprotocol/protocolVersion":"1999-01-01","traceparent":"00","x":1e+21}'
    params = params_of(call(meta=meta), era, 7, Inputs())
    assert b'"x":1e+21' in params
    found = json.loads(params)["_meta"]
    assert (found["traceparent"], found["x"]) == ("00", 1e21)
    version = "2026-07-28" if era is Era.STATELESS else None
    assert found.get(META + "protocolVersion") == version


def test_a_stateless_call_describes_its_client() -> None:
    """Capabilities and level as the client has them."""
    client = Client(Era.STATELESS, capabilities={"roots": {}}, log_level="info")
    meta = made(call(conversation=client), Era.STATELESS)["_meta"]
    assert meta[META + "clientCapabilities"] == {"roots": {}}
    assert meta[META + "logLevel"] == "info"
    client.log_level = None
    assert META + "logLevel" not in made(call(conversation=client), Era.STATELESS)["_meta"]


def test_a_later_round_brings_its_inputs() -> None:
    """What the client said and the tool's own state, exactly."""
    again = replace(call(), round=Round("step", 2, b'{"who":{"x":1e+21}}', 'é"\ud800'))
    params = params_of(again, Era.STATELESS, 7, inputs_of(again))
    assert b'"inputResponses":{"who":{"x":1e+21}}' in params
    assert json.loads(params)["requestState"] == 'é"\ud800'
    assert inputs_of(call()) == Inputs()
    assert inputs_of(replace(call(), round=Round("step", 2))) == Inputs("{}", "")


def test_a_method_without_rounds_may_have_answers_of_its_own() -> None:
    """Such as tasks/update (tasks extension): they are its params."""
    params = b'{"inputResponses":{"a":{"x":1e+21}},"taskId":"t"}'
    given = call("tasks/update", method="tasks/update", arguments=params)
    assert params_of(given, Era.HANDSHAKE, 7, Inputs()) == params


@pytest.mark.parametrize(
    ("era", "given"),
    [
        (Era.HANDSHAKE, call()),
        (Era.STATELESS, call("tasks/update", method="tasks/update", arguments=b"{}")),
    ],
)
def test_what_has_no_rounds_is_given_none(era: Era, given: UpstreamCall) -> None:
    """A server of the handshake, or another method, would not understand."""
    with pytest.raises(UpstreamFailed, match="round"):
        made(given, era, Inputs("{}"))
