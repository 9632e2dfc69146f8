# SPDX-License-Identifier: Apache-2.0
"""The rating app: few pages, a small interface of JSON, and pictures."""

from __future__ import annotations

import json
import sqlite3
from collections.abc import Awaitable, Callable, Mapping
from importlib import resources
from typing import Any

from jinja2 import Environment, PackageLoader, StrictUndefined
from starlette.applications import Starlette
from starlette.concurrency import run_in_threadpool
from starlette.middleware import Middleware
from starlette.requests import ClientDisconnect, Request
from starlette.responses import HTMLResponse, JSONResponse, RedirectResponse, Response
from starlette.routing import Route

import bidsqa
from bidsqa.rating.guarding import Door, Guard, Visitor
from bidsqa.rating.session import Session
from bidsqa.rating.store import AlreadyAnswered
from bidsqa.rating.tasks import (
    LEVELS_OF_CONFIDENCE,
    LONGEST_COMMENT,
    LONGEST_NAME,
    ArtifactChoice,
    Task,
    check_answer,
    readers_name,
)

STATIC = {
    "rate.css": "text/css",
    "icon.svg": "image/svg+xml",
    **dict.fromkeys(("keys.js", "rate.js", "reader.js", "tasks.js", "view.js"), "text/javascript"),
}
Handler = Callable[[Request, Visitor], Awaitable[Response]]


