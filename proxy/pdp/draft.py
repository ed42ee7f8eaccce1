"""Manifest drafts: pins and guesses on the careful side, for a person to review."""

import json
import re
import unicodedata
from collections.abc import Iterable, Iterator, Mapping
from typing import Any

from proxy.model.tool import ToolDefinition

MAX_COMMENT_CHARS = 160

_PLAIN_KEY = re.compile(r"[A-Za-z_][A-Za-z0-9_-]*")
_WORDS = frozenset({"true", "false", "null", "yes", "no", "on", "off", "y", "n"})
_HEAD = """\
# Draft of tools/{server}/data.yaml. Everything here is a guess until a person has read it:
# what the server says about its tools is a hint, its texts are not to be believed.
# Decide effect, risk, sinks, destinations and constraints of each tool, then commit the file.
"""


def draft_manifest(server: str, definitions: Iterable[ToolDefinition]) -> str:
    """Return YAML for `tools/<server>/data.yaml`: one entry a tool, in the order of their names."""
    entries = sorted(definitions, key=lambda definition: definition.name)
    return "\n".join([_HEAD.format(server=server), *(_entry(entry) for entry in entries)])


def _entry(definition: ToolDefinition) -> str:
    raw = json.loads(definition.raw)
    lines = [
        f"# {_comment(raw.get('description', 'no description'))}",
        f"{_key(definition.name)}:",
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
        yield f"  # argument {_comment(name)}: {_comment(kind)}, {needed}"


def _key(name: str) -> str:
    plain = _PLAIN_KEY.fullmatch(name) and name.lower() not in _WORDS
    return name if plain else json.dumps(name)


def _comment(text: Any) -> str:
    """Return one line that stays a comment: no control, bidi or invisible characters."""
    seen = "".join(
        " " if unicodedata.category(char)[0] in "CZ" else char
        for char in str(text)[: MAX_COMMENT_CHARS * 2]
    )
    return " ".join(seen.split())[:MAX_COMMENT_CHARS]
