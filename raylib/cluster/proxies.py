"""Proxies of the environment: requests to this machine do not go through them."""

from __future__ import annotations

import os

__all__ = ["named_proxies", "pass_by_proxies"]

_LOCAL = ("localhost", "127.0.0.1", "::1")
_PROXIES = ("http_proxy", "https_proxy", "all_proxy")


def named_proxies() -> list[str]:
    """Variables of the environment that name a proxy, in small letters."""
    return [name for name in _PROXIES if os.environ.get(name) or os.environ.get(name.upper())]


def pass_by_proxies() -> None:
    """Keep requests to this machine away from a proxy: add its names to `no_proxy` where a proxy is set."""
    if not named_proxies():
        return
    for name in ("no_proxy", "NO_PROXY"):
        there = [item.strip() for item in os.environ.get(name, "").split(",") if item.strip()]
        os.environ[name] = ",".join([*there, *(local for local in _LOCAL if local not in there)])
