"""A60 at the door: a request path that means one thing to us and another one to the service."""

import pytest

from tests.harness.rest import Rest

pytestmark = pytest.mark.asyncio(loop_scope="module")

CLIMBING = [
    b"/users/../admin",
    b"/users/..",
    b"/users/.",
    b"/users/%2e%2e",
    b"/users/%2E%2e/admin",
    b"/users/..%2fadmin",
    b"/users/%2e%2e%2fadmin",
    b"/users/%252e%252e%252fadmin",
    b"/users/%25252e",
    b"/users/a%2fb",
    b"/users/a%5cb",
    b"/users/a\\b",
    b"/users/..\\admin",
    b"/users/..;/admin",
    b"/users/..%3b/admin",
    b"/users/bob;x=1",
    b"/users//notes/7",
    b"//users/bob",
    b"/users/%00",
    b"/users/bob%00",
    b"/users/bob%0d%0aHost:%20evil",
    b"/users/bob%0a",
    b"/users/%ff",
    b"/users/%c0%ae%c0%ae",
    b"/users/%ef%bc%8e%ef%bc%8e",
    b"/users/a%ef%bc%8fb",
    b"/users/%e2%80%a5",
    b"/users/%",
    b"/users/%2",
    b"/users/%zz",
    b"/users/%u002e",
]
DATA = [
    (b"/users/a%3Fadmin=1", "/users/a%3Fadmin%3D1"),
    (b"/users/a%23b", "/users/a%23b"),
    (b"/users/a%3Bx%3D1", "/users/a%3Bx%3D1"),
    (b"/users/@evil.example:80", "/users/%40evil.example%3A80"),
    (b"/users/100%25", "/users/100%25"),
    (b"/users/a%26b", "/users/a%26b"),
    (b"/%75sers/%62ob", "/users/bob"),
    (b"/users/a+b", "/users/a%2Bb"),
    (b"/users/%C3%A9", "/users/%C3%A9"),
    (b"/users/...", "/users/..."),
]
OTHER = [
    b"/Users/bob",
    b"/users",
    b"/users/",
    b"/users/bob/",
    b"/users/bob/notes/x",
    b"/users/bob/notes/7/",
    b"/users/bob/notes/7/more",
    b"/search/",
    b"/",
]


@pytest.mark.parametrize("target", CLIMBING, ids=bytes.decode)
async def test_a_path_with_two_readings_is_refused(rest: Rest, target: bytes) -> None:
    """Before the policy is asked; the service receives nothing."""
    heard = await rest.ask(target)
    assert (heard.status, rest.recorder.received) == (400, [])


@pytest.mark.parametrize(("target", "path"), DATA, ids=[target.decode() for target, _ in DATA])
async def test_what_is_data_stays_in_its_segment(rest: Rest, target: bytes, path: str) -> None:
    """The service receives the manifest's template, with the value encoded in its place."""
    assert (await rest.ask(target)).status == 200
    assert rest.received.path == path


@pytest.mark.parametrize("target", OTHER, ids=bytes.decode)
async def test_what_no_manifest_names_does_not_exist(rest: Rest, target: bytes) -> None:
    """Nothing is guessed, completed or sent."""
    heard = await rest.ask(target)
    assert (heard.status, heard.code) == (404, "unknown-tool")
    assert rest.recorder.received == []


@pytest.mark.parametrize("target", [b"/admin", b"/%61dmin"])
async def test_a_denied_route_is_denied_in_every_spelling(rest: Rest, target: bytes) -> None:
    """By the policy, for the tool it means."""
    assert (await rest.ask(target)).status == 403
    assert rest.recorder.received == []


@pytest.mark.parametrize(
    "line",
    [
        b"GET http://evil.test/http/rec/users/bob HTTP/1.1",
        b"GET /http/rec/users/bob#x HTTP/1.1",
        b"GET /http/rec/../rec/users/bob HTTP/1.1",
        b"GET /http/../v1/sessions HTTP/1.1",
        b"GET /http/%2e%2e/healthz HTTP/1.1",
        b"GET /http/re%2fc/users/bob HTTP/1.1",
        b"GET /%68ttp/rec/users/bob HTTP/1.1",
        b"GET http:/rec/users/bob HTTP/1.1",
    ],
)
async def test_the_way_to_the_server_has_one_spelling(rest: Rest, line: bytes) -> None:
    """No absolute form, no fragment, no climbing out of the door."""
    heard = await rest.ask(b"", line=line)
    assert (heard.statuses[0], rest.recorder.received) == (400, [])


async def test_a_server_that_is_not_there_has_no_routes(rest: Rest) -> None:
    """Names of servers are compared letter for letter."""
    for server in (b"nowhere", b"REC", b"rec%20"):
        heard = await rest.ask(b"", line=b"GET /http/%b/users/bob HTTP/1.1" % server)
        assert (heard.status, heard.code) == (404, "unknown-tool")
    assert rest.recorder.received == []
