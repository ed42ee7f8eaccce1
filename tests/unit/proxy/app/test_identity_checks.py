"""What `detent check` says of agents, operators, issuers and users."""

import os
import pwd
from collections.abc import AsyncIterator, Callable
from pathlib import Path
from typing import Any

import pytest

from proxy.app.build import Builder
from proxy.app.check_finding import Finding
from proxy.app.checks import examine
from proxy.app.identity_checks import identities, issuers, unknown_roles, users
from proxy.config import Settings, load_settings
from tests.harness.issuer import Issuer
from tests.harness.world import World

SettingsOf = Callable[..., Settings]
WHAT = "identity.issuers: https://idp.example"


@pytest.fixture
async def issuer() -> AsyncIterator[Issuer]:
    """An issuer that is up."""
    issuer = await Issuer().start()
    yield issuer
    await issuer.stop()


async def found(world: World, issuer: Issuer, **changes: Any) -> Finding:
    """Return what is found of the issuer, and nothing of agents that are missing."""
    entry = {
        "issuer": issuer.name,
        "audience": "detent",
        "jwks_uri": issuer.jwks_uri,
        "allow_private": True,
        "claims": {"agent": "sub", "tenants": ["acme"]},
    }
    operator = {"name": "oncall", "roles": ["kill"], "tenants": ["*"], "token_sha256": "0" * 64}
    world.settings = {
        "listen": {"agents": "127.0.0.1:0", "public_url": "https://detent.acme"},
        "identity": {"issuers": [entry | changes], "operators": [operator]},
    }
    findings = await examine(load_settings(world.write(), {}), {})
    assert [one for one in findings if one.what == "identity"] == []
    (one,) = (finding for finding in findings if finding.what == WHAT)
    return one


async def test_keys_that_can_be_had_are_fine(world: World, issuer: Issuer) -> None:
    """Agents need no static entry then."""
    assert await found(world, issuer) == Finding("ok", WHAT, "its keys can be had")


@pytest.mark.parametrize("body", [b"<html>", b"{}"])
async def test_keys_that_cannot_be_had_are_a_warning(
    world: World, issuer: Issuer, body: bytes
) -> None:
    """A start does without them; its tokens are refused meanwhile."""
    issuer.document = body
    finding = await found(world, issuer)
    assert (finding.level, finding.what) == ("warning", WHAT)
    assert finding.message.startswith("its keys cannot be had: what it gives is not")


async def test_an_address_that_is_not_admitted_is_an_error(world: World, issuer: Issuer) -> None:
    """A start would refuse it."""
    finding = await found(world, issuer, allow_private=False)
    assert (finding.level, finding.message[:9]) == ("error", "jwks_uri:")
    assert "use https" in finding.message


async def test_issuers_of_sidecars_are_looked_at_too(
    builder_of: Callable[..., Builder], issuer: Issuer
) -> None:
    """Their keys, and that no token can be an agent's and a sidecar's."""
    entry = {"issuer": issuer.name, "jwks_uri": issuer.jwks_uri, "allow_private": True}
    sidecar = {"sub": "pod", "name": "pod", "agents": ["acme/tester"]}
    agents = entry | {"audience": "detent", "claims": {"agent": "sub", "tenants": ["acme"]}}
    blocks: dict[str, Any] = {
        "listen": {"public_url": "https://detent.acme"},
        "identity": {"issuers": [agents]},
        "attach": {"issuers": [entry | {"subjects": [sidecar]}]},
    }
    fine = await issuers(builder_of(**blocks))
    assert [(one.level, one.what.partition(":")[0]) for one in fine] == [
        ("ok", "identity.issuers"),
        ("ok", "attach.issuers"),
    ]
    blocks["attach"]["issuers"][0]["audience"] = "detent"
    *_, wrong = await issuers(builder_of(**blocks))
    assert (wrong.level, wrong.what) == ("error", "attach.issuers")
    assert wrong.message.startswith("an audience of agents' tokens")


def told(findings: list[Finding], level: str) -> dict[str, str]:
    return {one.what: one.message for one in findings if one.level == level}


@pytest.mark.parametrize(
    ("identity", "level", "problem"),
    [
        ({}, "error", "nobody may kill"),
        ({}, "warning", "no agents"),
        ({"operators": [{"roles": ["view"]}]}, "error", "nobody may kill"),
        ({"operators": [{"roles": ["kill"]}], "agents": [{}]}, "ok", ""),
    ],
)
def test_somebody_has_to_be_able_to_kill(
    settings_of: SettingsOf, identity: dict[str, Any], level: str, problem: str
) -> None:
    """A gateway without agents is only idle."""
    entry = {"name": "one", "tenant": "acme", "tenants": ["*"], "token_sha256": "a" * 64}
    needed = {"operators": ("name", "tenants", "token_sha256")}
    given = {
        kind: [{k: entry[k] for k in needed.get(kind, ("name", "tenant", "token_sha256"))} | more]
        for kind, (more,) in identity.items()
    }
    for operator in given.get("operators", []):
        operator["token_sha256"] = "b" * 64
    findings = identities(settings_of(identity=given))
    assert told(findings, level).get("identity", "").startswith(problem)
    assert level != "ok" or findings == []


@pytest.mark.parametrize(
    ("user", "is_warned"),
    [
        (None, True),
        (pwd.getpwuid(os.geteuid()).pw_name, True),
        ("nobody", False),
        ("none-9", False),
    ],
)
def test_a_command_under_our_own_uid_is_warned_of(
    settings_of: SettingsOf, monkeypatch: pytest.MonkeyPatch, user: str | None, is_warned: bool
) -> None:
    """It could read our keys; one that does not exist is told when it is started."""
    servers: dict[str, Any] = {"x": {"mcp": {"command": ["a"]}, "user": user}}
    servers["far"] = {"mcp": {"url": "https://example.org"}}
    some = told(users(settings_of(servers=servers)), "warning")
    assert ("servers.x" in some) is is_warned
    assert "servers.far" not in some
    monkeypatch.setattr(os, "geteuid", lambda: 0)
    assert "process" in told(users(settings_of()), "warning")
    monkeypatch.setattr(os, "geteuid", lambda: 1000)
    assert users(settings_of()) == []


def test_a_role_that_no_policy_knows_is_told(settings_of: SettingsOf, tmp_path: Path) -> None:
    """It is most likely misspelt, and allows nothing; wherever roles are given."""
    agent = {"name": "loop", "tenant": "acme", "token_sha256": "0" * 64}
    keys = {"issuer": "https://idp", "audience": "d", "jwks_uri": "https://idp/keys"}
    subject = {"sub": "s", "name": "pod", "tenant": "acme", "roles": ["raeder"]}
    claims = {"agent": "sub", "tenants": ["acme"], "roles": ["coder", "codr"]}
    identity = {
        "agents": [agent | {"roles": ["coder", "attended", "maintainr"]}],
        "issuers": [
            keys | {"subjects": [subject]},
            keys | {"issuer": "https://other", "claims": claims},
        ],
    }
    settings = settings_of(identity=identity, listen={"public_url": "https://detent.acme"})
    assert unknown_roles(settings, tmp_path) == []
    for file, text in {"roles": "coder: {tools: []}", "attended": "roles: [attended]"}.items():
        (tmp_path / file).mkdir()
        (tmp_path / file / "data.yaml").write_text(text)
    assert [finding.message for finding in unknown_roles(settings, tmp_path)] == [
        "loop has the role maintainr, which no policy knows",
        "pod has the role raeder, which no policy knows",
        "https://other has the role codr, which no policy knows",
    ]
