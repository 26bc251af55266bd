"""Whether a Ray cluster is there to join, and the token that it asks for."""

from __future__ import annotations

import os
import sys
from typing import Literal

from raylib.recipe import EngineOptions

__all__ = ["default_mode", "starts_own_cluster", "use_token"]


def default_mode() -> Literal["ray", "inline"]:
    """`ray` when this process is already connected to a cluster, otherwise `inline`."""
    import sys

    ray = sys.modules.get("ray")
    connected = ray is not None and hasattr(ray, "is_initialized") and ray.is_initialized()
    return "ray" if connected else "inline"


def use_token() -> None:
    """Present the token of ~/.ray/auth_token, if there is one and `RAY_AUTH_MODE` does not say otherwise.

    A cluster that Ray starts asks for it by default; `ray.init(address=...)` does not send it by default.
    """
    import importlib
    import logging

    name = "ray._private.authentication.authentication_token_setup"
    try:
        setup = importlib.import_module(name)
        logging.getLogger(name).setLevel(logging.ERROR)  # it would advise every user to read about tokens
        setup.maybe_enable_token_auth_if_token_available(warn_if_disabled=False)
    except (ImportError, AttributeError):
        return  # an older Ray, without authentication


def starts_own_cluster(options: EngineOptions) -> bool:
    """Whether there is no cluster to join: none in this process, none by address or environment."""
    ray = sys.modules.get("ray")
    joined = ray is not None and hasattr(ray, "is_initialized") and ray.is_initialized()
    return not (joined or options.address or os.environ.get("RAY_ADDRESS"))
