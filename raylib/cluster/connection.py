"""Whether there is a Ray cluster to join, and the token that it asks for."""

from __future__ import annotations

import contextlib
import importlib
import logging
import os
import socket
import sys
from typing import Literal

from raylib import termination
from raylib.cluster.loopback import loopback_for
from raylib.errors import RaylibError
from raylib.recipe import EngineOptions

__all__ = [
    "address_of_environment",
    "check_reachable",
    "close_token_to_others",
    "connect",
    "default_mode",
    "is_connected",
    "starts_own_cluster",
    "token",
    "use_token",
]


_PATIENCE = 8.0  # seconds for a cluster to accept a connection, and to greet
_GREETING = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n" + bytes(3) + b"\x04" + bytes(5)  # a client's, with no settings
_SETTINGS = 4  # type of the frame with which a server greets
_TOKENS = "ray._private.authentication.authentication_token_setup"


def default_mode() -> Literal["ray", "inline"]:
    """`ray` when this process is already connected to a cluster, otherwise `inline`."""
    return "ray" if is_connected() else "inline"


def is_connected() -> bool:
    """Whether this process is connected to a cluster. Does not load Ray."""
    ray = sys.modules.get("ray")
    initialized = getattr(ray, "is_initialized", None)  # missing while another thread is importing ray
    return initialized is not None and bool(initialized())


def use_token() -> None:
    """Present the token of ~/.ray/auth_token, if there is one and `RAY_AUTH_MODE` does not say otherwise.

    A cluster that Ray starts asks for it by default; `ray.init(address=...)` does not send it by default.
    """
    close_token_to_others()
    try:
        setup = importlib.import_module(_TOKENS)
        logging.getLogger(_TOKENS).setLevel(logging.ERROR)  # it would advise every user to read about tokens
        setup.maybe_enable_token_auth_if_token_available(warn_if_disabled=False)
    except (ImportError, AttributeError):
        return  # an older Ray, without authentication


def close_token_to_others() -> None:
    """Take from other users the right to read the token, which Ray writes with the user's umask."""
    file = os.environ.get("RAY_AUTH_TOKEN_PATH") or os.path.expanduser("~/.ray/auth_token")
    with contextlib.suppress(OSError):
        mode = os.stat(file).st_mode
        if mode & 0o077:
            os.chmod(file, mode & 0o700)


def token() -> str:
    """The token of this machine, as `ray get-auth-token` prints it; empty if there is none."""
    try:
        loader = importlib.import_module("ray._raylet").AuthenticationTokenLoader.instance()
        return str(loader.get_raw_token(ignore_auth_mode=True)) if loader.has_token(ignore_auth_mode=True) else ""
    except (ImportError, AttributeError):
        return ""  # an older Ray, without authentication


def address_of_environment(given: str = "auto") -> tuple[str, str]:
    """The address that this process would join, without asking whether anything answers there.

    Args:
        given: Address of a recipe or of an option; `auto` is that of RAY_ADDRESS, or of the Ray that `ray start` has
            started on this machine.

    Returns:
        The address, empty if nothing names one; and what names it, empty if it was given.
    """
    if given not in ("", "auto"):
        return given, ""
    named = os.environ.get("RAY_ADDRESS", "")
    if named != "auto":
        return (named, "RAY_ADDRESS") if named not in ("", "local") else ("", "")
    note = os.path.join(
        os.environ.get("RAY_TMPDIR") or os.environ.get("TMPDIR") or "/tmp", "ray", "ray_current_cluster"
    )
    try:
        with open(note, encoding="utf-8") as stream:
            return stream.read().strip(), note
    except (OSError, UnicodeDecodeError):
        return "", ""


def check_reachable(address: str, source: str) -> None:
    """Check in seconds whether a cluster answers; Ray itself would wait for many minutes.

    Args:
        address: Its address.
        source: What names it, for the message; empty for an option.

    Raises:
        RaylibError: Nothing answers, or something else than a cluster.
    """
    host, _, port = address.rpartition("://")[2].rpartition(":")
    if not host or not port.isdigit():
        raise RaylibError(
            f"{source or 'address'} {address!r} is not the address of a cluster; write HOST:PORT, such as 10.0.0.1:6379"
        )
    try:
        with socket.create_connection((host.strip("[]"), int(port)), timeout=_PATIENCE) as connection:
            if not os.environ.get("RAY_USE_TLS") and not _speaks_grpc(connection):
                raise OSError("what answers there is no Ray")
    except (OSError, OverflowError) as error:
        raise _no_cluster(_place(address, source), error) from error


def _speaks_grpc(connection: socket.socket) -> bool:
    """Whether the other side greets as every gRPC server does: with a frame of settings."""
    connection.sendall(_GREETING)
    said = connection.recv(9)
    return len(said) >= 4 and said[3] == _SETTINGS and not said.startswith(b"HTTP")


def _place(address: str, source: str) -> str:
    """The place of a cluster, for messages."""
    return f"{address} ({source})" if source else address or "this machine"


def _no_cluster(place: str, error: Exception) -> RaylibError:
    """The error for a cluster that does not answer.

    Args:
        place: Address that was tried, and what names it.
        error: What Ray says.
    """
    said = (str(error).strip().splitlines() or [type(error).__name__])[0]
    return RaylibError(
        f"no Ray cluster answers at {place}; start one with `ray start --head`, or leave out the address and "
        f"RAY_ADDRESS, and a local one is started ({said[:200]})"
    )


def connect(address: str, *, log_to_driver: bool, ours: bool = False) -> None:
    """Join a cluster.

    Args:
        address: Address of the cluster; `auto` is that of this machine or of RAY_ADDRESS.
        log_to_driver: Whether this process shows what workers print.
        ours: Whether this process has just started the cluster.

    Raises:
        RaylibError: no cluster answers there.
    """
    use_token()
    known, source = address_of_environment(address)
    if known and not ours:
        check_reachable(known, source)
    try:
        ray = importlib.import_module("ray")
        with termination.kept(), loopback_for(known):
            ray.init(address=address, log_to_driver=log_to_driver, logging_level="ERROR", configure_logging=True)
    except (OSError, RuntimeError) as error:
        raise _no_cluster(_place(known, source), error) from error


def starts_own_cluster(options: EngineOptions) -> bool:
    """Whether a run starts a cluster: there is none to join in this process, by address or by environment.

    Args:
        options: The `engine` part of the recipe.
    """
    if is_connected():
        return False
    return (options.address or os.environ.get("RAY_ADDRESS") or "local") == "local"
