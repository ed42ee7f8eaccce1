"""From a service's own OpenAPI document to calls through Detent: import, review, call."""

import json
import socket
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import httpx
import pytest
import yaml
from click.testing import CliRunner

from proxy.cli import main
from proxy.ingress.operator import operations_of, operator_api
from proxy.ingress.operator_access import Access
from proxy.model.tool import Effect
from proxy.pdp.manifests import load_catalogue
from tests.harness.gateway import Gateway
from tests.harness.notes_api import PNG, Notes, notes_api, serving
from tests.harness.operators import operators_port
from tests.harness.world import World

NOTE = {"title": "Fix is in", "tags": ["a", "b"], "place": {"latitude": 1.5, "longitude": -0.25}}


def imported(world: World, server: str, openapi: Path, text: str, **http: Any) -> Path:
    """Import a document as a person would; return the draft in its place."""
    openapi.write_text(text)
    world.servers[server] = {"http": {"openapi": openapi.name, **http}, "allow_private": True}
    draft = world.bundle / f"tools/{server}/data.yaml"
    arguments = ["tools", "import", server, "-o", str(draft), "--config", str(world.write())]
    result = CliRunner().invoke(main, arguments)
    assert result.exit_code == 0, result.output
    return draft


def reviewed(draft: Path, *writes: str) -> None:
    """Do what a reviewer does: say which writes can be undone, and that answers are our own."""
    tools = yaml.safe_load(draft.read_text())
    for name in writes:
        assert tools[name]["effect"] == "irreversible"
        tools[name]["effect"] = "write"
    for entry in tools.values():
        assert entry["returns"] == "untrusted"
        entry["returns"] = "trusted"
    draft.write_text(json.dumps(tools))


@pytest.fixture
async def notes() -> AsyncIterator[tuple[Notes, str]]:
    """The notes service, and where it is."""
    service = notes_api()
    async with serving(service) as url:
        yield service, url


@pytest.fixture
def reviewed_world(request: pytest.FixtureRequest, world: World, notes: tuple[Notes, str]) -> World:
    """A world whose manifest of the notes was imported and reviewed."""
    service, url = notes
    document = service.api.openapi()
    kind = getattr(request, "param", "json")
    text = json.dumps(document) if kind == "json" else yaml.safe_dump(document)
    openapi = world.directory / f"notes.{kind}"
    draft = imported(world, "notes", openapi, text, base_url=url)
    operations = [one for path in document["paths"].values() for one in path.values()]
    ids = {one["operationId"].partition("_notes")[0]: one["operationId"] for one in operations}
    reviewed(draft, ids["create_note"], ids["replace_note"], ids["delete_note"])
    # Sinks are decided at review as well: these notes leave nothing.
    tools = yaml.safe_load(draft.read_text())
    draft.write_text(
        json.dumps({name: one | {"returns": "trusted"} for name, one in tools.items()})
    )
    return world


async def story(http: httpx.AsyncClient) -> list[tuple[int, str, Any]]:
    """Use every operation as an ordinary client; return what came back."""
    told: list[tuple[int, str, Any]] = []

    async def ask(method: str, path: str, **more: Any) -> httpx.Response:
        answer = await http.request(method, path, **more)
        kind = answer.headers.get("content-type", "")
        is_json = kind.startswith("application/json") and answer.content
        told.append((answer.status_code, kind, answer.json() if is_json else answer.content))
        return answer

    await ask("POST", "/notes", json=NOTE)
    await ask("POST", "/notes", json={"title": "\u00e9 & \u4e16"})
    await ask("GET", "/notes", params={"tag": ["a", "b"], "limit": 5, "order": "title"})
    await ask("GET", "/notes", params={"q": "\u00e9 & "})
    etag = (await ask("GET", "/notes/1")).headers["etag"]
    await ask("PUT", "/notes/1", json=NOTE | {"weight": 0.1}, headers={"If-Match": etag})
    await ask("PUT", "/notes/1", json=NOTE, headers={"If-Match": etag})
    await ask("GET", "/notes/1/text")
    await ask("GET", "/notes/1/picture")
    await ask("DELETE", "/notes/2")
    await ask("GET", "/notes/2")
    return told


@pytest.mark.parametrize("reviewed_world", ["json", "yaml"], indirect=True)
async def test_an_imported_service_is_used_as_it_is_direct(
    reviewed_world: World, notes: tuple[Notes, str]
) -> None:
    """Every answer is the same: JSON, text, bytes, none, and the service's own refusals."""
    service, url = notes
    async with httpx.AsyncClient(base_url=url, trust_env=False) as http:
        direct = await story(http)
    service.stored.clear()
    async with Gateway(reviewed_world) as gateway:
        headers = {"Authorization": f"Bearer {reviewed_world.agent_token}"}
        base = f"{gateway.agents}/http/notes"
        async with httpx.AsyncClient(base_url=base, headers=headers, trust_env=False) as http:
            through = await story(http)
    assert through == direct
    assert [status for status, _, _ in direct] == [
        201, 201, 200, 200, 200, 200, 412, 200, 200, 204, 404,
    ]  # fmt: skip
    assert direct[8] == (200, "image/png", PNG)


