"""`raylib ui`: an HTTP server with a live page of a run or a training run.

The server only reads. It binds to the loopback address by default and then answers only requests for a loopback name,
so that no web page can reach it through a name of its own. It asks for a token, which is in the address that it prints,
so that other users of the machine cannot read the records. They are shown as text, never as HTML.
"""

from __future__ import annotations

import asyncio
import base64
import errno
import hashlib
import hmac
import ipaddress
import os
import re
import secrets
import threading
from collections.abc import Callable, Mapping
from importlib.resources import files

import orjson
from aiohttp import web
from aiohttp.typedefs import Handler, Middleware

from raylib.errors import ParameterError, RaylibError, SourceError
from raylib.report.live import RunView, is_inside
from raylib.report.live_training import TrainingView
from raylib.report.policy import report_policy
from raylib.storage.manifest import manifest_parts
from raylib.storage.names import RunFiles
from raylib.storage.store import Store

__all__ = [
    "PAGE_POLICY",
    "address_of",
    "guarded",
    "is_loopback",
    "listen",
    "make_app",
    "new_token",
    "open_view",
    "serve",
]

_MOST_RECORDS = 500  # of one answer
_HEADERS = {
    "X-Content-Type-Options": "nosniff",
    "X-Frame-Options": "DENY",
    "Referrer-Policy": "no-referrer",
    "Cache-Control": "no-store",
    "Content-Security-Policy": "default-src 'none'",
}
PAGE_POLICY = (
    "default-src 'none'; script-src 'nonce-{nonce}'; style-src 'nonce-{nonce}'; connect-src 'self'; "
    "base-uri 'none'; form-action 'none'"
)


def is_loopback(host: str) -> bool:
    """Whether an address or name stands for this machine only."""
    if host.lower().removesuffix(".") == "localhost":
        return True
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return False


def _name_of(host: str) -> str:
    """The name or address in a Host header, without brackets and port: `[::1]`, `[::1]:8700`, `LOCALHOST:8700`."""
    found = re.fullmatch(r"(?:\[([^]]*)\]|([^:\[]*))(?::\d*)?", host)
    return host if found is None else found[1] or found[2] or ""


def new_token() -> str:
    """A token that nobody guesses."""
    return secrets.token_urlsafe(24)


def address_of(host: str, port: int, token: str) -> str:
    """The address to open.

    Args:
        host: Address that a server listens on.
        port: Its port.
        token: The token that it asks for; empty for none.
    """
    shown = f"[{host}]" if ":" in host else host
    return f"http://{shown}:{port}/" + (f"?token={token}" if token else "")


def open_view(root: str) -> RunView | TrainingView:
    """Open the folder of a run or of a training run.

    Args:
        root: The folder, or its URI.

    Returns:
        The view of it.

    Raises:
        SourceError: it is neither, or a file of it is a link to the outside.
    """
    store = Store(root)
    for name in (RunFiles.MANIFEST, RunFiles.SUMMARY, "metrics.jsonl"):
        if not is_inside(store, name):
            raise SourceError(f"{root}/{name} is a link to a file outside the run; only files of a run are shown")
    if TrainingView.is_one(store):
        return TrainingView(root)
    if not manifest_parts(store):
        raise SourceError(
            f"{root} holds no run of raylib (neither {RunFiles.MANIFEST} nor metrics.jsonl of a training run)"
        )
    return RunView(root)


def make_app(view: RunView | TrainingView, token: str = "", *, any_host: bool = False) -> web.Application:
    """Build the web application.

    Args:
        view: The run to show.
        token: What a request must present as `?token=`, cookie or bearer token. If empty, nothing.
        any_host: Whether requests for other names than loopback ones are answered.

    Returns:
        The application: `/`, `/api/state`, `/api/rejects` and `/report`.
    """
    pages = _Pages(view)
    app = web.Application(middlewares=[guarded(token, any_host=any_host)])
    app.add_routes(
        [
            web.get("/", pages.index),
            web.get("/api/state", pages.state),
            web.get("/api/rejects", pages.rejects),
            web.get("/report", pages.report),
        ]
    )
    return app


def guarded(token: str = "", *, any_host: bool = False) -> Middleware:
    """A middleware that admits requests and adds headers to the answers, also to refusals.

    Args:
        token: What a request must present. If empty, nothing.
        any_host: Whether requests for other names than loopback ones are answered; never without a token.
    """

    @web.middleware
    async def guard(request: web.Request, handler: Handler) -> web.StreamResponse:
        try:
            if not (any_host and token) and not is_loopback(_name_of(request.headers.get("Host", ""))):
                raise web.HTTPForbidden(text="this page answers only requests for a loopback name\n")
            if token:
                _check_token(request, token)
            answer = await handler(request)
        except web.HTTPException as refusal:
            refusal.headers.update(_HEADERS)
            raise
        for name, value in _HEADERS.items():
            answer.headers.setdefault(name, value)
        return answer

    return guard


