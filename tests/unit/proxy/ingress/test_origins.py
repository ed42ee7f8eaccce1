import pytest

from proxy.errors import BadRequest
from proxy.ingress.origins import NO_PAGES, Origins, permit
from tests.harness.doors import exchange, request_scope

PAGE = "http://localhost:6274"
LISTED = Origins(frozenset({PAGE}))
OWN = Origins(own_scheme="http")


@pytest.mark.parametrize(
    ("origins", "origin", "host"),
    [
        (NO_PAGES, None, "localhost:8787"),
        (LISTED, PAGE, "localhost:8787"),
        (OWN, "http://localhost:8787", "localhost:8787"),
        (OWN, "http://localhost:8787", "LOCALHOST:8787"),
        (OWN, "http://[::1]:8787", "[::1]:8787"),
    ],
)
def test_some_pages_may_ask(origins: Origins, origin: str | None, host: str) -> None:
    """Those that are listed, and where it is said so those of this very port."""
    headers = {b"host": host} | ({b"origin": origin} if origin else {})
    origins.check(headers)


@pytest.mark.parametrize("origins", [NO_PAGES, LISTED, OWN])
@pytest.mark.parametrize(
    "origin",
    [
        "https://evil.test",
        "null",
        "",
        "file://",
        "http://localhost",
        "http://localhost:8788",
        "http://127.0.0.1:8787",
        "https://localhost:8787",
        "http://localhost:8787/",
        "http://localhost:8787.evil.test",
        "HTTP://localhost:8787",
        "://localhost:8787",
        f"{PAGE}, https://evil.test",
    ],
)
def test_other_pages_may_not(origins: Origins, origin: str) -> None:
    """Another name, port or scheme is another page."""
    with pytest.raises(BadRequest) as refused:
        origins.check({b"host": "localhost:8787", b"origin": origin})
    assert (refused.value.http, refused.value.code) == (403, "wrong-origin")


async def test_a_permission_names_the_page_and_what_it_may_send() -> None:
    """And never permits credentials of the browser."""
    scope = request_scope("OPTIONS", "/mcp", {"origin": PAGE})

    async def app(scope: object, receive: object, send: object) -> None:
        await permit(LISTED.readable(scope, send), frozenset({"POST", "GET"}))  # type: ignore[arg-type]  # ASGI, loosely

    reply = await exchange(app, scope, [])
    assert reply.status == 204
    assert reply.headers == {
        "access-control-allow-methods": "GET, POST",
        "access-control-allow-headers": "authorization, *",
        "access-control-max-age": "600",
        "access-control-allow-origin": PAGE,
        "access-control-expose-headers": "mcp-session-id, www-authenticate, allow",
        "vary": "origin",
    }


@pytest.mark.parametrize("origins", [["https://evil.test"], [PAGE, PAGE], [], ["\xe9"]])
def test_nobody_else_gets_a_permission(origins: list[str]) -> None:
    """Not a page that is not listed, and none that names two."""
    scope = request_scope("GET", "/mcp", {})
    scope["headers"] += [(b"origin", one.encode("latin-1")) for one in origins]

    async def send(_: object) -> None:
        """Say nothing."""

    assert LISTED.readable(scope, send) is send
