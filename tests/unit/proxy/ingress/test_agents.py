import json
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from starlette.types import ASGIApp

from proxy.ingress.agents import agents_api
from tests.harness.doors import RecordingGate, app_of, ask

SECRETIVE = ["/docs", "/redoc", "/openapi.json", "/killswitch", "/metrics", "/v1/approvals"]


@pytest.mark.parametrize(("path", "killed", "status"), [
    ("/healthz", True, 200),
    ("/readyz", False, 200),
    ("/readyz", True, 503),
])  # fmt: skip
async def test_probes_reveal_nothing(
    app: ASGIApp, gate: RecordingGate, path: str, killed: bool, status: int
) -> None:
    """A status and an empty body, without a token."""
    gate.killed = killed
    reply = await ask(app, "GET", path, headers={"authorization": ""})
    assert (reply.status, reply.body) == (status, b"")


async def test_the_keys_of_call_tokens_are_public(app: ASGIApp) -> None:
    """RFC 7517 section 5."""
    reply = await ask(app, "GET", "/.well-known/jwks.json", headers={"authorization": ""})
    assert (reply.status, reply.json) == (200, {"keys": []})


@pytest.mark.parametrize("path", SECRETIVE)
async def test_nothing_else_is_on_this_port(app: ASGIApp, path: str) -> None:
    """Neither documentation nor anything of the operators' plane, whatever the token."""
    assert (await ask(app, "GET", path)).status == 404
    assert (await ask(app, "POST", path)).status == 404


def test_the_sessions_are_documented() -> None:
    """The schema of their body is in the OpenAPI document, though no port shows it."""
    api = agents_api(RecordingGate(), dict)
    body = api.openapi()["paths"]["/v1/sessions"]["post"]["requestBody"]
    properties = body["content"]["application/json"]["schema"]["properties"]
    assert set(properties) == {"mode", "budget", "purpose"}


def is_member(value: Any) -> bool:
    """Whether a body could be a call at all, as the standard library reads it."""
    return isinstance(value, dict) and isinstance(value.get("arguments", {}), dict)


CALLS = st.fixed_dictionaries(
    {"server": st.sampled_from(["rec", "re c"]), "tool": st.sampled_from(["write", ""])},
    optional={
        "arguments": st.dictionaries(
            st.text(max_size=3),
            st.none() | st.integers() | st.floats() | st.text(max_size=5) | st.booleans(),
            max_size=4,
        ),
        "dry_run": st.booleans() | st.none(),
    },
)
BODIES = st.binary(max_size=80) | CALLS.map(lambda call: json.dumps(call).encode())


@settings(deadline=None)
@given(BODIES, st.integers(0, 200), st.binary(max_size=2))
async def test_any_body_is_refused_or_read_as_everyone_reads_it(
    body: bytes, cut: int, splice: bytes
) -> None:
    """4xx and nothing for the pipeline, or the arguments the standard library reads."""
    gate = RecordingGate()
    spliced = body[:cut] + splice + body[cut + len(splice) :]
    reply = await ask(app_of(gate), "POST", "/v1/calls", spliced or b" ")
    if reply.status == 200:
        value = json.loads(spliced)
        assert is_member(value)
        assert json.loads(gate.calls[0].arguments) == value.get("arguments", {})
    else:
        assert (400 <= reply.status < 500, gate.calls) == (True, [])
