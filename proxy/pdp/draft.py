"""Manifest drafts: pins and guesses on the careful side, for a person to review."""

import json
from collections.abc import Iterable, Iterator, Mapping
from typing import Any

from proxy.model.names import likenesses
from proxy.model.tool import ToolDefinition
from proxy.pdp.yaml_text import comment, word

_HEAD = """\
# Draft of tools/{server}/data.yaml. Everything here is a guess until a person has read it:
# what the server says about its tools is a hint, its texts are not to be believed.
# Decide effect, risk, sinks, destinations and constraints of each tool, then commit the file.
"""


def draft_manifest(server: str, definitions: Iterable[ToolDefinition]) -> str:
    """Return YAML for `tools/<server>/data.yaml`: one entry a tool, in the order of their names.

    A tool that is easily taken for another one of the list is told of, and has no entry.
    """
    entries = sorted(definitions, key=lambda definition: definition.name)
    others = _confusable([entry.name for entry in entries])
    drafted = (
        _refused(entry.name, others[entry.name]) if entry.name in others else _entry(entry)
        for entry in entries
    )
    return "\n".join([_HEAD.format(server=server), *drafted])


def _confusable(names: list[str]) -> dict[str, str]:
    """Return each name that looks like another one, and that one."""
    alike: dict[str, list[str]] = {}
    for name in names:
        for likeness in likenesses(name):
            alike.setdefault(likeness, []).append(name)
    groups = [group for group in alike.values() if len(group) > 1]
    return {name: next(one for one in group if one != name) for group in groups for name in group}


def _refused(name: str, other: str) -> str:
    told = f"{name} is left out: it is easily taken for {other}."
    return f"# {comment(told)}\n# When both are meant, write their entries yourself.\n"


def _entry(definition: ToolDefinition) -> str:
    raw = json.loads(definition.raw)
    lines = [
        f"# {comment(raw.get('description', 'no description'))}",
        f"{word(definition.name)}:",
        f"  pin: {definition.pin}",
        *_effect(raw.get("annotations")),
        "  recovery: opaque  # idempotency_key | probe | opaque",
        "  timeout: 20s",
        "  sinks: []  # arguments that leave the trust boundary",
        "  returns: untrusted",
        "  credential: {broker: none}",
        "  constraints: []",
        *_arguments(json.loads(definition.input_schema)),
    ]
    return "\n".join(lines) + "\n"


def _effect(annotations: Any) -> Iterator[str]:
    hinted = isinstance(annotations, Mapping) and annotations.get("readOnlyHint") is True
    if hinted:
        yield "  effect: read  # hint by the server: review"
        yield "  risk: 1"
    else:
        yield "  effect: irreversible  # review: write, when it can be undone"
        yield "  risk: 10"


def _arguments(schema: Any) -> Iterator[str]:
    properties = schema.get("properties") if isinstance(schema, dict) else None
    required = schema.get("required") if isinstance(schema, dict) else None
    for name, about in sorted(properties.items()) if isinstance(properties, dict) else ():
        kind = about.get("type", "any") if isinstance(about, dict) else "any"
        needed = "required" if isinstance(required, list) and name in required else "optional"
        yield f"  # argument {comment(name)}: {comment(kind)}, {needed}"