def _check_token(request: web.Request, token: str) -> None:
    """Refuse a request without the token; move a token in the address to a cookie."""
    # a browser keeps the cookies of all ports of a host together: those of two servers must not replace each other
    cookie = f"raylib_{hashlib.sha256(token.encode()).hexdigest()[:12]}"
    bearer = request.headers.get("Authorization", "").removeprefix("Bearer ")
    given = request.query.get("token") or request.cookies.get(cookie) or bearer
    if not hmac.compare_digest(given.encode("utf-8", "replace"), token.encode()):
        raise web.HTTPUnauthorized(text="open the address that raylib printed: it ends with ?token=...\n")
    if "token" in request.query:  # out of the address bar and the history
        answer = web.HTTPFound(request.path)
        answer.set_cookie(cookie, token, httponly=True, samesite="Strict")
        raise answer


class _Pages:
    """The handlers of the routes."""

    def __init__(self, view: RunView | TrainingView) -> None:
        self._view = view
        self._page = files("raylib.report").joinpath("ui.html").read_text("utf-8")
        self._lock = threading.Lock()  # a view is read by one thread at a time

    async def index(self, _: web.Request) -> web.Response:
        """The page, whose script and style carry a nonce."""
        nonce = base64.b64encode(secrets.token_bytes(16)).decode()
        headers = {"Content-Security-Policy": PAGE_POLICY.format(nonce=nonce)}
        return web.Response(text=self._page.replace("NONCE", nonce), content_type="text/html", headers=headers)

    async def state(self, _: web.Request) -> web.Response:
        """The state of the run as JSON."""
        return await self._answer(self._view.state)

    async def rejects(self, request: web.Request) -> web.Response:
        """Rejected records that are searched for, as JSON."""
        view, asked = self._view, request.query
        if isinstance(view, TrainingView):
            raise web.HTTPNotFound(text="a training run has no rejected records\n")
        limit = asked.get("limit", "50")
        if not limit.isdecimal() or not 1 <= int(limit) <= _MOST_RECORDS:
            raise web.HTTPBadRequest(text=f"limit must be 1 to {_MOST_RECORDS}\n")
        query, key, cursor = asked.get("q", "")[:200], asked.get("key", ""), asked.get("cursor", "")
        try:
            return await self._answer(lambda: view.rejects(query, key, cursor, int(limit)))
        except ParameterError as error:
            raise web.HTTPBadRequest(text=f"{error}\n") from None

    async def report(self, _: web.Request) -> web.Response:
        """The report of a finished run."""
        store = self._view.store
        if not is_inside(store, RunFiles.REPORT) or not await asyncio.to_thread(store.exists, RunFiles.REPORT):
            raise web.HTTPNotFound(text="the report is written at the end of the run\n")
        body = await asyncio.to_thread(store.read, RunFiles.REPORT)
        # the texts are escaped; should that fail, no script but the report's own runs, nor can that ask this server
        headers = {"Content-Security-Policy": f"{report_policy()}; sandbox allow-scripts"}
        return web.Response(body=body, content_type="text/html", charset="utf-8", headers=headers)

    async def _answer(self, ask: Callable[[], Mapping[str, object]]) -> web.Response:
        """What the view says, as JSON; asked in a thread, because it reads files."""

        def alone() -> Mapping[str, object]:
            with self._lock:
                return ask()

        try:
            return web.json_response(body=orjson.dumps(await asyncio.to_thread(alone)))
        except ParameterError:
            raise
        except (RaylibError, OSError) as error:  # a file of the run is damaged, or was just deleted
            raise web.HTTPServiceUnavailable(text=f"{error}\n") from None


def _reason(error: OSError) -> str:
    """What the operating system says, without the address, which asyncio adds."""
    known = error.errno is not None and error.errno in errno.errorcode
    return os.strerror(error.errno or 0) if known else str(error.strerror or error)


def serve(
    root: str,
    *,
    host: str = "127.0.0.1",
    port: int = 8700,
    token: str | None = None,
    say: Callable[[str], object] = print,
) -> None:
    """Serve the page of a run until it is interrupted.

    Args:
        root: Folder of the run or of the training run.
        host: Address to listen on.
        port: Port to listen on.
        token: What a request must present. If None, a new one; if empty, nothing, which only loopback addresses allow.
        say: Receives the address of the page, with its token.

    Raises:
        ParameterError: every machine could read the page: it would listen beyond loopback without a token.
        SourceError: the folder does not hold a run, or the address or the port cannot be used.
    """
    if token == "" and not is_loopback(host):
        raise ParameterError(f"--host {host} is open to other machines, and --no-token would let all of them read")
    view = open_view(root)
    asked = new_token() if token is None else token
    # who sets a token may have a proxy of another name in front
    app = make_app(view, asked, any_host=bool(token) or not is_loopback(host))
    listen(app, host, port, lambda: say(address_of(host, port, asked)))


def listen(app: web.Application, host: str, port: int, ready: Callable[[], object]) -> None:
    """Serve an application until it is interrupted.

    Args:
        app: The application.
        host: Address to listen on.
        port: Port to listen on.
        ready: Called once it listens: whoever reads the address before would find nobody there.

    Raises:
        SourceError: the address or the port cannot be used.
    """

    def listening(_: str) -> None:
        ready()

    try:
        # signals are those of the command, which ends with their status
        web.run_app(app, host=host, port=port, print=listening, access_log=None, handle_signals=False)
    except OSError as error:
        if error.errno == errno.EADDRINUSE:
            raise SourceError(
                f"port {port} of {host} is taken; choose another one, such as --port {port + 1}"
            ) from None
        raise SourceError(f"cannot listen on {host}, port {port}: {_reason(error)}") from None
