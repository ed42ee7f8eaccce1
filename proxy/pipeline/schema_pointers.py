"""Where a `$ref` of a schema leads, inside of the same document."""

from typing import Any
from urllib.parse import unquote


def pointed_at(root: Any, reference: Any) -> Any:
    """Return what a pointer in a URI fragment points to (RFC 6901, section 6).

    Raises LookupError, ValueError, TypeError when it leads nowhere, or to another document.
    """
    if not isinstance(reference, str) or not (reference + "/").startswith("#/"):
        raise LookupError("not a pointer into this schema")
    found = root
    for part in unquote(reference).split("/")[1:]:
        name = part.replace("~1", "/").replace("~0", "~")
        found = found[int(name)] if isinstance(found, list) else found[name]
    return found
