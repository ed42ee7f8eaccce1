"""YAML as OPA reads it: the core schema of YAML 1.2, one document, every key once, no references.

Only what JSON can hold comes out, so that a policy sees exactly what was reviewed.
"""

import re
from collections.abc import Callable
from typing import Any

import yaml

from proxy.errors import PolicyInvalid

MAX_DEPTH = 64
MAX_FOREIGN_DEPTH = 200

_STARTS = (yaml.MappingStartEvent, yaml.SequenceStartEvent)
_ENDS = (yaml.MappingEndEvent, yaml.SequenceEndEvent)


class _Refused(yaml.YAMLError):
    """YAML that is not for us; the text has line, problem and cure."""


class _Core(yaml.SafeLoader):
    """YAML 1.2 core schema: `yes`, `on`, `1:30`, `0o7` and dates are text."""


def _mapping(loader: _Core, node: yaml.MappingNode) -> dict[str, Any]:
    block: dict[str, Any] = {}
    for key_node, value_node in node.value:
        line = key_node.start_mark.line + 1
        key = loader.construct_object(key_node, deep=True)
        if not isinstance(key, str):
            raise _Refused(f"{line}: a key that is no text. Cure: put it in quotes")
        if key == "<<":
            raise _Refused(f"{line}: a merge of blocks. Cure: write them out")
        if key in block:
            raise _Refused(f"{line}: {key} stands twice. Cure: keep one")
        block[key] = loader.construct_object(value_node, deep=True)
    return block


def _scalar(read: Callable[[str], Any]) -> Callable[[_Core, yaml.ScalarNode], Any]:
    return lambda loader, node: read(str(loader.construct_scalar(node)))


_FORMS: dict[str, tuple[str, list[str], Callable[[str], Any]]] = {
    "null": (r"~|null|Null|NULL|", ["~", "n", "N", ""], lambda _: None),
    "bool": (
        r"true|True|TRUE|false|False|FALSE",
        list("tTfF"),
        lambda text: text.lower() == "true",
    ),
    "int": (r"[-+]?(0|[1-9][0-9]{0,14})", list("-+0123456789"), int),
    "float": (
        r"[-+]?((\.[0-9]+|[0-9]+\.[0-9]*)([eE][-+]?[0-9]{1,2})?|[0-9]+[eE][-+]?[0-9]{1,2})",
        list("-+.0123456789"),
        float,
    ),
}
# What OPA reads as a number all the same, underscores aside: `0100` is 64 to it, `0x1F` is 31.
_NUMBER_TO_OPA = re.compile(
    r"[-+]?(0[xX][0-9a-fA-F]+|0[oO][0-7]+|0[bB][-+]?[01]+|\.(inf|Inf|INF)"
    r"|(\.[0-9]+|[0-9]+(\.[0-9]*)?)([eE][-+]?[0-9]+)?)|\.(nan|NaN|NAN)"
)


def _text(loader: _Core, node: yaml.ScalarNode) -> str:
    text = str(loader.construct_scalar(node))
    if node.style is None and _NUMBER_TO_OPA.fullmatch(text.replace("_", "")):
        cure = "write it in decimal digits, at most 15, or put it in quotes"
        raise _Refused(f"{node.start_mark.line + 1}: {text} can be read in two ways. Cure: {cure}")
    return text


_Core.yaml_implicit_resolvers = {}
_Core.add_constructor("tag:yaml.org,2002:str", _text)
for _name, (_form, _first, _read) in _FORMS.items():
    _tag = f"tag:yaml.org,2002:{_name}"
    _Core.add_implicit_resolver(_tag, re.compile(rf"(?:{_form})\Z"), _first)
    _Core.add_constructor(_tag, _scalar(_read))
_Core.add_constructor("tag:yaml.org,2002:map", _mapping)

# The parser in C, where it was built: descriptions of services run to megabytes.
_Fast: Any = getattr(yaml, "CSafeLoader", yaml.SafeLoader)


class _Foreign(_Fast):  # type: ignore[misc]  # chosen at run time
    """The scalars of the core schema in YAML that is not ours."""


def _foreign_mapping(loader: Any, node: yaml.MappingNode) -> dict[str, Any]:
    loader.flatten_mapping(node)
    return {str(key.value): loader.construct_object(value, deep=True) for key, value in node.value}


_Foreign.yaml_implicit_resolvers = dict(_Core.yaml_implicit_resolvers)
_Foreign.add_implicit_resolver("tag:yaml.org,2002:merge", re.compile(r"<<\Z"), ["<"])
for _name, (_form, _first, _read) in _FORMS.items():
    _Foreign.add_constructor(f"tag:yaml.org,2002:{_name}", _scalar(_read))
_Foreign.add_constructor("tag:yaml.org,2002:map", _foreign_mapping)


def load(content: bytes, name: str) -> Any:
    """Return the document. Raises PolicyInvalid, which names `name` as the file, line and cure."""
    try:
        text = content.decode()
        _check_events(text)
        return yaml.load(text, Loader=_Core)  # noqa: S506 a SafeLoader, made stricter
    except _Refused as error:
        raise PolicyInvalid(f"{name}:{error}") from None
    except (yaml.YAMLError, ValueError) as error:
        mark = getattr(error, "problem_mark", None)
        line = mark.line + 1 if mark else 1
        raise PolicyInvalid(
            f"{name}:{line}: not YAML. Cure: check indentation and quotes"
        ) from None


def lines_of_items(content: bytes, path: tuple[str, ...]) -> list[int]:
    """Return the line of every item of a list below those keys, in what `load` has taken."""
    node: Any = yaml.compose(content.decode(), Loader=_Core)
    for key in path:
        node = next(value for name, value in node.value if name.value == key)
    return [item.start_mark.line + 1 for item in node.value]


def load_foreign(content: bytes, name: str) -> Any:
    """Return a document that others wrote, such as a description of their service.

    The same scalars; but references are followed, keys are the text they are written as (`200:`),
    and of a key that stands twice the last one holds. Raises PolicyInvalid as `load` does.
    """
    try:
        text = content.decode()
        _check_depth(text)
        return yaml.load(text, Loader=_Foreign)  # noqa: S506 a SafeLoader
    except (yaml.YAMLError, ValueError) as error:
        mark = getattr(error, "problem_mark", None)
        line = mark.line + 1 if mark else 1
        raise PolicyInvalid(f"{name}:{line}: not YAML or JSON. Cure: check the file") from None


def _check_depth(text: str) -> None:
    """Refuse depths at which the parser in C runs out of its stack."""
    depth = 0
    for event in yaml.parse(text, Loader=_Fast):
        depth += isinstance(event, _STARTS) - isinstance(event, _ENDS)
        if depth > MAX_FOREIGN_DEPTH:
            raise _Refused("too deep")


def _check_events(text: str) -> None:
    """Refuse references, tags and depths that other readers may take differently."""
    depth = 0
    for event in yaml.parse(text, Loader=yaml.SafeLoader):
        line = event.start_mark.line + 1 if event.start_mark else 1
        depth += isinstance(event, _STARTS) - isinstance(event, _ENDS)
        if isinstance(event, yaml.AliasEvent):
            raise _Refused(f"{line}: a reference to another place. Cure: write it out")
        if getattr(event, "tag", None) is not None:
            raise _Refused(f"{line}: a tag. Cure: remove it, or put the text in quotes")
        if depth > MAX_DEPTH:
            raise _Refused(f"{line}: more than {MAX_DEPTH} levels deep. Cure: flatten it")
