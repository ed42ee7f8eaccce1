"""What `detent check` looks at: each check is one finding, good or bad.

Nothing is made that a later start would need under another user: no ledger, no keys.
"""

import asyncio
import contextlib
import errno
import json
import os
from collections.abc import Callable, Iterator, Mapping
from functools import partial

from proxy.app.build import Builder
from proxy.app.check_finding import Finding
from proxy.app.delivered import source_of
from proxy.app.identity_checks import identities, issuers, unknown_roles, users
from proxy.app.ledger_warnings import ledger_warnings
from proxy.app.ledgers import usable
from proxy.app.open_files import room_for
from proxy.app.policies import CurrentCatalogue
from proxy.app.secrets import Secrets
from proxy.app.servers import bind
from proxy.app.tiers import summary
from proxy.config import Settings
from proxy.config.settings import Address
from proxy.errors import ConfigError, DetentError
from proxy.model.ledger import Limits
from proxy.model.tool import ToolDefinition, ToolManifest
from proxy.monitors.integrity import irregularities
from proxy.pdp.manifest_problems import unknown_arguments
from proxy.pdp.manifests import Catalogue

NOTHING = Catalogue({}, Limits(0, 0, 1), {}, {}, {})


async def examine(settings: Settings, environ: Mapping[str, str]) -> list[Finding]:
    """Check everything that can be checked without serving; one problem hides no other."""
    builder = Builder(settings, Secrets(settings, environ))
    policy, catalogue = await _policy(builder)
    return [
        *identities(settings),
        *await issuers(builder),
        *users(settings),
        *await _store(builder),
        *_listening(builder),
        *policy,
        *_decision_log(settings),
        *_shadow(settings),
        *_adapters(builder),
        *await _servers(builder, catalogue),
        *_tiers(builder.settings, catalogue),
    ]


async def _store(builder: Builder) -> list[Finding]:
    try:
        usable_as = await usable(builder.settings, builder.secrets)
        warned = await ledger_warnings(builder.settings, builder.secrets)
    except DetentError as error:
        return [Finding("error", "store", str(error).removeprefix("store: "))]
    warnings = [Finding("warning", "store", message) for message in warned]
    return [Finding("ok", "store", usable_as), *warnings]


def _listening(builder: Builder) -> list[Finding]:
    listen = builder.settings.listen
    tls = _look("listen", lambda: "TLS files fit" if builder.secrets.tls() else "no TLS of our own")
    ports = [one for one in (listen.agents, listen.operators, listen.health) if one is not None]
    taken = [finding for one in ports for finding in _port(one)]
    return [*tls, *_room(listen.max_connections), *taken]


def _room(connections: int) -> list[Finding]:
    room = room_for(connections)
    if room == connections:
        return []
    cure = "raise the limit of open files (ulimit -n) or lower listen.max_connections"
    return [Finding("warning", "listen", f"only {room} connections will be held; {cure}")]


def _port(address: Address) -> list[Finding]:
    try:
        bind(address).close()
    except ConfigError as error:
        cause = error.__cause__
        # Most likely the gateway that these settings are for.
        is_taken = isinstance(cause, OSError) and cause.errno == errno.EADDRINUSE
        return [Finding("warning" if is_taken else "error", "listen", str(error))]
    return []


async def _policy(builder: Builder) -> tuple[list[Finding], Catalogue | None]:
    """Do what a start does: stage, check, start the engine, run the suites."""
    catalogue = None
    async with contextlib.AsyncExitStack() as undo:
        try:
            source = await source_of(builder.settings, builder.secrets, builder.opa, undo)
            bundle, catalogue = await asyncio.to_thread(source.stage)
            engine = builder.engine(source.probe)
            await engine.start(bundle)
            undo.push_async_callback(engine.stop)
        except DetentError as error:
            return [Finding("error", "policy", str(error))], catalogue
        unknown = unknown_roles(builder.settings, bundle.directory)
    return [Finding("ok", "policy", f"revision {bundle.revision}"), *unknown], catalogue


def _decision_log(settings: Settings) -> list[Finding]:
    """Look whether there is, or can be made, a directory to write to."""
    if settings.policy.log is None:
        return []
    wanted = settings.path(settings.policy.log.directory)
    nearest = next(place for place in (wanted, *wanted.parents) if place.exists())
    if nearest.is_dir() and os.access(nearest, os.W_OK | os.X_OK):
        return [Finding("ok", "policy.log", f"decisions are written to {wanted}")]
    problem = "cannot be written to" if nearest.is_dir() else "is not a directory"
    message = f"{nearest} {problem}, so no decision is logged; name a directory of Detent's own"
    return [Finding("error", "policy.log", message)]


def _shadow(settings: Settings) -> list[Finding]:
    """Look whether the candidate is there; whether it can be asked shows when it is."""
    wanted = settings.policy.shadow
    if wanted is None or settings.path(wanted).exists():
        return []
    message = f"{settings.path(wanted)} is not there; put the candidate there, or remove the key"
    return [Finding("error", "policy.shadow", message)]


def _adapters(builder: Builder) -> list[Finding]:
    """Open secrets, keys, canaries and sinks."""
    settings = builder.settings
    http = builder.alert_client()
    looks: dict[str, Callable[[], str]] = {
        **{f"credentials.{name}": partial(_broker, builder, name) for name in settings.credentials},
        "canaries": lambda: f"{len(builder.monitors()) and len(settings.canaries)} configured",
        "alerts": lambda: f"{len(builder.sinks(http))} configured",
    }
    return [finding for what, look in looks.items() for finding in _look(what, look)]