class RatingApp:
    """The app's routes.

    Parameters
    ----------
    session : Session
    door : Door
    artifacts : tuple of ArtifactChoice
        What can be marked beside a score of 1 to 5.
    """

    def __init__(self, session: Session, door: Door, artifacts: tuple[ArtifactChoice, ...]) -> None:
        self.session, self.door, self.artifacts = session, door, artifacts
        self._pages = Environment(
            loader=PackageLoader("bidsqa.rating"), autoescape=True, undefined=StrictUndefined, trim_blocks=True
        )

    def asgi(self) -> Starlette:
        """The application for a server."""
        routes = [
            Route("/", self._home, methods=["GET"]),
            Route("/static/{name}", _static, methods=["GET"]),
            Route("/reader", self._inside(self._set_reader), methods=["POST"]),
            Route("/rate/{task}", self._inside(self._rate), methods=["GET"]),
            Route("/api/{task}/next", self._inside(self._next), methods=["GET"]),
            Route("/api/{task}/answer", self._inside(self._answer), methods=["POST"]),
            Route("/api/{task}/undo", self._inside(self._undo), methods=["POST"]),
            Route("/image/{code}/{slot}/{index:int}.png", self._inside(self._image), methods=["GET"]),
        ]
        return Starlette(routes=routes, middleware=[Middleware(Guard)])

    def _page(self, template: str, status: int = 200, **values: Any) -> Response:
        text = self._pages.get_template(template).render(version=bidsqa.__version__, **values)
        return HTMLResponse(text, status_code=status)

    def _locked(self) -> Response:
        return self._page("locked.html", 403)

    def _inside(self, handler: Handler) -> Callable[[Request], Awaitable[Response]]:
        """Only for browsers that came with a token."""

        async def guarded(request: Request) -> Response:
            visitor = self.door.visitor(request.cookies.get(self.door.cookie))
            if visitor is None:
                return self._locked()
            task = request.path_params.get("task")
            if task is not None and task not in self.session.tasks:
                return Response(status_code=404)
            try:
                return await handler(request, visitor)
            except sqlite3.OperationalError as error:
                # the disk is full, or another program holds the file: the browser keeps the answer and tries again
                self.session.tell(f"The ratings can't be read or written: {error}.")
                return JSONResponse({"error": "the ratings can't be read or written"}, status_code=503)

        return guarded

    async def _home(self, request: Request) -> Response:
        token = request.query_params.get("token")
        if token is not None:
            value = self.door.swap(token)
            if value is not None:
                response: Response = RedirectResponse("/", status_code=303)
                response.set_cookie(self.door.cookie, value, httponly=True, samesite="strict", path="/")
                return response
        visitor = self.door.visitor(request.cookies.get(self.door.cookie))
        if visitor is None:
            return self._locked()
        if token is not None:  # used already, by this browser: the address must not stay in the bar
            return RedirectResponse("/", status_code=303)
        if visitor.reader is None:
            return self._page("reader.html", longest=LONGEST_NAME)
        rows = await run_in_threadpool(self._overview, visitor.reader)
        return self._page("tasks.html", rows=rows)

    def _overview(self, reader: int) -> list[dict[str, Any]]:
        rows = []
        for name, task in self.session.tasks.items():
            done, goal = self.session.progress(reader, name)
            rows.append({"name": name, "title": task.title, "question": task.question, "done": done, "goal": goal})
        return rows

    async def _set_reader(self, request: Request, visitor: Visitor) -> Response:
        try:
            name = readers_name(json.loads(await request.body())["name"])
        except (KeyError, TypeError, RecursionError, json.JSONDecodeError):
            return JSONResponse({"error": "no name"}, status_code=400)
        except ValueError as error:
            return JSONResponse({"error": str(error)}, status_code=400)
        if visitor.reader is None:
            visitor.reader = (await run_in_threadpool(self.session.store.reader, name)).id
        return JSONResponse({"ok": True})

    async def _rate(self, request: Request, visitor: Visitor) -> Response:
        if visitor.reader is None:
            return RedirectResponse("/", status_code=303)
        name = request.path_params["task"]
        task = self.session.tasks[name]
        return self._page("rate.html", task=task, confidence=LEVELS_OF_CONFIDENCE, longest=LONGEST_COMMENT,
                          data=self._data(task), artifacts=self.artifacts if name == "likert" else ())  # fmt: skip

    def _data(self, task: Task) -> dict[str, Any]:
        return {"task": task.name, "values": list(task.values), "levels": dict(task.levels),
                "reference": self.session.settings.reference}  # fmt: skip

    async def _next(self, request: Request, visitor: Visitor) -> Response:
        if visitor.reader is None:
            return Response(status_code=409)
        return JSONResponse(await run_in_threadpool(self.session.payload, visitor.reader, request.path_params["task"]))

    async def _answer(self, request: Request, visitor: Visitor) -> Response:
        if visitor.reader is None:
            return Response(status_code=409)
        task = request.path_params["task"]
        try:
            sent = json.loads(await request.body())
            if not isinstance(sent, Mapping) or not isinstance(sent.get("trial"), str):
                raise ValueError("no trial")
            names = tuple(choice.name for choice in self.artifacts)
            given = check_answer(self.session.tasks[task], sent, names)
            await run_in_threadpool(self.session.answer, visitor.reader, task, sent["trial"], given)
        except AlreadyAnswered:
            return JSONResponse({"error": "answered in another window"}, status_code=409)
        except LookupError:
            return JSONResponse({"error": "no such item"}, status_code=404)
        except ClientDisconnect:
            return Response(status_code=400)
        except (ValueError, RecursionError) as error:
            return JSONResponse({"error": str(error)}, status_code=400)
        return JSONResponse({"saved": True})

    async def _undo(self, request: Request, visitor: Visitor) -> Response:
        if visitor.reader is None:
            return Response(status_code=409)
        done = await run_in_threadpool(self.session.undo, visitor.reader, request.path_params["task"])
        return JSONResponse({"undone": done})

    async def _image(self, request: Request, visitor: Visitor) -> Response:
        if visitor.reader is None:
            return Response(status_code=409)
        place = request.path_params
        content = await run_in_threadpool(
            self.session.picture, visitor.reader, place["code"], place["slot"], place["index"]
        )
        return Response(status_code=404) if content is None else Response(content, media_type="image/png")


async def _static(request: Request) -> Response:
    """One of the app's own files, by a fixed list; nothing in them is a secret."""
    name = request.path_params["name"]
    if name not in STATIC:
        return Response(status_code=404)
    text = resources.files("bidsqa.rating").joinpath("static", name).read_text(encoding="utf-8")
    return Response(text, media_type=f"{STATIC[name]}; charset=utf-8")
