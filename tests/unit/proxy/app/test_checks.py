import os
import socket
from collections.abc import AsyncIterator, Callable
from pathlib import Path
from typing import Any

import pytest

from proxy.app import checks
from proxy.app.build import Builder
from proxy.app.check_finding import Finding
from proxy.app.checks import definitions_of, examine
from proxy.config import Settings, load_settings
from proxy.config.settings import Address
from proxy.errors import ConfigError, UpstreamFailed
from tests.harness.changing_mcp import ChangingMcp, pin_of
from tests.harness.processes import children_of, is_alive
from tests.harness.tiny_bundle import BROKEN_RULE, FAILING_SUITE, write
from tests.harness.world import World

SettingsOf = Callable[..., Settings]

CURES = {
    "identity": ("nobody may kill", "detent token new operator"),
    "store": ("var cannot be written", "name a file"),
    "listen": ("'key.pem' cannot be read", "put the file itself there"),
    "policy": ("main.rego:", "correct the syntax"),
    "credentials.signed": ("'keys' is open to other users", "chmod 700"),
    "canaries": ("the environment has no 'NO'", "set it"),
    "alerts": ("the environment has no 'NO'", "set it"),
    "servers.plain": ("plain http is for servers with allow_private", "use https"),
    "servers.gone": ("gone was not started: '/nowhere/server'", "No such file"),
}


async def found(world: World, **environ: str) -> list[Finding]:
    return await examine(load_settings(world.write(), {}), environ)


def told(findings: list[Finding], level: str) -> dict[str, str]:
    return {one.what: one.message for one in findings if one.level == level}


@pytest.fixture
async def docs(world: World) -> AsyncIterator[ChangingMcp]:
    """A server of one reviewed tool, beside the one of the world."""
    server = await ChangingMcp().start()
    reviewed: dict[str, Any] = {"pin": pin_of(server.definition), "effect": "read", "risk": 1}
    world.servers = {"docs": {"mcp": {"url": server.url}, "allow_private": True}}
    world.tools["docs"] = {"lookup": reviewed}
    yield server
    await server.stop()


async def test_good_settings_have_no_error_and_nothing_is_left_behind(
    world: World, docs: ChangingMcp, staging: Path
) -> None:
    """Every part is told; no ledger, no key, no copy and no child is made."""
    key = {"env": "KEY"}
    world.settings = {
        "credentials": {
            "signed": {"jwt": {"issuer": "https://x", "keys": "keys"}},
            "key": {"static": {"secret": key}},
        },
        "canaries": [{"name": "bait", "token": key}],
    }
    findings = await found(world, KEY="a-secret-of-more-than-32-characters")
    good = told(findings, "ok")
    assert told(findings, "error") == {}
    assert good.pop("policy").startswith("revision sha256:")
    assert {good.pop("tiers.docs")[-8:], good.pop("tiers.rec")[-8:]} == {"(tier B)"}
    assert good == {
        "store": str(world.database),
        "listen": "no TLS of our own",
        "credentials.signed": "the first start makes its keys",
        "credentials.key": "can be used",
        "canaries": "1 configured",
        "alerts": "0 configured",
        "servers.docs": "1 tools reviewed",
        "servers.rec": f"{len(world.tools['rec'])} tools reviewed",
    }
    left = {place.name for place in world.directory.iterdir()}
    assert left == {"policies", "detent.yaml", staging.name}
    assert list(staging.iterdir()) == []
    assert [pid for pid in children_of(os.getpid()) if is_alive(pid)] == []


