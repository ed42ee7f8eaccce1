"""An OpenAPI document (3.0 to 3.2): its operations, and what its references stand for.

References lead to other places of the same document only: nothing is ever fetched.
"""

import json
import re
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any
from urllib.parse import unquote, urlsplit

from proxy.errors import PolicyInvalid
from proxy.pdp.strict_yaml import load_foreign

MAX_BYTES = 32 * 1024 * 1024
MAX_REFERENCES = 16

METHODS = ("get", "put", "post", "delete", "patch")
OTHER_METHODS = ("head", "options", "trace", "query")

_VERSION = re.compile(r"3\.([012])(\..*)?")


class LeftOut(Exception):
    """A part that cannot be imported; the text says why, in words of ours."""


@dataclass(frozen=True, slots=True)
class Operation:
    """One method of one path, with the members of the path item that hold for it."""

    method: str
    path: str
    item: dict[str, Any]
    about: dict[str, Any]


class Document:
    """A parsed document. Raises PolicyInvalid when it is not one of these versions."""

    def __init__(self, root: Any, name: str) -> None:
        if not isinstance(root, dict) or not isinstance(root.get("paths"), dict):
            problem = "no OpenAPI document with `paths`. Cure: name the file of the description"
            raise PolicyInvalid(f"{name}:1: {problem}")
        version = _VERSION.fullmatch(str(root.get("openapi", "")))
        if version is None:
            problem = "not OpenAPI 3.0, 3.1 or 3.2. Cure: convert it (Swagger 2.0 has converters)"
            raise PolicyInvalid(f"{name}:1: {problem}")
        self._root = root
        self.is_3_0 = version[1] == "0"

    @classmethod
    def read(cls, content: bytes, name: str) -> "Document":
        """Parse JSON or YAML. Raises PolicyInvalid, which names `name` as the file."""
        if len(content) > MAX_BYTES:
            problem = f"more than {MAX_BYTES} bytes. Cure: cut out the paths that agents need"
            raise PolicyInvalid(f"{name}:1: {problem}")
        try:
            return cls(json.loads(content), name)
        except (ValueError, RecursionError):
            return cls(load_foreign(content, name), name)

    def operations(self) -> Iterator[Operation]:
        """Yield every operation, those of other methods too, in the order of the document."""
        for path, given in self._root["paths"].items():
            item = self._item(given)
            for method in (*METHODS, *OTHER_METHODS):
                about = item.get(method)
                if isinstance(about, dict):
                    yield Operation(method.upper(), str(path), item, about)

    def base_paths(self) -> list[str]:
        """Return the paths of the document's servers, which its own paths begin after."""
        servers = self._root.get("servers")
        urls = [one.get("url") for one in servers or () if isinstance(one, dict)]
        paths = {urlsplit(url).path.rstrip("/") for url in urls if isinstance(url, str)}
        return sorted(path for path in paths if path)

    def resolve(self, value: Any) -> dict[str, Any]:
        """Return an object, or the one a chain of references leads to. Raises LeftOut."""
        for _ in range(MAX_REFERENCES):
            if not isinstance(value, dict):
                raise LeftOut("a part of it is no object")
            reference = value.get("$ref")
            if reference is None:
                return value
            value = self.at(reference)
        raise LeftOut("its references go too far")

    def at(self, reference: Any) -> Any:
        """Return what a local reference names (RFC 6901 section 6). Raises LeftOut."""
        if not isinstance(reference, str) or not reference.startswith("#/"):
            raise LeftOut("it refers to another document")
        found: Any = self._root
        for token in reference[2:].split("/"):
            name = unquote(token).replace("~1", "/").replace("~0", "~")
            if isinstance(found, list) and name.isdecimal() and int(name) < len(found):
                found = found[int(name)]
            elif isinstance(found, dict) and name in found:
                found = found[name]
            else:
                raise LeftOut("it refers to what is not there")
        return found

    def _item(self, given: Any) -> dict[str, Any]:
        try:
            return self.resolve(given)
        except LeftOut:
            return {}
