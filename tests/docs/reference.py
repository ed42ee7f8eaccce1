"""The reference pages, written from what the product itself says, by `make fmt`.

Settings come from the models that read `detent.yaml`, requests from the two OpenAPI documents.
"""

import sys
import types
from collections.abc import Iterator
from enum import Enum
from pathlib import Path
from typing import Any, Literal, Union, cast, get_args, get_origin

from pydantic import BeforeValidator
from pydantic.fields import FieldInfo

from proxy.config import Settings
from proxy.config.blocks import Block, seconds
from proxy.config.settings import Address
from proxy.ingress.agents import agents_api
from proxy.ingress.operator import OperatorPorts, operations_of, operator_api

PLACE = Path(__file__).parents[2] / "docs/reference"
HEADS = Path(__file__).parent / "heads"
NOBODY = cast("Any", None)
KINDS = {str: "text", int: "number", float: "number", bool: "`true`, `false`", Path: "path"}


def settings_page() -> str:
    """Return every key with what it takes, its default and its meaning."""
    told = (row for row in _rows(Settings, "") if row[0] != "`directory`")  # we set that one
    rows = [f"| {' | '.join(row)} |" for row in told]
    return "\n".join(
        [_head("settings.md"), "| key | takes | default | |", "|---|---|---|---|", *rows, ""]
    )


def _rows(block: type[Block], above: str) -> Iterator[tuple[str, str, str, str]]:
    for name, field in block.model_fields.items():
        key = f"{above}{name}"
        yield _row(key, field)
        below, inner = _block_of(field.annotation)
        if below is not None and below is not Address:
            yield from _rows(below, f"{key}{inner}.")


def _row(key: str, field: FieldInfo) -> tuple[str, str, str, str]:
    below, _ = _block_of(field.annotation)
    about = field.description or (_first(below.__doc__) if below and below is not Address else "")
    is_needed = " needed" if field.is_required() else ""
    default = "" if field.is_required() else _default(field)
    return f"`{key}`", f"{_takes(field)}{is_needed}", default, about


def _head(name: str) -> str:
    return (HEADS / name).read_text()


def _first(text: str | None) -> str:
    return (text or "").partition("\n")[0]


def _block_of(annotation: Any) -> tuple[type[Block] | None, str]:
    """Return the block a key holds, and what stands between its name and theirs."""
    if isinstance(annotation, type) and issubclass(annotation, Block):
        return annotation, ""
    origin, inner = get_origin(annotation), get_args(annotation)
    if origin is dict:
        return _block_of(inner[1])[0], ".<name>"
    if origin is tuple:
        return _block_of(inner[0])[0], "[]"
    found = (_block_of(one) for one in inner if one is not type(None))
    return next((one for one in found if one[0]), (None, ""))


def _takes(field: FieldInfo) -> str:
    durations = [one for one in field.metadata if isinstance(one, BeforeValidator)]
    if any(one.func is seconds for one in durations):
        return "duration"
    return _kind(field.annotation)


def _kind(annotation: Any) -> str:
    """Return what a value of this type is in YAML."""
    origin, inner = get_origin(annotation), get_args(annotation)
    if origin is None:
        return _kind_of_class(annotation)
    if origin is Literal:
        return ", ".join(f"`{one}`" for one in inner)
    kinds = dict.fromkeys(_kind(one) for one in inner if one not in (type(None), Ellipsis))
    if origin in (Union, types.UnionType):
        return " or ".join(kinds)
    if origin is dict:
        return f"{_kind(inner[1])} by name"
    return f"list of {', '.join(kinds)}" if origin is tuple else _kind(inner[0])


def _kind_of_class(annotation: Any) -> str:
    if annotation is Address:
        return "`host:port`"
    if not isinstance(annotation, type) or annotation in KINDS:
        return KINDS.get(annotation, "")
    if issubclass(annotation, Enum):
        return ", ".join(f"`{one.value}`" for one in annotation)
    return "block" if issubclass(annotation, Block) else ""


def _default(field: FieldInfo) -> str:
    value = field.get_default(call_default_factory=True)
    if isinstance(value, Address):
        return f"`{value.host}:{value.port}`"
    if value is None or isinstance(value, Block) or value in ((), {}, "", Path()):
        return ""
    if isinstance(value, bool):
        return f"`{str(value).lower()}`"
    if isinstance(value, tuple):
        return f"`[{', '.join(map(str, value))}]`"
    text = f"{value:g}s" if _takes(field) == "duration" else str(value)
    return f"`{text}`"


def http_page() -> str:
    """Return every request of both ports: who may, what it is, what it takes and answers."""
    ports = OperatorPorts(NOBODY, NOBODY, NOBODY, NOBODY, {}, NOBODY)
    operations = operations_of(ports)
    roles = {(one.method, one.path): ", ".join(sorted(one.roles)) for one in operations}
    agents = agents_api(NOBODY, dict).openapi()
    operators = operator_api(NOBODY, operations).openapi()
    every = _everywhere(agents, operators)
    lines = [_head("requests.md").replace("EVERY", ", ".join(sorted(every)))]
    lines += ["## The agents' port", *_table(agents, {}, every)]
    return "\n".join([*lines, "", "## The operators' port", *_table(operators, roles, every), ""])


def _everywhere(*documents: dict[str, Any]) -> frozenset[str]:
    """Return the statuses that every request may get."""
    items = (item for document in documents for item in document["paths"].values())
    found = (frozenset(operation["responses"]) for item in items for operation in item.values())
    return frozenset.intersection(*found)


def _table(
    document: dict[str, Any], roles: dict[tuple[str, str], str], every: frozenset[str]
) -> Iterator[str]:
    head = ("request", *(("role",) if roles else ()), "", "takes", "answers")
    yield ""
    yield f"| {' | '.join(head)} |"
    yield f"|{'---|' * len(head)}"
    for path, item in document["paths"].items():
        for method, operation in item.items():
            role = (roles[method.upper(), path],) if roles else ()
            told = operation.get("description") or operation["summary"]
            cells = (f"`{method.upper()} {path}`", *role, _first(told), *_shapes(operation, every))
            yield f"| {' | '.join(cells)} |"


def _shapes(operation: dict[str, Any], every: frozenset[str]) -> tuple[str, str]:
    """Return the members of a request and of its good answers, then its own other statuses."""
    asked = [f"`?{one['name']}`" for one in operation.get("parameters", ()) if one["in"] == "query"]
    asked += _members(operation.get("requestBody", {}), optional="?")
    good, bad = [], []
    for status, answer in sorted(operation["responses"].items()):
        if status.startswith("2"):
            good.append(f"{status} {', '.join(_members(answer))}".strip())
        elif status not in every:
            bad.append(status)
    return ", ".join(asked), "; ".join([*good, *([", ".join(bad)] if bad else ())])


def _members(holder: dict[str, Any], optional: str = "") -> list[str]:
    schema = holder.get("content", {}).get("application/json", {}).get("schema", {})
    needed = schema.get("required", ())
    names = schema.get("properties", {})
    return [f"`{name}`{'' if name in needed else optional}" for name in names]


PAGES = {"settings.md": settings_page, "requests.md": http_page}


def main() -> None:
    """Write every page."""
    PLACE.mkdir(exist_ok=True)
    for name, page in PAGES.items():
        (PLACE / name).write_text(page())
        sys.stdout.write(f"docs/reference/{name}\n")


if __name__ == "__main__":
    main()
