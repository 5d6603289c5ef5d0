"""A FastAPI service for tests: notes, with everything that goes wrong elsewhere on the way to an API."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from enum import Enum
from typing import Annotated, Any

import uvicorn
from fastapi import Cookie, FastAPI, Form, Header, HTTPException, Query, Request, Response, UploadFile
from fastapi.responses import RedirectResponse
from pydantic import BaseModel, Field

KEY = "the-key-of-the-notes-0123456789"
PIXEL = bytes.fromhex("89504e470d0a1a0a")


class Colour(Enum):
    RED = "red"
    BLUE = "blue"


class Note(BaseModel):
    title: str = Field(max_length=50)
    text: str | None = None
    tags: list[str] = []


class Patch(BaseModel):
    title: str | None = None
    text: str | None = None


class Notes:
    """What the service was sent: every request, and the notes."""

    def __init__(self) -> None:
        self.kept: dict[int, dict[str, Any]] = {}
        self.seen: list[tuple[str, str, dict[str, str]]] = []


def app_of(notes: Notes) -> FastAPI:
    """The service. Its key is wanted in a header by all but its document."""
    app = FastAPI(title="Notes", docs_url=None, redoc_url=None)

    @app.middleware("http")
    async def key(request: Request, further: Any) -> Response:
        path = request.scope["raw_path"].decode()
        notes.seen.append((request.method, path, dict(request.headers)))
        if request.headers.get("x-key") != KEY and path != "/openapi.json":
            return Response('{"detail":"no key"}', 401, media_type="application/json")
        response: Response = await further(request)
        return response

    @app.get("/notes", tags=["notes"])
    async def list_notes(
        response: Response,
        tag: Annotated[list[str] | None, Query()] = None,
        colour: Colour | None = None,
        limit: Annotated[int, Query(ge=1, le=100)] = 20,
        x_trace: Annotated[str | None, Header()] = None,
        theme: Annotated[str | None, Cookie()] = None,
    ) -> list[dict[str, Any]]:
        response.headers["link"] = '</notes?page=2>; rel="next"'
        response.headers["x-private"] = "not for anybody"
        said = {"tag": tag, "colour": colour, "limit": limit, "x_trace": x_trace, "theme": theme}
        return [said, *({"id": number, **note} for number, note in notes.kept.items())]

    @app.post("/notes", tags=["notes"], status_code=201)
    async def add_note(note: Note) -> dict[str, Any]:
        number = len(notes.kept) + 1
        notes.kept[number] = note.model_dump()
        return {"id": number, **notes.kept[number]}

    @app.patch("/notes/{number}", tags=["notes"])
    async def change_note(number: int, patch: Patch) -> dict[str, Any]:
        notes.kept[number] |= patch.model_dump(exclude_unset=True)
        return notes.kept[number]

    @app.delete("/notes/{number}", tags=["notes"], status_code=204)
    async def remove_note(number: int) -> None:
        if number not in notes.kept:
            raise HTTPException(404, f"no note {number}; you sent the key {KEY}", {"Retry-After": "7"})
        del notes.kept[number]

    @app.get("/files/{path:path}", tags=["files"])
    async def read_file(path: str) -> dict[str, str]:
        return {"path": path}

    @app.get("/picture", tags=["files"])
    async def picture() -> Response:
        return Response(PIXEL, media_type="image/png")

    @app.get("/plain", tags=["files"])
    async def plain() -> Response:
        return Response("grüße", media_type="text/plain")

    @app.get("/large", tags=["files"])
    async def large() -> Response:
        return Response(b"x" * 200_000, media_type="text/plain")

    @app.get("/verbose", tags=["files"])
    async def verbose() -> Response:
        return Response("x" * (16_384 - len(KEY) + 1) + KEY, 500, media_type="text/plain")

    @app.get("/elsewhere", tags=["files"])
    async def elsewhere() -> Response:
        return RedirectResponse("/notes")

    @app.post("/upload", tags=["files"])
    async def upload(file: UploadFile, title: Annotated[str, Form()]) -> dict[str, Any]:
        data = await file.read()
        return {"title": title, "size": len(data), "bytes": list(data), "name": file.filename}

    @app.post("/form", tags=["files"])
    async def form(title: Annotated[str, Form()], tags: Annotated[list[str], Form()]) -> dict[str, Any]:
        return {"title": title, "tags": tags}

    return app


@asynccontextmanager
async def serving(notes: Notes) -> AsyncIterator[str]:
    """The service on a free port of this machine; its address."""
    config = uvicorn.Config(app_of(notes), host="127.0.0.1", port=0, log_level="error", lifespan="off")
    server = uvicorn.Server(config)
    server.install_signal_handlers = lambda: None  # type: ignore[attr-defined]
    sock = config.bind_socket()
    async with asyncio.TaskGroup() as group:
        group.create_task(server.serve([sock]))
        try:
            yield f"http://127.0.0.1:{sock.getsockname()[1]}"
        finally:
            server.should_exit = True
