"""What `detent check` looks at: each check is one finding, good or bad."""

import asyncio
import os
from collections.abc import Callable, Mapping, Sized
from dataclasses import dataclass
from typing import Literal

from proxy.app.build import TOOLS, Builder
from proxy.app.policies import CurrentCatalogue, PolicySource
from proxy.app.secrets import Secrets
from proxy.config import Settings
from proxy.errors import ConfigError, DetentError, UpstreamFailed
from proxy.model.ledger import Limits
from proxy.model.tool import ToolDefinition
from proxy.pdp.find_opa import find_opa
from proxy.pdp.manifests import Catalogue
from proxy.upstream.base import Upstream

NOTHING = Catalogue({}, Limits(0, 0, 1), {}, {}, {})

Level = Literal["ok", "warning", "error"]


@dataclass(frozen=True, slots=True)
class Finding:
    """One line of the report."""

    level: Level
    what: str
    message: str


async def examine(settings: Settings, environ: Mapping[str, str]) -> list[Finding]:
    """Check everything that can be checked without serving."""
    findings = _identities(settings)
    try:
        builder = Builder(
            settings, Secrets(settings, environ), find_opa(settings.policy.opa, TOOLS).path
        )
        source = PolicySource(settings.path(settings.policy.bundle), builder.opa)
        try:
            bundle, catalogue = source.stage()
        finally:
            source.cleanup()
        findings.append(Finding("ok", "policy", f"revision {bundle.revision}"))
        findings += _parts(builder)
        findings += await _servers(builder, catalogue)
    except DetentError as error:
        findings.append(Finding("error", "start", str(error)))
    return findings


def _builder(settings: Settings, environ: Mapping[str, str]) -> Builder:
    opa = find_opa(settings.policy.opa, TOOLS).path
    return Builder(settings, Secrets(settings, environ), opa)


def _identities(settings: Settings) -> list[Finding]:
    findings: list[Finding] = []
    if not settings.identity.agents:
        message = "no agents; add one with the hash of `detent token new agent`"
        findings.append(Finding("warning", "identity", message))
    if not any("kill" in one.roles for one in settings.identity.operators):
        message = "nobody may kill; add an operator with the hash of `detent token new operator`"
        findings.append(Finding("error", "identity", message))
    for name, server in settings.servers.items():
        if server.mcp and server.mcp.command and server.user is None:
            message = "runs under our own uid and could read our keys; set `user`"
            findings.append(Finding("warning", f"servers.{name}", message))
    if os.geteuid() == 0:
        findings.append(Finding("warning", "process", "runs as root; give Detent its own user"))
    return findings


def _parts(builder: Builder) -> list[Finding]:
    """Open secrets, keys, canaries and sinks."""
    findings: list[Finding] = []
    http = builder.alert_client()
    made: dict[str, Callable[[], Sized]] = {
        "credentials": builder.brokers,
        "canaries": builder.monitors,
        "alerts": lambda: builder.sinks(http),
    }
    for what, make in made.items():
        try:
            findings.append(Finding("ok", what, f"{len(make())} configured"))
        except ConfigError as error:
            findings += [Finding("error", what, problem) for problem in error.problems]
    return findings


async def _servers(builder: Builder, catalogue: Catalogue) -> list[Finding]:
    upstreams = builder.upstreams(CurrentCatalogue(catalogue), lambda: None)
    found = await asyncio.gather(
        *(_server(name, upstream, catalogue) for name, upstream in upstreams.items())
    )
    return [finding for findings in found for finding in findings]


async def _server(name: str, upstream: Upstream, catalogue: Catalogue) -> list[Finding]:
    try:
        await upstream.start()
        definitions = await upstream.definitions()
    except UpstreamFailed as error:
        return [Finding("error", f"servers.{name}", str(error))]
    finally:
        await upstream.stop()
    return _tools(name, definitions, catalogue)


def _tools(
    name: str, definitions: tuple[ToolDefinition, ...], catalogue: Catalogue
) -> list[Finding]:
    """Compare what a server offers with what was reviewed."""
    findings: list[Finding] = []
    for definition in definitions:
        manifest = catalogue.tools.get((name, definition.name))
        if manifest is None:
            message = "not in the manifest, so it does not exist; see `detent tools import`"
            findings.append(Finding("warning", f"{name}/{definition.name}", message))
        elif manifest.http is None and manifest.pin != definition.pin:
            message = "does not match its pin; review its definition"
            findings.append(Finding("error", f"{name}/{definition.name}", message))
    reviewed = sum((name, definition.name) in catalogue.tools for definition in definitions)
    return [Finding("ok", f"servers.{name}", f"{reviewed} tools reviewed"), *findings]


async def definitions_of(
    settings: Settings, environ: Mapping[str, str], name: str
) -> tuple[ToolDefinition, ...]:
    """Return the tools one server defines now. Raises ConfigError, UpstreamFailed."""
    if name not in settings.servers:
        known = ", ".join(settings.servers) or "none"
        raise ConfigError((f"servers.{name}: not configured; there are: {known}",))
    builder = Builder(
        settings, Secrets(settings, environ), find_opa(settings.policy.opa, TOOLS).path
    )
    catalogue = CurrentCatalogue(NOTHING)
    upstream = builder.upstream(name, catalogue, lambda: None)
    try:
        await upstream.start()
        return await upstream.definitions()
    finally:
        await upstream.stop()
