"""A local Ray that no other machine can reach: its processes listen on the loopback address alone.

By default they listen on all addresses, without encryption. Ray has a switch for it, named after the systems on which
that is the default.
"""

from __future__ import annotations

import importlib
import os
from collections.abc import Iterator
from contextlib import contextmanager

__all__ = ["loopback_for", "note_own", "on_loopback"]

_SWITCH = "RAY_ENABLE_WINDOWS_OR_OSX_CLUSTER"
_OWN: set[str] = set()


@contextmanager
def on_loopback() -> Iterator[None]:
    """Make the Ray that is started inside, and all processes that it starts, listen on loopback.

    Yields:
        Nothing.
    """
    before = os.environ.get(_SWITCH)
    os.environ.setdefault(_SWITCH, "0")  # for the processes of Ray
    try:
        with _address_of_this_machine(loopback=os.environ[_SWITCH] == "0"):
            yield
    finally:
        if before is None:
            del os.environ[_SWITCH]


def note_own(address: str) -> None:
    """Remember the address of a cluster that this process has started.

    Args:
        address: The address.
    """
    _OWN.add(address)


@contextmanager
def loopback_for(address: str) -> Iterator[None]:
    """Let Ray take this machine for 127.0.0.1 while it joins a cluster that this process has started.

    For every other cluster it looks for the address under which other machines know this one.

    Args:
        address: Address of the cluster.

    Yields:
        Nothing.
    """
    with _address_of_this_machine(loopback=address in _OWN and address.startswith("127.")):
        yield


@contextmanager
def _address_of_this_machine(*, loopback: bool) -> Iterator[None]:
    """Let Ray, in this process, take this machine for 127.0.0.1 or for what other machines know it by."""
    constants = importlib.import_module("ray._private.ray_constants")
    before = getattr(constants, "ENABLE_RAY_CLUSTER", None)
    if loopback and before is not None:  # an older Ray has no such switch
        vars(constants)["ENABLE_RAY_CLUSTER"] = False
    try:
        yield
    finally:
        if before is not None:
            vars(constants)["ENABLE_RAY_CLUSTER"] = before
