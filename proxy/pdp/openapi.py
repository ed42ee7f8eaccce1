"""Manifest drafts of HTTP services, from their OpenAPI document.

No library reads the document: what is needed of it is small, local references are a few lines, and
a validator would refuse the many real documents that are slightly wrong. What comes out is checked
instead: each input schema compiles, and the whole draft loads as a manifest.
"""

import re
from collections.abc import Iterator

from proxy.model.route import Route, whole_numbers
from proxy.pdp.openapi_document import Document, LeftOut, Operation
from proxy.pdp.openapi_operation import Tool, tool_of
from proxy.pdp.yaml_text import comment, lines_of, word

MAX_TOOL_NAME_CHARS = 64

_UNSAFE = re.compile(r"[^A-Za-z0-9_.-]+")
_HEAD = """\
# Draft of tools/{server}/data.yaml, from an OpenAPI document. Everything here is a guess until a
# person has read it: what the document says of the service is a hint, its texts are not to be
# believed. Decide effect, risk, sinks, destinations and constraints of each tool, remove the tools
# no agent needs, then commit the file.
"""


def draft_openapi(server: str, content: bytes, name: str) -> str:
    """Return YAML for `tools/<server>/data.yaml`: one entry an operation, in the document's order.

    `name` is what the file is called in problems. Raises PolicyInvalid when it is no OpenAPI
    document of version 3.
    """
    document = Document.read(content, name)
    tools: dict[str, Tool] = {}
    left_out: list[str] = []
    for operation in document.operations():
        try:
            tool = tool_of(document, operation)
        except LeftOut as why:
            left_out.append(f"# Left out: {comment(f'{operation.method} {operation.path}: {why}')}")
        else:
            tools[_name(operation, tools)] = tool
    named_only = _named_only(tools)
    entries = ("\n".join(_entry(key, one, key in named_only)) for key, one in tools.items())
    parts = [_HEAD.format(server=server) + _about_base(document), *entries]
    return "\n\n".join([*parts, *(["\n".join(left_out)] if left_out else [])]) + "\n"


def _about_base(document: Document) -> str:
    """Say what base_url has to end with, when the document says so."""
    return "".join(
        f"# The document puts its paths below {comment(path)}: base_url has to end with that.\n"
        for path in document.base_paths()
    ).rstrip("\n")


def _name(operation: Operation, taken: dict[str, Tool]) -> str:
    """Return a tool name made of the operation's own id, or of method and path."""
    given = operation.about.get("operationId")
    own = given if isinstance(given, str) and _UNSAFE.sub("", given) else ""
    wanted = own or f"{operation.method.lower()}{operation.path}"
    plain = _UNSAFE.sub("_", wanted).strip("_")[:MAX_TOOL_NAME_CHARS] or operation.method.lower()
    name, number = plain, 2
    while name in taken:
        name, number = f"{plain}_{number}", number + 1
    return name


def _named_only(tools: dict[str, Tool]) -> set[str]:
    """Return the tools whose method and path could also mean an earlier one."""
    routes: list[Route] = []
    found: set[str] = set()
    for name, tool in tools.items():
        route = Route.of(tool.method, tool.path, whole_numbers(tool.input_schema()))
        if any(route.is_confused_with(other) for other in routes):
            found.add(name)
        else:
            routes.append(route)
    return found


def _entry(name: str, tool: Tool, is_named_only: bool) -> Iterator[str]:
    yield f"# {comment(f'{tool.method} {tool.path}')}"
    yield from (f"# Left out: {comment(part)}" for part in tool.left_out)
    yield f"{word(name)}:"
    yield from _effect(tool.method)
    yield "  recovery: opaque  # idempotency_key | probe | opaque"
    yield "  timeout: 20s"
    yield "  sinks: []  # arguments that leave the trust boundary"
    yield "  returns: untrusted"
    yield "  credential: {broker: none}"
    yield "  constraints: []"
    yield "  http:"
    yield f"    method: {tool.method}"
    yield f"    path: {word(tool.path)}"
    for place in ("query", "headers", "body"):
        if placed := tool.placed(place):
            yield f"    {place}: [{', '.join(map(word, placed))}]"
    if tool.names():
        yield from lines_of({"names": tool.names()}, 4)
    if is_named_only:
        yield "    route: false  # its path could also mean another tool: called by its name only"
    yield f"  description: {word(tool.description)}"
    yield from lines_of({"input_schema": tool.input_schema()}, 2)


def _effect(method: str) -> Iterator[str]:
    if method == "GET":
        yield "  effect: read  # by its method: review"
        yield "  risk: 1"
    elif method == "DELETE":
        yield "  effect: irreversible  # review: write, when it can be undone"
        yield "  risk: 20"
    else:
        yield "  effect: irreversible  # review: write, when it can be undone"
        yield "  risk: 10"
