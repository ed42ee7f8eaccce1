"""The rules for git, files and requests on calls that the real servers' schemas take.

GitHub's own server needs an account, so its calls in suites/git.yaml are by its documentation.
"""

import json
import subprocess
import sys
from collections.abc import AsyncIterator, Awaitable, Callable
from pathlib import Path
from typing import Any

import jsonschema_rs
import pytest

from proxy.pdp.base import DECISION_PATH, StagedBundle
from proxy.pdp.bundle import stage
from proxy.pdp.find_opa import find_opa
from proxy.pdp.managed_opa import ManagedOpa
from proxy.pdp.manifests import Catalogue, load_catalogue
from proxy.pdp.suite_input import decision_input
from proxy.pdp.suites import load_suites
from tests.harness.node import NotInstalled, mcp_server

POLICIES = Path(__file__).parents[3] / "policies"
DEADLINE_S = 30.0
Decide = Callable[..., Awaitable[tuple[str, set[str]]]]

HELLO: list[dict[str, Any]] = [
    {
        "id": 1,
        "method": "initialize",
        "params": {
            "protocolVersion": "2025-11-25",
            "capabilities": {},
            "clientInfo": {"name": "test", "version": "0"},
        },
    },
    {"method": "notifications/initialized"},
    {"id": 2, "method": "tools/list", "params": {}},
]
# Which argument of the real tool is what to the rule, and a value that it refuses.
GIT = {"revisions": "--output=x", "paths": ".git/hooks/x"}
PATHS = ("path", "paths", "source", "destination")
SECRET, PLAIN = "/srv/app/.ssh/id", "/srv/app/notes.md"


def offered(command: list[str], directory: Path) -> dict[str, dict[str, Any]]:
    """Return the input schema of every tool a server offers, by name."""
    with subprocess.Popen(
        command,
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=subprocess.DEVNULL,
        cwd=directory,
    ) as server:
        assert server.stdin is not None
        assert server.stdout is not None
        try:
            answer: dict[str, Any] = {}
            for message in HELLO:
                server.stdin.write(json.dumps({"jsonrpc": "2.0", **message}).encode() + b"\n")
                server.stdin.flush()
                if "id" in message:
                    answer = json.loads(server.stdout.readline())
        finally:
            server.kill()
    return {tool["name"]: tool["inputSchema"] for tool in answer["result"]["tools"]}


def started(name: str, directory: Path) -> dict[str, dict[str, Any]]:
    """Return the schemas of one of the servers; skip where it is not installed."""
    if name != "filesystem":
        return offered([sys.executable, "-m", f"mcp_server_{name}"], directory)
    try:
        return offered(mcp_server("filesystem", str(directory)), directory)
    except NotInstalled as missing:
        pytest.skip(str(missing))


def sample(schema: dict[str, Any], **given: str) -> dict[str, Any]:
    """Return the smallest arguments the schema takes, with those given, as text or as a list."""
    made: dict[str, Any] = {}
    for name, kind in schema["properties"].items():
        if name in given:
            made[name] = [given[name]] if kind.get("type") == "array" else given[name]
        elif name in schema.get("required", ()):
            made[name] = {"array": [], "string": "x", "object": {}}.get(kind.get("type"), 1)
    jsonschema_rs.validate(schema, made)
    return made


@pytest.fixture
def bundle(tmp_path: Path) -> StagedBundle:
    """The shipped policies, staged."""
    return stage(POLICIES, tmp_path / "private", find_opa().path)


@pytest.fixture
def catalogue(bundle: StagedBundle) -> Catalogue:
    """Their manifests."""
    return load_catalogue(bundle.directory)


@pytest.fixture
async def decide(bundle: StagedBundle, catalogue: Catalogue) -> AsyncIterator[Decide]:
    """Ask about a call to a tool with a manifest of its own; return verdict and reasons."""
    engine = ManagedOpa(find_opa().path)
    await engine.start(bundle)

    async def ask(manifest: dict[str, Any], arguments: dict[str, Any]) -> tuple[str, set[str]]:
        given: dict[str, Any] = {
            "name": "real",
            "role": "maintainer",
            "mode": "read_write",
            "tool": "repo/real",
        }
        given |= {"manifest": {"risk": 1, **manifest}, "arguments": arguments}
        urls = [value for value in arguments.values() if "://" in str(value)]
        asked = decision_input({**given, "urls": urls}, catalogue)
        body = json.dumps({"input": asked}).encode()
        decision = (await engine.query(DECISION_PATH, body, DEADLINE_S)).result
        return decision["verdict"], {reason["id"] for reason in decision["reasons"]}

    try:
        yield ask
    finally:
        await engine.stop()


