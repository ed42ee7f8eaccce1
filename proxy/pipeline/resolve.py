"""Stage 4: tool in the manifest, definition as pinned, arguments as in its schema."""

import json
import logging
from collections.abc import Collection, Mapping

import jsonschema_rs
from pydantic_core import from_json

from proxy.errors import Refused
from proxy.model.call import TOOLS_CALL, Door
from proxy.model.step import Step
from proxy.model.tool import ToolDefinition, ToolManifest
from proxy.monitors.integrity import Irregularity, irregularities
from proxy.pipeline.closed import Validators, validators_of
from proxy.pipeline.methods import definition_of, is_method
from proxy.upstream.registry import Registry

log = logging.getLogger(__name__)

SETTLED_S = 2.0
NO_BROKER = "none"


class Resolver:
    """Knows the reviewed manifests and compares them with what servers say now.

    `lenders` are the brokers there are; a tool that needs another cannot be called by anybody.
    """

    def __init__(
        self,
        manifests: Mapping[tuple[str, str], ToolManifest],
        registry: Registry,
        lenders: Collection[str],
    ) -> None:
        self._manifests = manifests
        self._registry = registry
        self._lenders = frozenset({NO_BROKER, *lenders})
        self._validators: dict[bytes, Validators] = {}

    def replace(self, manifests: Mapping[tuple[str, str], ToolManifest]) -> None:
        """Take the manifests of a new bundle."""
        self._manifests = manifests
        self._validators.clear()

    def __call__(self, step: Step) -> Step:
        """Return the step with manifest and definition.

        Raises Refused: unknown-tool, tool-quarantined, credential-refused, arguments-invalid.
        """
        key = (step.call.server, step.call.tool)
        manifest = self._manifests.get(key)
        definition = self._definition(manifest) if manifest else None
        if manifest is None or definition is None:
            raise Refused.because("unknown-tool")
        if manifest.hooks and step.call.door is not Door.HOOKS:
            raise Refused.because("unknown-tool")
        validators = self._fitting(definition) if _is_pinned(manifest, definition) else None
        if validators is None:
            raise Refused.because("tool-quarantined")
        if manifest.credential.broker not in self._lenders:
            raise Refused.because("credential-refused")
        try:
            arguments = from_json(step.call.arguments)
            for validator in validators:
                validator.validate(arguments)
        except jsonschema_rs.ValidationError as error:
            raise Refused.because("arguments-invalid", _where(error, definition)) from None
        return step.fuller(manifest=manifest, definition=definition)

    async def fresh(self, server: str) -> None:
        """Wait while a server's list of tools is known to be out of date.

        Raises Refused: tool-quarantined, when it changes faster than it can be read.
        """
        if await self.unsettled(server):
            raise Refused.because("tool-quarantined", "The server's list of tools is changing.")

    async def unsettled(self, server: str | None) -> frozenset[str]:
        """Return the servers, of one or of all, whose tools are not known even after a wait."""
        return await self._registry.unsettled(server, SETTLED_S)

    @property
    def manifests(self) -> Mapping[tuple[str, str], ToolManifest]:
        """The manifests in force; a new bundle brings another mapping."""
        return self._manifests

    def offered(self, server: str | None) -> frozenset[tuple[str, str]]:
        """Return server and method of every entry that is carried, of one server or of all."""
        return frozenset(
            (name, entry if is_method(entry) else TOOLS_CALL)
            for (name, entry), manifest in self._manifests.items()
            if server in (None, name) and not manifest.hooks
        )

    def input_schema(self, server: str, tool: str) -> bytes | None:
        """Return the pinned schema of a tool's arguments, None when it cannot be called."""
        manifest = self._manifests.get((server, tool))
        definition = self._definition(manifest) if manifest else None
        if manifest is None or manifest.hooks or definition is None:
            return None
        return definition.input_schema if _is_pinned(manifest, definition) else None

    def healthy(self) -> list[tuple[ToolManifest, ToolDefinition]]:
        """Return the tools that can be called now, sorted by name."""
        pairs = (
            (manifest, self._registry.definition(*key))
            for key, manifest in sorted(self._manifests.items(), key=lambda item: item[0])
            if not manifest.hooks and manifest.credential.broker in self._lenders
        )
        return [
            (manifest, definition)
            for manifest, definition in pairs
            if definition is not None
            and _is_pinned(manifest, definition)
            and self._fitting(definition) is not None
        ]

    def drifted(self) -> list[str]:
        """Return `server/tool` of every tool whose definition no longer matches its pin."""
        pairs = (
            (manifest, self._registry.definition(*key)) for key, manifest in self._manifests.items()
        )
        return sorted(
            manifest.resource_id
            for manifest, definition in pairs
            if definition is not None and not _is_pinned(manifest, definition)
        )

    def irregularities(self) -> tuple[Irregularity, ...]:
        """Return everything that is wrong with what servers offer, drift included."""
        return irregularities(self._manifests, self.drifted(), self._registry.listed())

    def _definition(self, manifest: ToolManifest) -> ToolDefinition | None:
        known = definition_of(manifest)
        return known or self._registry.definition(manifest.server, manifest.tool)

    def _fitting(self, definition: ToolDefinition) -> Validators | None:
        known = self._validators.get(definition.input_schema)
        if known is not None:
            return known
        try:
            validators = validators_of(json.loads(definition.input_schema))
        except (ValueError, RecursionError, jsonschema_rs.ReferencingError) as error:
            log.error("schema refused: %s", type(error).__name__, extra={"tool": definition.name})
            return None
        self._validators[definition.input_schema] = validators
        return validators


def _is_pinned(manifest: ToolManifest, definition: ToolDefinition) -> bool:
    """Whether a tool is as it was reviewed; what the manifest itself defines needs no pin."""
    if manifest.http is not None or manifest.hooks or is_method(manifest.tool):
        return True
    return manifest.pin == definition.pin


def _where(error: jsonschema_rs.ValidationError, definition: ToolDefinition) -> str:
    """Say which argument is wrong and which keyword refused it; nothing the agent wrote."""
    named = json.loads(definition.input_schema).get("properties", {})
    first = error.instance_path[0] if error.instance_path else None
    place = first if first in named else "the arguments"
    keyword = str(error.schema_path[-1]) if error.schema_path else "schema"
    return f"The arguments do not fit the tool's schema at {place}: {keyword}."
