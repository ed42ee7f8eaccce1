import pytest
from starlette.types import ASGIApp

from proxy.ingress.agents import agents_app
from proxy.ingress.guard import GuardSettings
from proxy.ingress.oauth import METADATA_ROUTES, ProtectedResource
from tests.harness.doors import HOST, RecordingGate, app_of, ask, rpc

RESOURCE = ProtectedResource("https://detent.acme", ("https://idp.example",))
WHERE = 'resource_metadata="https://detent.acme/.well-known/oauth-protected-resource'


@pytest.fixture
def app() -> ASGIApp:
    """The agents' port of a gateway with issuers."""
    guard = GuardSettings(frozenset({HOST}))
    gate = RecordingGate()
    return agents_app(gate, guard, jwks=lambda: {"keys": []}, version="1", resource=RESOURCE)


@pytest.mark.parametrize("path", ["", "/mcp", "/mcp/repo"])
async def test_the_metadata_name_the_resource_they_are_asked_for(app: ASGIApp, path: str) -> None:
    """RFC 9728 section 3.3: `resource` is the URL the client derived this one from; no token."""
    reply = await ask(
        app, "GET", f"/.well-known/oauth-protected-resource{path}", headers={"authorization": ""}
    )
    assert reply.status == 200
    assert reply.headers["content-type"] == "application/json"
    assert reply.json == {
        "resource": f"https://detent.acme{path}",
        "authorization_servers": ["https://idp.example"],
        "bearer_methods_supported": ["header"],
        "resource_name": "Detent",
    }


@pytest.mark.parametrize("path", ["/mcp/a/b", "/v1/calls", "/mcp/", "/%2e%2e"])
async def test_there_are_no_metadata_of_anything_else(app: ASGIApp, path: str) -> None:
    """Paths that are no MCP endpoint."""
    reply = await ask(app, "GET", f"/.well-known/oauth-protected-resource{path}")
    assert reply.status in {400, 404}


@pytest.mark.parametrize("path", ["/mcp", "/mcp/repo"])
@pytest.mark.parametrize(("token", "error"), [("", False), ("Bearer a.b.c", True)])
async def test_a_401_says_where_the_metadata_are(
    app: ASGIApp, path: str, token: str, error: bool
) -> None:
    """And that a token which was sent is not good (RFC 6750 section 3.1)."""
    body = rpc("tools/list")
    reply = await ask(app, "POST", path, body, {"authorization": token})
    assert reply.status == 401
    challenge = reply.headers["www-authenticate"]
    assert challenge.startswith("Bearer ")
    assert challenge.endswith(f'{WHERE}{path}"')
    assert ('error="invalid_token"' in challenge) is error


async def test_other_answers_and_doors_have_no_challenge(app: ASGIApp) -> None:
    """Only the 401 of /mcp is for MCP clients."""
    good = await ask(app, "POST", "/mcp", rpc("ping"))
    assert "www-authenticate" not in good.headers
    calls = await ask(app, "POST", "/v1/calls", b"{}", {"authorization": ""})
    assert calls.headers["www-authenticate"] == 'Bearer realm="detent"'


async def test_without_issuers_there_is_no_resource() -> None:
    """Nothing to discover, and the plain challenge."""
    app = app_of(RecordingGate())
    for path in METADATA_ROUTES:
        assert (await ask(app, "GET", path.replace("*", "repo"))).status == 404
    reply = await ask(app, "POST", "/mcp", rpc("ping"), {"authorization": ""})
    assert reply.headers["www-authenticate"] == 'Bearer realm="detent"'
