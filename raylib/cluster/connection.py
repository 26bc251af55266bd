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
    "close_token_to_others",
    "connect",
    "default_mode",
    "is_connected",
    "starts_own_cluster",
    "token",
    "use_token",
]


_PATIENCE = 10.0  # seconds for a cluster to accept a connection
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


def _no_cluster(address: str, error: Exception) -> RaylibError:
    """The error for a cluster that does not answer.

    Args:
        address: Address that was tried; `auto` is that of this machine or of RAY_ADDRESS.
        error: What Ray says.
    """
    place = "this machine" if address == "auto" else address
    said = (str(error).strip().splitlines() or [type(error).__name__])[0]
    return RaylibError(
        f"no Ray cluster answers at {place}; start one with `ray start --head`, or leave out the address and "
        f"RAY_ADDRESS, and a local one is started ({said[:200]})"
    )


def connect(address: str, *, log_to_driver: bool) -> None:
    """Join a cluster.

    Args:
        address: Address of the cluster; `auto` is that of this machine or of RAY_ADDRESS.
        log_to_driver: Whether this process shows what workers print.

    Raises:
        RaylibError: no cluster answers there.
    """
    use_token()
    host, _, port = address.removeprefix("ray://").rpartition(":")
    try:
        if host and port.isdigit():  # Ray itself would wait for minutes
            socket.create_connection((host, int(port)), timeout=_PATIENCE).close()
        ray = importlib.import_module("ray")
        with termination.kept(), loopback_for(address):
            ray.init(address=address, log_to_driver=log_to_driver, logging_level="ERROR", configure_logging=True)
    except (OSError, RuntimeError) as error:
        raise _no_cluster(address, error) from error


def starts_own_cluster(options: EngineOptions) -> bool:
    """Whether a run starts a cluster: there is none to join in this process, by address or by environment.

    Args:
        options: The `engine` part of the recipe.
    """
    return not (is_connected() or options.address or os.environ.get("RAY_ADDRESS"))
