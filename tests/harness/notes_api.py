"""A REST service as people write them with FastAPI, and as it describes itself."""

import asyncio
import socket
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from typing import Annotated, Literal

import uvicorn
from fastapi import FastAPI, Header, HTTPException, Query, Response, UploadFile
from fastapi.responses import PlainTextResponse
from pydantic import BaseModel, Field

from proxy.app.servers import QuietServer

PNG = b"\x89PNG\r\n\x1a\n\x00\xff"


class Place(BaseModel):
    """Where it was written."""

    latitude: float
    longitude: float


class Note(BaseModel):
    """What a client writes."""

    title: str = Field(min_length=1, max_length=80)
    tags: list[str] = []
    place: Place | None = None
    weight: float = 1.0


class Stored(Note):
    """A note with its id and version."""

    id: int
    version: int = 1


@dataclass
class Notes:
    """The service: its application and what it holds. `seen` are the headers of each request."""

    api: FastAPI = field(default_factory=lambda: FastAPI(title="notes", version="1.0"))
    stored: dict[int, Stored] = field(default_factory=dict)
    seen: list[set[str]] = field(default_factory=list)


def notes_api() -> Notes:
    """Return the service."""
    notes = Notes()
    api, stored = notes.api, notes.stored
    read_routes(notes)

    @api.post("/notes", status_code=201)
    async def create_note(note: Note) -> Stored:
        made = Stored(id=len(stored) + 1, **note.model_dump())
        stored[made.id] = made
        return made

    @api.put("/notes/{id}")
    async def replace_note(
        id: int,  # noqa: A002 as real services call it
        note: Note,
        if_match: Annotated[str | None, Header()] = None,
    ) -> Stored:
        kept = found(stored, id)
        if if_match is not None and if_match != f'"{kept.version}"':
            raise HTTPException(412, "another version")
        stored[id] = Stored(id=id, version=kept.version + 1, **note.model_dump())
        return stored[id]

    @api.delete("/notes/{note_id}", status_code=204)
    async def delete_note(note_id: int) -> None:
        del stored[found(stored, note_id).id]

    @api.post("/notes/{note_id}/photo")
    async def upload_photo(note_id: int, photo: UploadFile) -> None:
        """Take what an HTTP tool cannot send."""

    return notes


def read_routes(notes: Notes) -> None:
    """Add what only reads."""
    api, stored = notes.api, notes.stored

    @api.get("/notes")
    async def list_notes(
        q: str = "",
        tag: Annotated[list[str] | None, Query()] = None,
        limit: Annotated[int, Query(ge=1, le=100)] = 20,
        order: Literal["id", "title"] = "id",
    ) -> list[Stored]:
        """List notes.

        Those that have every tag.
        """
        kept = [
            one for one in stored.values() if q in one.title and set(tag or ()) <= set(one.tags)
        ]
        return sorted(kept, key=lambda one: getattr(one, order))[:limit]

    @api.get("/notes/{note_id}")
    async def read_note(note_id: int, response: Response) -> Stored:
        note = found(stored, note_id)
        response.headers["ETag"] = f'"{note.version}"'
        return note

    @api.get("/notes/{note_id}/text", response_class=PlainTextResponse)
    async def read_text(note_id: int) -> str:
        return f"{found(stored, note_id).title}\n"

    @api.get("/notes/{note_id}/picture")
    async def read_picture(note_id: int) -> Response:
        return Response(PNG, media_type="image/png")


def found(stored: dict[int, Stored], note_id: int) -> Stored:
    """Return a note, or 404."""
    if note_id not in stored:
        raise HTTPException(404, "no such note")
    return stored[note_id]


@asynccontextmanager
async def serving(notes: Notes) -> AsyncIterator[str]:
    """Serve it on a free port; give its URL."""
    with socket.socket() as bound:
        bound.bind(("127.0.0.1", 0))
        server = QuietServer(uvicorn.Config(notes.api, log_config=None, access_log=False))
        task = asyncio.create_task(server.serve(sockets=[bound]))
        try:
            while not server.started:
                await asyncio.sleep(0.01)
            yield f"http://127.0.0.1:{bound.getsockname()[1]}"
        finally:
            server.should_exit = True
            await task
