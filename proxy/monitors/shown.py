"""The texts of a document that a reader is shown one after the other.

MCP: the text items of a result's content, of prompts and of resources, the message of progress and
of an error, the data of a log message. What is split over several of them is whole again in a row.
"""

from collections.abc import Iterator
from typing import Any

from jiter import from_json

_LISTS = ("content", "contents", "messages")


def shown_texts(document: bytes) -> tuple[str, ...]:
    """Return the texts in order; none when the document is no JSON object."""
    try:
        members = from_json(document)
    except ValueError:
        return ()
    return tuple(_shown(members)) if isinstance(members, dict) else ()


def _shown(members: dict[str, Any]) -> Iterator[str]:
    if isinstance(members.get("message"), str):
        yield members["message"]
    yield from strings_in(members.get("data"))
    for name in _LISTS:
        for item in members[name] if isinstance(members.get(name), list) else ():
            yield from _item_texts(item)


def _item_texts(item: Any) -> Iterator[str]:
    """Yield the text of an item, of the resource it embeds, of the message it is."""
    if not isinstance(item, dict):
        return
    if isinstance(item.get("text"), str):
        yield item["text"]
    yield from _item_texts(item.get("resource"))
    content = item.get("content")
    for inner in content if isinstance(content, list) else (content,):
        yield from _item_texts(inner)


def strings_in(value: Any) -> Iterator[str]:
    """Yield every string of a JSON value in order, keys aside."""
    if isinstance(value, str):
        yield value
    elif isinstance(value, dict | list):
        for inner in value.values() if isinstance(value, dict) else value:
            yield from strings_in(inner)
