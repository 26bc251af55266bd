"""The page on which a person judges decisions, one at a time, with the keys 1, 2 and 3.

It listens on the loopback address alone, answers only requests for a loopback name, and asks for a token, which is in
the address that it prints: other users of the machine can neither read nor answer. It does not tell what the rule
decided, because that would sway the answer. Each answer is written to the file before the next decision is shown.
"""

from __future__ import annotations

import asyncio
import base64
import secrets
import threading
from collections.abc import Callable, Sequence
from importlib.resources import files
from pathlib import Path

import orjson
from aiohttp import web

from raylib.errors import ParameterError
from raylib.report.server import PAGE_POLICY, address_of, guarded, listen, new_token
from raylib.review.decisions import Decision, write_decisions

__all__ = ["make_app", "serve_review"]

_HOST = "127.0.0.1"


def make_app(path: Path, decisions: Sequence[Decision], command: str, token: str = "") -> web.Application:
    """Build the web application.

    Args:
        path: File of the decisions, to which answers are written.
        decisions: The decisions.
        command: What to type when all are answered.
        token: What a request must present. If empty, nothing.

    Returns:
        The application: `/`, `/api/decisions` and `/api/answer`.
    """
    pages = _Pages(path, decisions, command)
    app = web.Application(middlewares=[guarded(token)])
    app.add_routes(
        [
            web.get("/", pages.index),
            web.get("/api/decisions", pages.decisions),
            web.post("/api/answer", pages.answer),
        ]
    )
    return app


class _Pages:
    """The handlers of the routes."""

    def __init__(self, path: Path, decisions: Sequence[Decision], command: str) -> None:
        self._path, self._decisions, self._command = path, list(decisions), command
        self._page = files("raylib.review").joinpath("review.html").read_text("utf-8")
        self._lock = threading.Lock()

    async def index(self, _: web.Request) -> web.Response:
        """The page, whose script and style carry a nonce."""
        nonce = base64.b64encode(secrets.token_bytes(16)).decode()
        headers = {"Content-Security-Policy": PAGE_POLICY.format(nonce=nonce)}
        return web.Response(text=self._page.replace("NONCE", nonce), content_type="text/html", headers=headers)

    async def decisions(self, _: web.Request) -> web.Response:
        """What is asked, without what the rule decided."""
        shown = [
            {
                "answer": d.answer,
                "question": d.question,
                "choices": d.choices,
                "rule": d.rule,
                "source": d.source,
                "id": d.id,
                "edit": d.asks == "edits",
                "text": d.text,
                "removed": d.removed,
                "added": d.added,
                "right": d.right,
            }
            for d in self._decisions
        ]
        body = orjson.dumps({"decisions": shown, "command": self._command})
        return web.json_response(body=body)

    async def answer(self, request: web.Request) -> web.Response:
        """Write an answer to the file."""
        if request.content_type != "application/json":  # which a page of another site cannot send
            raise web.HTTPUnsupportedMediaType(text="an answer is JSON\n")
        try:
            given = orjson.loads(await request.read())
            number, answer = given["number"], given["answer"]
        except (orjson.JSONDecodeError, KeyError, TypeError):
            raise web.HTTPBadRequest(text="an answer is {number: ..., answer: ...}\n") from None
        if not isinstance(number, int) or not 0 <= number < len(self._decisions) or not isinstance(answer, str):
            raise web.HTTPBadRequest(text=f"number must be 0 to {len(self._decisions) - 1}\n")
        try:
            await asyncio.to_thread(self._save, number, answer)
        except ParameterError as error:
            raise web.HTTPBadRequest(text=f"{error}\n") from None
        return web.json_response({"answered": sum(bool(d.answer) for d in self._decisions)})

    def _save(self, number: int, answer: str) -> None:
        with self._lock:
            self._decisions[number] = self._decisions[number].answered(answer)
            write_decisions(self._path, self._decisions)


def serve_review(
    path: Path,
    decisions: Sequence[Decision],
    *,
    port: int,
    command: str,
    token: str | None = None,
    say: Callable[[str], object] = print,
) -> None:
    """Serve the page until it is interrupted.

    Args:
        path: File of the decisions, to which answers are written.
        decisions: The decisions.
        port: Port to listen on.
        command: What to type when all are answered.
        token: What a request must present. If None, a new one; if empty, nothing.
        say: Receives the address of the page, with its token.

    Raises:
        SourceError: the port cannot be used.
    """
    asked = new_token() if token is None else token
    listen(make_app(path, decisions, command, asked), _HOST, port, lambda: say(address_of(_HOST, port, asked)))