def test_every_argument_the_repository_guards_is_one_of_its_server(
    catalogue: Catalogue, tmp_path: Path
) -> None:
    """And every argument that git would read as an option is guarded."""
    schemas = started("git", tmp_path)
    guards = {
        tool: manifest.document.get("guards", {}).get("git", {})
        for (server, tool), manifest in catalogue.tools.items()
        if server == "repo"
    }
    for tool, guard in guards.items():
        named = {name for names in guard.values() for name in names}
        assert named <= schemas[tool]["properties"].keys()
        risky = {"target", "revision", "branch_name", "base_branch", "files"}
        assert named == risky & schemas[tool]["properties"].keys()


async def test_options_reach_no_tool_of_git(
    decide: Decide, catalogue: Catalogue, tmp_path: Path
) -> None:
    """By the real schemas, with the shipped manifest's guards."""
    schemas = started("git", tmp_path)
    asked = 0
    for (server, tool), manifest in catalogue.tools.items():
        guard = manifest.document.get("guards", {}).get("git", {}) if server == "repo" else {}
        for part, names in guard.items():
            for name in names:
                for value, verdict in ((GIT[part], "deny"), ("topic", "allow")):
                    arguments = sample(schemas[tool], **{name: value})
                    given = {"effect": "write", "guards": {"git": {part: [name]}}}
                    assert (await decide(given, arguments))[0] == verdict
                    asked += 1
    assert asked == 12


async def test_secrets_reach_no_tool_of_the_file_server(decide: Decide, tmp_path: Path) -> None:
    """Every path argument of every tool it offers."""
    asked = 0
    for schema in started("filesystem", tmp_path).values():
        paths = [name for name in schema["properties"] if name in PATHS]
        for name in paths:
            guards = {"filesystem": {"paths": paths}}
            others = dict.fromkeys(paths, PLAIN)
            refused = await decide(
                {"effect": "read", "guards": guards}, sample(schema, **others | {name: SECRET})
            )
            allowed = await decide({"effect": "write", "guards": guards}, sample(schema, **others))
            assert refused == ("deny", {"file-sensitive"})
            assert allowed[0] == "allow"
            asked += 1
    assert asked >= 13


async def test_requests_of_the_fetch_server_go_where_they_may(
    decide: Decide, tmp_path: Path
) -> None:
    """By its own schema."""
    schema = started("fetch", tmp_path)["fetch"]
    manifest = {"effect": "read", "guards": {"http": {"url": "url"}}}
    listed = sample(schema, url="https://docs.python.org/3/")
    inside = sample(schema, url="http://169.254.169.254/latest/meta-data")
    assert (await decide(manifest, listed))[0] == "allow"
    assert await decide(manifest, inside) == (
        "deny",
        {"http-not-encrypted", "http-request-not-listed"},
    )


@pytest.mark.parametrize("suite", ["git", "filesystem", "http_egress"])
def test_the_arguments_of_the_suites_are_those_of_the_servers(
    catalogue: Catalogue, tmp_path: Path, suite: str
) -> None:
    """Of every tool a real server offers; a suite of made-up arguments would prove little."""
    schemas = started(suite.removesuffix("_egress").replace("http", "fetch"), tmp_path)
    cases = [case for case in load_suites(POLICIES, catalogue) if case.name.startswith(f"{suite}:")]
    known = [case for case in cases if case.tool.partition("/")[2] in schemas]
    made_up = {
        (case.tool, name)
        for case in known
        for name in case.decision["context"]["arguments"]
        if name not in schemas[case.tool.partition("/")[2]]["properties"]
    }
    assert len(known) >= 5
    assert made_up <= {("repo/fetch", "method")}
