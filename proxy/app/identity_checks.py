"""What `detent check` looks at in identities: who may call and kill, issuers, our own user."""

import os
import pwd
from collections.abc import Callable, Iterable, Mapping
from pathlib import Path
from typing import Any

from credentials.key_cache import KeyCache, KeysUnavailable
from proxy.app.build import Builder
from proxy.app.check_finding import Finding
from proxy.app.identity import refuse_shared_audiences
from proxy.config import Settings
from proxy.config.identity import Issuer, TokenIssuer
from proxy.errors import ConfigError
from proxy.pdp.strict_yaml import load

ALLOWING = "roles/data.yaml"
ROLES: Mapping[str, Callable[[dict[str, Any]], Iterable[str]]] = {
    ALLOWING: lambda data: data,
    "attended/data.yaml": lambda data: data.get("roles", ()),
}


def identities(settings: Settings) -> list[Finding]:
    """Tell when nobody may call, or nobody kill."""
    findings: list[Finding] = []
    if not settings.identity.agents and not settings.identity.issuers:
        message = "no agents; add one with the hash of `detent token new agent`"
        findings.append(Finding("warning", "identity", message))
    if not any("kill" in one.roles for one in settings.identity.operators):
        message = "nobody may kill; add an operator with the hash of `detent token new operator`"
        findings.append(Finding("error", "identity", message))
    return findings


def unknown_roles(settings: Settings, policies: Path) -> list[Finding]:
    """Tell of roles that the policies do not know: most likely they are misspelt."""
    known = {name for file, names in ROLES.items() for name in names(_data(policies / file))}
    if not (policies / ALLOWING).exists():
        return []
    identity = settings.identity
    given = [(one.name, one.roles) for one in identity.agents]
    for issuer in identity.issuers:
        given += [(one.name, one.roles) for one in issuer.subjects]
        given += [(issuer.issuer, issuer.claims.roles)] if issuer.claims else []
    return [
        Finding("warning", "identity", f"{who} has the role {role}, which no policy knows")
        for who, roles in given
        for role in roles
        if role not in known
    ]


def _data(file: Path) -> dict[str, Any]:
    data: Any = load(file.read_bytes(), file.name) if file.exists() else {}
    return data if isinstance(data, dict) else {}


async def issuers(builder: Builder) -> list[Finding]:
    """Fetch the keys of each issuer; a start does without, and refuses its tokens meanwhile."""
    settings = builder.settings
    found = [
        await _issuer(builder, one)
        for one in (*settings.identity.issuers, *settings.attach.issuers)
    ]
    try:
        refuse_shared_audiences(settings)
    except ConfigError as error:
        what = "attach.issuers"
        found.append(Finding("error", what, str(error).removeprefix(f"{what}: ")))
    return found


async def _issuer(builder: Builder, issuer: TokenIssuer) -> Finding:
    block = "identity" if isinstance(issuer, Issuer) else "attach"
    what = f"{block}.issuers: {issuer.issuer}"
    nobody = ""  # looking for nobody's key fetches and reads the set
    try:
        client = builder.key_set(issuer)
        try:
            await KeyCache(client.fetch).find(nobody, "ES256")
        finally:
            await client.close()
    except ConfigError as error:
        return Finding("error", what, str(error).removeprefix(f"{what}: "))
    except KeysUnavailable as problem:
        return Finding("warning", what, f"its keys cannot be had: {problem}; check jwks_uri")
    return Finding("ok", what, "its keys can be had")


def users(settings: Settings) -> list[Finding]:
    """Agents, tools and Detent belong under different uids."""
    message = "runs under our own uid and could read our keys; set `user`"
    findings = [
        Finding("warning", f"servers.{name}", message)
        for name, server in settings.servers.items()
        if server.mcp and server.mcp.command and _is_us(server.user)
    ]
    if os.geteuid() == 0:
        findings.append(Finding("warning", "process", "runs as root; give Detent its own user"))
    return findings


def _is_us(user: str | None) -> bool:
    try:
        return user is None or pwd.getpwnam(user).pw_uid == os.geteuid()
    except KeyError:  # starting the server tells
        return False
