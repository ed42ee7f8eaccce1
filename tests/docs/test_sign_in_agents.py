"""The how-to page on issuers: its settings load, its answers are those that come."""

import json
import re
import shlex
from pathlib import Path

import aiohttp
import yaml
from httpx2 import Response
from mcp.client.auth.utils import (
    build_protected_resource_metadata_discovery_urls,
    extract_resource_metadata_from_www_auth,
)
from mcp.shared.auth import ProtectedResourceMetadata

import credentials
from proxy.config import load_settings
from proxy.config.identity import Claims
from tests.harness.fixtures import recorder, world
from tests.harness.gateway import Gateway
from tests.harness.issuer import Issuer
from tests.harness.recorder import Recorder
from tests.harness.trusting import issuer
from tests.harness.world import World

__all__ = ["issuer", "recorder", "world"]

ROOT = Path(credentials.__file__).parents[1]
PAGE = (ROOT / "docs/how-to/sign-in-agents.md").read_text()


def blocks(language: str) -> list[str]:
    return re.findall(rf"^```{language}\n(.*?)^```$", PAGE, re.MULTILINE | re.DOTALL)


def as_on_the_page(world: World, issuer: Issuer) -> None:
    """Set the world up as the first block says; only the keys are fetched from here."""
    shown = yaml.safe_load(blocks("yaml")[0])
    (entry,) = shown["identity"]["issuers"]
    issuer.name = entry["issuer"]
    entry |= {"jwks_uri": issuer.jwks_uri, "allow_private": True}
    entry["subjects"][0]["roles"] = ["tester"]
    listen = {"agents": "127.0.0.1:0", "operators": "127.0.0.1:0"} | shown["listen"]
    world.settings = {"listen": listen, "identity": world._identity() | shown["identity"]}


def token_of(issuer: Issuer) -> str:
    return issuer.token(sub="3f1c-nightly", aud="https://detent.acme.example/mcp")


async def test_the_agent_of_the_page_calls_with_its_token(
    world: World, issuer: Issuer, recorder: Recorder
) -> None:
    """The line for curl, and who the audit log says it was."""
    as_on_the_page(world, issuer)
    words = shlex.split(blocks("sh")[0].replace("\\\n", " "))
    async with Gateway(world) as gateway:
        path, body = words[1].removeprefix("$DETENT"), words[words.index("-d") + 1]
        status, answer = await gateway.ask("POST", path, body.encode(), token=token_of(issuer))
        assert (status, answer["outcome"]) == (200, "done")
        _, log = await gateway.operate("GET", "/v1/decisions")
    assert (log["decisions"][0]["tenant"], log["decisions"][0]["agent"]) == ("acme", "nightly-loop")
    assert len(recorder.received) == 1


async def test_an_mcp_client_finds_the_way(world: World, issuer: Issuer) -> None:
    """By the functions of the official SDK; the answers are the ones on the page."""
    as_on_the_page(world, issuer)
    async with Gateway(world) as gateway, aiohttp.ClientSession() as http:
        async with http.post(gateway.agents + "/mcp", json={}) as refused:
            challenge = refused.headers["WWW-Authenticate"]
        found = extract_resource_metadata_from_www_auth(
            Response(401, headers={"WWW-Authenticate": challenge})
        )
        server = "https://detent.acme.example/mcp"
        tried = build_protected_resource_metadata_discovery_urls(None, server)
        assert found == tried[0]
        assert f"WWW-Authenticate: {challenge}" in blocks("http")[0]
        local = found.replace("https://detent.acme.example", gateway.agents)
        async with http.get(local) as answer:
            document = await answer.json()
    assert document == json.loads(blocks("json")[0])
    assert str(ProtectedResourceMetadata.model_validate(document).resource) == server


def test_every_block_of_settings_loads(tmp_path: Path) -> None:
    """As it stands."""
    file = tmp_path / "detent.yaml"
    for block in blocks("yaml"):
        file.write_text(block)
        assert load_settings(file, {}).identity.issuers


def test_the_table_lists_every_code_there_is() -> None:
    """No code is missing from the page, and none is invented there."""
    sources = (ROOT / name for name in ("credentials/agent_token.py", "proxy/pipeline/identify.py"))
    text = "".join(source.read_text() for source in sources)
    raised = set(re.findall(r'TokenRefused\("([a-z-]+)"\)', text))
    assert (
        set(
            re.findall(
                r"^\| `([a-z-]+)` \| (?:is|has|was|brings|names|lives|begins)", PAGE, re.MULTILINE
            )
        )
        == raised
    )


def test_the_table_of_claims_lists_every_setting() -> None:
    """No more and no fewer than the settings know."""
    named = re.findall(r"^\| (`[a-z_]+`(?:, `[a-z_]+`)*) \|", PAGE, re.MULTILINE)
    assert {name for cell in named for name in re.findall("`([a-z_]+)`", cell)} >= set(
        Claims.model_fields
    )