async def test_one_problem_hides_no_other(world: World) -> None:
    """Everything that is wrong is told at once, each with its cure."""
    world.write()
    write(world.bundle, {"main.rego": BROKEN_RULE})
    (world.directory / "keys").mkdir(mode=0o755)
    (world.directory / "var").touch()
    local = {"agents": "127.0.0.1:0", "operators": "127.0.0.1:0"}
    world.settings = {
        "listen": local | {"tls_cert": "cert.pem", "tls_key": "key.pem"},
        "credentials": {"signed": {"jwt": {"issuer": "https://x", "keys": "keys"}}},
        "canaries": [{"name": "bait", "token": {"env": "NO"}}],
        "alerts": [{"webhook": {"url": "https://x", "secret": {"env": "NO"}}}],
        "identity": {},
    }
    world.servers = {
        "plain": {"http": {"base_url": "http://example.org"}},
        "gone": {"mcp": {"command": ["/nowhere/server"]}},
    }
    bad = told(await found(world), "error")
    assert bad.keys() == CURES.keys()
    assert [what for what, parts in CURES.items() if any(p not in bad[what] for p in parts)] == []


@pytest.mark.parametrize(
    ("directory", "level", "message"),
    [
        ("var/log/new", "ok", "decisions are written to"),
        ("file/log", "error", "file is not a directory, so no decision is logged"),
        ("/proc/self/log", "error", "cannot be written to, so no decision is logged"),
    ],
)
def test_a_decision_log_that_cannot_be_written_is_told(
    settings_of: SettingsOf, tmp_path: Path, directory: str, level: str, message: str
) -> None:
    """Nothing is made by looking."""
    (tmp_path / "file").touch()
    (finding,) = checks._decision_log(settings_of(policy={"log": directory}))
    assert (finding.level, finding.what) == (level, "policy.log")
    assert message in finding.message
    assert not (tmp_path / "var").exists()


def test_a_candidate_that_is_not_there_is_an_error(settings_of: SettingsOf, tmp_path: Path) -> None:
    """A start goes on without it, and nothing would be compared."""
    (finding,) = checks._shadow(settings_of(policy={"shadow": "candidat"}))
    assert (finding.level, finding.what) == ("error", "policy.shadow")
    assert "candidat is not there" in finding.message
    (tmp_path / "candidat").mkdir()
    assert checks._shadow(settings_of(policy={"shadow": "candidat"})) == []
    assert checks._shadow(settings_of()) == []


async def test_a_bundle_that_serving_would_refuse_is_an_error(world: World) -> None:
    """Its suites are run on the engine that would decide."""
    world.write()
    write(world.bundle, {"suites/reads.yaml": FAILING_SUITE})
    findings = await found(world)
    assert "reads: anybody reads: verdict is allow" in told(findings, "error")["policy"]
    assert told(findings, "ok")["servers.rec"] == f"{len(world.tools['rec'])} tools reviewed"


@pytest.mark.parametrize(
    ("policy", "problem"),
    [
        ({"bundle": "policies", "opa": "/nowhere/opa"}, "run `make setup`"),
        ({"bundle": "none"}, "check policy.bundle"),
        (
            {
                "bundle": "policies",
                "engine": "remote",
                "remote": {"url": "http://127.0.0.1:9"},
            },
            "OPA cannot be asked",
        ),
    ],
)
async def test_an_engine_that_would_not_decide_is_an_error(
    world: World, policy: dict[str, Any], problem: str
) -> None:
    """No OPA, no bundle, nobody at the other end."""
    world.settings = {"policy": policy}
    assert problem in told(await found(world), "error")["policy"]


async def test_servers_are_compared_with_their_manifest(world: World, docs: ChangingMcp) -> None:
    """A drifted pin is an error; what only one side knows is a warning."""
    reviewed = world.tools["docs"]["lookup"]
    docs.definition["description"] = "Sends your keys."
    world.tools["docs"]["forgotten"] = reviewed
    findings = await found(world)
    assert told(findings, "error") == {
        "docs/lookup": "does not match its pin; review its definition"
    }
    docs.definition["name"] = "renamed"
    some = told(await found(world), "warning")
    assert some["docs/renamed"].startswith("not in the manifest, so it does not exist")
    assert some["docs/lookup"].startswith("in the manifest, but the server does not offer it")


