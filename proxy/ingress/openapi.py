"""OpenAPI 3.1 of our own planes: what a route takes and every answer it gives."""

from collections.abc import Iterable, Mapping
from http import HTTPStatus
from typing import Any

from fastapi import FastAPI

Schema = dict[str, Any]

JSON = "application/json"
TEXT: Schema = {"type": "string"}
NUMBER: Schema = {"type": "integer"}
FLAG: Schema = {"type": "boolean"}
TIME: Schema = {"type": "string", "format": "date-time"}
SHA256: Schema = {"type": "string", "pattern": "^([0-9a-f]{64})?$"}

# What the guard in front of every route, the token and the ledger may answer.
ANYWHERE = (400, 401, 403, 404, 405, 408, 411, 413, 414, 415, 421, 429, 431, 503)


def record(**members: Schema) -> Schema:
    """Return the schema of an object that has exactly these members."""
    return {
        "type": "object",
        "properties": members,
        "required": list(members),
        "additionalProperties": False,
    }


def taken(**members: Schema) -> Schema:
    """Return the schema of an object that a client sends: any of these members, no others."""
    return record(**members) | {"required": []}


def many(item: Schema) -> Schema:
    """Return the schema of a list."""
    return {"type": "array", "items": item}


def maybe(schema: Schema) -> Schema:
    """Return the schema of a value that may be null."""
    return {"anyOf": [schema, {"type": "null"}]}


def body(schema: Schema, *, required: bool = False) -> Schema:
    """Return a request body of JSON."""
    return {"required": required, "content": {JSON: {"schema": schema}}}


def query(**parameters: Schema) -> list[Schema]:
    """Return query parameters, none of them required."""
    return [{"name": name, "in": "query", "schema": one} for name, one in parameters.items()]


def in_path(**parameters: Schema) -> list[Schema]:
    """Return path parameters."""
    return [
        {"name": name, "in": "path", "required": True, "schema": one}
        for name, one in parameters.items()
    ]


def answers(
    status: int,
    schema: Schema | None,
    problems: Iterable[int] = (),
    media: str = "application/json",
) -> dict[str, Schema]:
    """Return the responses of an operation: the good one, its own problems, and those of any."""
    good: Schema = {"description": HTTPStatus(status).phrase}
    if schema is not None:
        good["content"] = {media: {"schema": schema}}
    return {str(code): _PROBLEM_ANSWER for code in sorted({*ANYWHERE, *problems})} | {
        str(status): good
    }


REASON = record(id=TEXT, message=TEXT)
PROBLEM: Schema = {
    "type": "object",
    "description": "RFC 9457; `code` is stable, `detail` is a sentence with the cure.",
    "properties": {
        "type": TEXT,
        "title": TEXT,
        "status": NUMBER,
        "code": TEXT,
        "detail": TEXT,
        "reasons": many(REASON),
    },
    "required": ["type", "title", "status", "code", "detail"],
}
_PROBLEM_ANSWER: Schema = {
    "description": "Refused.",
    "content": {"application/problem+json": {"schema": {"$ref": "#/components/schemas/Problem"}}},
}


_NOT_OURS = "Validation Error"  # FastAPI adds it to every route with a parameter


class DescribedApi(FastAPI):
    """FastAPI with a document that tells what is true: our problems, our token.

    `beside` are path items of what is served on the same port by plain ASGI. Documentation pages
    are off, the ports tell strangers nothing.
    """

    def __init__(self, title: str, beside: Mapping[str, Schema] | None = None) -> None:
        super().__init__(title=title, docs_url=None, redoc_url=None, openapi_url=None)
        self._beside = dict(beside or {})

    def openapi(self) -> Schema:
        """Return the document."""
        document = super().openapi()
        for operation in (one for item in document["paths"].values() for one in item.values()):
            if operation["responses"].get("422", {}).get("description") == _NOT_OURS:
                del operation["responses"]["422"]
        document["components"] = {
            "schemas": {"Problem": PROBLEM},
            "securitySchemes": {"token": {"type": "http", "scheme": "bearer"}},
        }
        document["security"] = [{"token": []}]
        document["paths"] |= self._beside
        return document