def _broker(builder: Builder, name: str) -> str:
    jwt = builder.settings.credentials[name].jwt
    if jwt is not None and not builder.settings.path(jwt.keys).exists():
        return "the first start makes its keys"
    builder.broker(name)
    return "can be used"


def _look(what: str, look: Callable[[], str]) -> list[Finding]:
    try:
        return [Finding("ok", what, look())]
    except ConfigError as error:
        return [Finding("error", what, one.removeprefix(f"{what}: ")) for one in error.problems]


async def _servers(builder: Builder, catalogue: Catalogue | None) -> list[Finding]:
    found = await asyncio.gather(
        *(_server(builder, name, catalogue) for name in builder.settings.servers)
    )
    return [finding for findings in found for finding in findings]


async def _server(builder: Builder, name: str, catalogue: Catalogue | None) -> list[Finding]:
    reviewed = CurrentCatalogue(catalogue or NOTHING)
    try:
        definitions = await _defined(builder, name, reviewed)
    except DetentError as error:
        what = f"servers.{name}"
        return [Finding("error", what, str(error).removeprefix(f"{what}: "))]
    if catalogue is None:  # without manifests there is nothing to compare with
        return [Finding("ok", f"servers.{name}", f"{len(definitions)} tools")]
    return [*_tools(name, definitions, reviewed), *_lenders(builder.settings, name, reviewed)]


def _tiers(settings: Settings, catalogue: Catalogue | None) -> list[Finding]:
    """Tell what a kill promises, server by server."""
    tools = catalogue.tools.values() if catalogue else ()
    return [Finding("ok", f"tiers.{name}", message) for name, message in summary(tools, settings)]


def _tools(
    name: str, definitions: tuple[ToolDefinition, ...], reviewed: CurrentCatalogue
) -> list[Finding]:
    """Compare what a server offers with what was reviewed."""
    manifests = {manifest.tool: manifest for manifest in reviewed.of_server(name)}
    offered = {one.name: one for one in definitions if not one.problem}
    wrong = irregularities(reviewed.tools, (), {name: definitions})
    count = len(manifests.keys() & offered.keys())
    findings = [Finding("ok", f"servers.{name}", f"{count} tools reviewed")]
    findings += [Finding("error", one.tool, one.message) for one in wrong]
    told = {one.tool.partition("/")[2] for one in wrong}
    for tool in sorted(offered.keys() - manifests.keys() - told):
        message = "not in the manifest, so it does not exist; see `detent tools import`"
        findings.append(Finding("warning", f"{name}/{tool}", message))
    for tool in sorted(manifests.keys() - told):
        manifest = manifests[tool]
        if tool not in offered:
            message = "in the manifest, but the server does not offer it; remove it there"
            findings.append(Finding("warning", f"{name}/{tool}", message))
        elif manifest.http is None and manifest.pin != offered[tool].pin:
            message = "does not match its pin; review its definition"
            findings.append(Finding("error", f"{name}/{tool}", message))
        else:
            findings += _misspelt(manifest, offered[tool])
    return findings


def _misspelt(manifest: ToolManifest, offered: ToolDefinition) -> Iterator[Finding]:
    """Find arguments a manifest speaks of that the server's tool does not take."""
    for key, argument in unknown_arguments(manifest.document, json.loads(offered.input_schema)):
        message = f"{key} names {argument}, which is no argument of this tool; correct its name"
        yield Finding("error", manifest.resource_id, message)


def _lenders(settings: Settings, name: str, reviewed: CurrentCatalogue) -> list[Finding]:
    """Find tools that want a credential nobody lends."""
    known = {"none", *settings.credentials}
    return [
        Finding(
            "warning",
            manifest.resource_id,
            f"wants a credential of {manifest.credential.broker}; add that to `credentials`",
        )
        for manifest in reviewed.of_server(name)
        if manifest.credential.broker not in known
    ]


async def _defined(
    builder: Builder, name: str, reviewed: CurrentCatalogue
) -> tuple[ToolDefinition, ...]:
    """Return the tools a server defines now. Raises ConfigError, UpstreamFailed."""
    upstream = builder.upstream(name, reviewed, lambda: None)
    try:
        await upstream.start()
        return await upstream.definitions()
    finally:
        await upstream.stop()


async def definitions_of(
    settings: Settings, environ: Mapping[str, str], name: str
) -> tuple[ToolDefinition, ...]:
    """Return the tools one MCP server defines now. Raises ConfigError, UpstreamFailed."""
    server = settings.servers.get(name)
    if server is None:
        known = ", ".join(settings.servers) or "none"
        raise ConfigError((f"servers.{name}: not configured; there are: {known}",))
    if server.http is not None:
        cure = (
            "name its OpenAPI file in `http.openapi`, or describe its requests in "
            "tools/<server>/data.yaml, see policies/README.md"
        )
        raise ConfigError((f"servers.{name}: an HTTP service says nothing of its tools; {cure}",))
    found = await _defined(
        Builder(settings, Secrets(settings, environ)), name, CurrentCatalogue(NOTHING)
    )
    return tuple(one for one in found if not one.problem)