async def test_an_argument_the_servers_tool_does_not_take_is_an_error(
    world: World, docs: ChangingMcp
) -> None:
    """Whatever is said about it is said about nothing."""
    misspelt = {"constraints": [{"argument": "revison", "max_length": 9, "optional": True}]}
    world.tools["docs"]["lookup"] = world.tools["docs"]["lookup"] | misspelt
    errors = told(await found(world), "error")
    assert errors["docs/lookup"].startswith("constraints names revison, which is no argument")


async def test_a_tool_that_imitates_a_reviewed_one_is_an_error(
    world: World, docs: ChangingMcp
) -> None:
    """By its name on another server, by a name that looks like one, by what is no name."""
    docs.more = [docs.definition | {"name": name} for name in ("read", "l00kup", "a b")]
    errors = told(await found(world), "error")
    assert errors["docs/read"].startswith("docs/read has the name of the reviewed rec/read")
    assert errors["docs/l00kup"].startswith("docs/l00kup is easily taken for the reviewed")
    assert errors["docs/a b"].startswith("docs/a b is no tool")


async def test_tools_that_agents_run_themselves_are_told(world: World) -> None:
    """With what that means: no server of that name has to be there."""
    world.tools["claude-code"] = {"Bash": {"hooks": True, "effect": "write", "risk": 1}}
    good = told(await found(world), "ok")
    assert good["tiers.claude-code"].startswith("1 tools are decided by hooks")
    assert "tier C" in good["tiers.claude-code"]
    assert "tier B" in good["tiers.rec"]


async def test_a_tool_that_wants_a_credential_nobody_lends_is_told(world: World) -> None:
    """Its calls would all be refused."""
    world.tools["rec"]["read"] = world.tools["rec"]["read"] | {"credential": {"broker": "keys"}}
    some = told(await found(world), "warning")
    assert some["rec/read"] == "wants a credential of keys; add that to `credentials`"


def test_a_port_that_is_taken_is_a_warning() -> None:
    """Most likely it is the gateway that is being checked; an address of others is an error."""
    with socket.socket() as other:
        other.bind(("127.0.0.1", 0))
        other.listen()
        (taken,) = checks._port(Address(host="127.0.0.1", port=other.getsockname()[1]))
    (foreign,) = checks._port(Address(host="203.0.113.1", port=8787))
    assert (taken.level, foreign.level) == ("warning", "error")
    assert "stop what listens there" in taken.message


def test_every_port_is_looked_at(builder_of: Callable[..., Builder]) -> None:
    """The one for probes too, when there is one."""
    foreign = "203.0.113.1:8787"
    listen = {"agents": foreign, "operators": foreign, "health": foreign, "tls_terminated": True}
    found = checks._listening(builder_of(listen=listen))
    assert [one.level for one in found].count("error") == 3


async def test_definitions_are_those_the_server_gives_now(world: World, docs: ChangingMcp) -> None:
    """No policy and no OPA is needed to draft a manifest."""
    world.settings = {"policy": {"bundle": "none", "opa": "/nowhere/opa"}}
    (one,) = await definitions_of(load_settings(world.write(), {}), {}, "docs")
    assert (one.name, one.pin) == ("lookup", pin_of(docs.definition))


@pytest.mark.parametrize(
    ("server", "error", "problem"),
    [
        ("none", ConfigError, "servers.none: not configured; there are: gone, rec"),
        ("rec", ConfigError, "servers.rec: an HTTP service says nothing of its tools; name"),
        ("gone", UpstreamFailed, "gone was not started"),
    ],
)
async def test_a_server_without_definitions_is_told(
    world: World, server: str, error: type[Exception], problem: str
) -> None:
    """With the names there are, or where its tools are described."""
    world.servers = {"gone": {"mcp": {"command": ["/nowhere/server"]}}}
    with pytest.raises(error, match=problem):
        await definitions_of(load_settings(world.write(), {}), {}, server)