async def test_what_the_service_would_refuse_is_refused_before(reviewed_world: World) -> None:
    """By the schema that was imported: nothing is reserved, nothing is sent."""
    async with Gateway(reviewed_world) as gateway:
        headers = {"Authorization": f"Bearer {reviewed_world.agent_token}"}
        base = f"{gateway.agents}/http/notes"
        async with httpx.AsyncClient(base_url=base, headers=headers, trust_env=False) as http:
            answers = [
                await http.post("/notes", json={"title": ""}),
                await http.post("/notes", json={"title": "a", "more": 1}),
                await http.post("/notes", json=NOTE | {"place": {"latitude": "north"}}),
                await http.get("/notes", params={"limit": 1000}),
                await http.get("/notes", params={"order": "age"}),
                await http.get("/notes", params={"more": 1}),
                await http.get("/notes/one"),
                await http.post("/notes/1/photo", files={"photo": b"x"}),
            ]
    told = [(answer.status_code, answer.json()["code"]) for answer in answers]
    assert told == [
        (400, "arguments-invalid"),
        (400, "unknown-member"),
        (400, "arguments-invalid"),
        (400, "arguments-invalid"),
        (400, "arguments-invalid"),
        (400, "unknown-parameter"),
        (404, "unknown-tool"),
        (415, "unsupported-media-type"),
    ]


def test_a_draft_says_what_was_left_out(world: World, notes: tuple[Notes, str]) -> None:
    """And loads; nothing in it is less careful than a person would be."""
    service, url = notes
    text = json.dumps(service.api.openapi())
    draft = imported(world, "notes", world.directory / "notes.json", text, base_url=url)
    assert "POST /notes/{note_id}/photo: it needs its body, but multipart" in draft.read_text()
    tools = {
        one.tool: one
        for one in load_catalogue(world.bundle).tools.values()
        if one.server == "notes"
    }
    assert len(tools) == 7
    reads = {name for name, one in tools.items() if one.effect is Effect.READ}
    assert {one.split("_")[0] for one in reads} == {"list", "read"}
    assert {tools[name].effect for name in tools.keys() - reads} == {Effect.IRREVERSIBLE}


async def test_the_operators_plane_can_be_imported(world: World, tmp_path: Path) -> None:
    """A second real document: an agent that may look, with a credential it never holds."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
    world.settings["listen"] = {"agents": "127.0.0.1:0", "operators": f"127.0.0.1:{port}"}
    (tmp_path / "plane").mkdir()
    async with operators_port(tmp_path / "plane") as plane:
        api = operator_api(Access(plane.ports.operators, plane.store), operations_of(plane.ports))
        text = json.dumps(api.openapi())
    draft = imported(
        world, "ops", world.directory / "ops.json", text, base_url=f"http://127.0.0.1:{port}"
    )
    looks = {
        name: one | {"credential": lent_by(world, "oncall"), "returns": "trusted"}
        for name, one in yaml.safe_load(draft.read_text()).items()
        if one["effect"] == "read"
    }
    draft.write_text(json.dumps(looks))
    headers = {"Authorization": f"Bearer {world.agent_token}"}
    async with Gateway(world) as gateway:
        base = f"{gateway.agents}/http/ops"
        async with httpx.AsyncClient(base_url=base, headers=headers, trust_env=False) as http:
            told = [
                await http.get("/killswitch"),
                await http.get("/killswitch/7"),
                await http.post("/killswitch"),
                await http.get("/v1/sessions"),
            ]
        _, straight = await gateway.operate("GET", "/killswitch")
    assert [answer.status_code for answer in told] == [200, 404, 404, 200]
    assert told[0].json() == straight
    assert told[1].headers["content-type"] == "application/problem+json"
    assert [told[place].json()["code"] for place in (1, 2)] == ["no-such-kill", "unknown-tool"]
    assert {one["agent"] for one in told[3].json()["sessions"]} == {"tester"}


def lent_by(world: World, name: str) -> dict[str, Any]:
    """Let the gateway lend the operator's token; return the rule of a manifest that uses it."""
    key = world.directory / "key"
    key.touch(0o600)
    key.write_text(world.operator_token)
    static = {"prefix": "Bearer ", "secret": {"file": str(key)}}
    world.settings["credentials"] = {name: {"static": static}}
    return {"broker": name, "audience": "ops", "ceiling": ["look"]}
