"""Whether there is a Ray cluster to join, and the token that it asks for."""

from __future__ import annotations

import importlib
import logging
import os
import sys
from typing import Literal

from raylib.recipe import EngineOptions

__all__ = ["default_mode", "starts_own_cluster", "use_token"]


_TOKENS = "ray._private.authentication.authentication_token_setup"


def default_mode() -> Literal["ray", "inline"]:
    """`ray` when this process is already connected to a cluster, otherwise `inline`."""
    return "ray" if _is_connected() else "inline"


def _is_connected() -> bool:
    """Whether this process is connected to a cluster. Does not load Ray."""
    ray = sys.modules.get("ray")
    initialized = getattr(ray, "is_initialized", None)  # missing while another thread is importing ray
    return initialized is not None and bool(initialized())


def use_token() -> None:
    """Present the token of ~/.ray/auth_token, if there is one and `RAY_AUTH_MODE` does not say otherwise.

    A cluster that Ray starts asks for it by default; `ray.init(address=...)` does not send it by default.
    """
    try:
        setup = importlib.import_module(_TOKENS)
        logging.getLogger(_TOKENS).setLevel(logging.ERROR)  # it would advise every user to read about tokens
        setup.maybe_enable_token_auth_if_token_available(warn_if_disabled=False)
    except (ImportError, AttributeError):
        return  # an older Ray, without authentication


def starts_own_cluster(options: EngineOptions) -> bool:
    """Whether a run starts a cluster: there is none to join in this process, by address or by environment.

    Args:
        options: The `engine` part of the recipe.
    """
    return not (_is_connected() or options.address or os.environ.get("RAY_ADDRESS"))
