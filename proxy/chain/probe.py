"""The recipe of a probe: what a read tool is asked, and what its answer says of a step."""

import json
import re
from collections.abc import Mapping, Sequence
from typing import Any

from proxy.chain.guarded import Found
from proxy.model.tool import Condition, Match, Probe

_INDEX = re.compile("0|[1-9][0-9]*")
_NOTHING = object()


def arguments_of(probe: Probe, arguments: bytes) -> dict[str, Any] | None:
    """Return what to ask with, None when the call had no argument that it needs.

    `arguments` is the canonical JSON of the call that is looked for.
    """
    document = json.loads(arguments)
    asked = {name: _at(document, pointer) for name, pointer in probe.arguments}
    return None if _NOTHING in asked.values() else asked


def verdict(probe: Probe, arguments: bytes, result: bytes, *, is_error: bool) -> Found:
    """Return what an answer says: done, absent, or nothing.

    An answer that the tool calls an error says only what `absent` was written for. Without that,
    an answer in which not everything expected is found means that the effect is not there.
    """
    document, call = json.loads(result), json.loads(arguments)
    if not is_error and _all_hold(probe.expect, document, call):
        return Found.DONE
    if probe.absent:
        return Found.ABSENT if _all_hold(probe.absent, document, call) else Found.SILENT
    return Found.SILENT if is_error else Found.ABSENT


def _all_hold(conditions: Sequence[Condition], document: Any, call: Any) -> bool:
    return all(_holds(one, document, call) for one in conditions)


def _holds(condition: Condition, document: Any, call: Any) -> bool:
    found = _at(document, condition.at)
    if condition.match is Match.EQUALS:
        return _same(found, json.loads(condition.value))
    wanted = _at(call, condition.value)
    if wanted is _NOTHING or found is _NOTHING:
        return False
    if condition.match is Match.ARGUMENT:
        return _same(found, wanted)
    return isinstance(found, str) and isinstance(wanted, str) and bool(wanted) and wanted in found


def _same(one: Any, other: Any) -> bool:
    """Compare as JSON does: true is not 1."""
    return one is not _NOTHING and json.dumps(one, sort_keys=True) == json.dumps(
        other, sort_keys=True
    )


def _at(document: Any, pointer: str) -> Any:
    """Return what a JSON pointer (RFC 6901) names."""
    found = document
    for token in pointer.split("/")[1:]:
        name = token.replace("~1", "/").replace("~0", "~")
        if isinstance(found, Mapping):
            found = found.get(name, _NOTHING)
        elif isinstance(found, list) and _INDEX.fullmatch(name) and int(name) < len(found):
            found = found[int(name)]
        else:
            return _NOTHING
    return found
