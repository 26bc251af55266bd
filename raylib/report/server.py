"""`raylib ui`: an HTTP server that shows runs and training runs while they grow."""

from __future__ import annotations

import asyncio
import base64
import hmac
import ipaddress
import secrets
from importlib.resources import files
from typing import Any

import orjson

from raylib.report.live import RunView

__all__ = ["is_loopback", "make_app", "serve"]


def is_loopback(host: str) -> bool:
    """Whether an address or name is this machine only."""
    if host == "localhost":
        return True
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return False


def make_app(view: RunView, token: str = "") -> Any:
    """The web application. token: what a request must present, as `?token=`, cookie or bearer; empty: loopback only."""
    from aiohttp import web

    page = files("raylib.report").joinpath("ui.html").read_text("utf-8")

    @web.middleware
    async def guard(request: Any, handler: Any) -> Any:
        if token:
            given = request.query.get("token") or request.cookies.get("raylib_token") or request.headers.get("Authorization", "").removeprefix("Bearer ")  # fmt: skip
            if not hmac.compare_digest(given.encode(), token.encode()):
                raise web.HTTPUnauthorized(text="open the address with its token, as `raylib ui` printed it\n")
            if "token" in request.query:  # out of the address bar and the history
                answer = web.HTTPFound(request.path)
                answer.set_cookie("raylib_token", token, httponly=True, samesite="Strict")
                raise answer
        elif not is_loopback((request.host or "").rsplit(":", 1)[0].strip("[]")):
            raise web.HTTPForbidden(text="this page answers to names of loopback only\n")
        answer = await handler(request)
        answer.headers.setdefault("X-Content-Type-Options", "nosniff")
        answer.headers.setdefault("X-Frame-Options", "DENY")
        answer.headers.setdefault("Referrer-Policy", "no-referrer")
        answer.headers.setdefault("Cache-Control", "no-store")
        answer.headers.setdefault("Content-Security-Policy", "default-src 'none'")
        return answer

    async def index(_: Any) -> Any:
        nonce = base64.b64encode(secrets.token_bytes(16)).decode()
        policy = f"default-src 'none'; script-src 'nonce-{nonce}'; style-src 'nonce-{nonce}'; connect-src 'self'; base-uri 'none'; form-action 'none'"  # fmt: skip
        headers = {"Content-Security-Policy": policy}
        return web.Response(text=page.replace("NONCE", nonce), content_type="text/html", headers=headers)

    async def state(_: Any) -> Any:
        return web.json_response(await asyncio.to_thread(locked, view.state), dumps=_dumps)

    async def rejects(request: Any) -> Any:
        asked = request.query
        cursor = asked.get("cursor", "")
        if (cursor and not all(part.isdecimal() and len(part) < 12 for part in cursor.split(":"))) or cursor.count(
            ":"
        ) > 1:
            raise web.HTTPBadRequest(text="cursor: as the answer before gave it\n")
        limit = asked.get("limit", "50")
        if not limit.isdecimal() or not 1 <= int(limit) <= 500:
            raise web.HTTPBadRequest(text="limit: 1 to 500\n")
        found = await asyncio.to_thread(locked, view.rejects, asked.get("q", "")[:200], asked.get("key", ""), cursor, int(limit))  # fmt: skip
        return web.json_response(found, dumps=_dumps)

    async def report(_: Any) -> Any:
        if not await asyncio.to_thread(view.store.exists, "report.html"):
            raise web.HTTPNotFound(text="the report is written at the end of the run\n")
        # what is in it was escaped when it was made; should that fail, nothing can be asked of this server from it
        policy = "default-src 'none'; script-src 'unsafe-inline'; style-src 'unsafe-inline'; img-src data:; sandbox allow-scripts"
        body = await asyncio.to_thread(view.store.read, "report.html")
        return web.Response(body=body, content_type="text/html", charset="utf-8", headers={"Content-Security-Policy": policy})  # fmt: skip

    import threading

    lock = threading.Lock()

    def locked(call: Any, *arguments: Any) -> Any:
        with lock:
            return call(*arguments)

    app = web.Application(middlewares=[guard])
    app.add_routes([web.get("/", index), web.get("/api/state", state), web.get("/api/rejects", rejects), web.get("/report", report)])  # fmt: skip
    return app


def _dumps(value: Any) -> str:
    return orjson.dumps(value).decode()


def serve(root: str, *, host: str = "127.0.0.1", port: int = 8700, token: str = "", say: Any = print) -> None:
    """Serve the page of a run until it is interrupted. An address that is not loopback gets a token if none is given."""
    from aiohttp import web

    view = RunView(root)
    if not token and not is_loopback(host):
        token = secrets.token_urlsafe(24)
    shown = f"[{host}]" if ":" in host else host
    say(f"http://{shown}:{port}/" + (f"?token={token}" if token else ""))
    web.run_app(make_app(view, token), host=host, port=port, print=None, access_log=None)
