"""A local Ray that no other machine can reach: its processes listen on the loopback address alone.

By default they listen on all addresses, without encryption. Ray has a switch for it, named after the systems on which
that is the default. Nor does it take the one port that Ray asks for by number, because a cluster that somebody starts
on this machine with `ray start` could then accept no jobs.
"""

from __future__ import annotations

import importlib
import os
import socket
from collections.abc import Iterator
from contextlib import contextmanager
from functools import partial

__all__ = ["loopback_for", "note_own", "on_loopback"]

_SWITCH = "RAY_ENABLE_WINDOWS_OR_OSX_CLUSTER"
_OWN: set[str] = set()
_PATIENCE = 2.0  # seconds for a connection to this very machine


@contextmanager
def on_loopback() -> Iterator[None]:
    """Make the Ray that is started inside, and all processes that it starts, listen on loopback.

    Yields:
        Nothing.
    """
    before = os.environ.get(_SWITCH)
    os.environ.setdefault(_SWITCH, "0")  # for the processes of Ray
    try:
        with _address_of_this_machine(loopback=os.environ[_SWITCH] == "0"), _any_port():
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
    """Let Ray take this machine for 127.0.0.1 while it joins a cluster that listens there alone.

    For every other cluster it looks for the address under which other machines know this one, and tries that in place
    of a loopback address, too.

    Args:
        address: Address of the cluster.

    Yields:
        Nothing.
    """
    host, _, port = address.rpartition(":")
    loopback = host.startswith("127.") and (address in _OWN or not _is_open_to_others(int(port)))
    with _address_of_this_machine(loopback=loopback):
        yield


def _is_open_to_others(port: int) -> bool:
    """Whether something listens at the address under which other machines know this one."""
    services = importlib.import_module("ray._private.services")
    try:
        with socket.create_connection((services.resolve_ip_for_localhost("127.0.0.1"), port), timeout=_PATIENCE):
            return True
    except OSError:
        return False


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


@contextmanager
def _any_port() -> Iterator[None]:
    """Let the agent of a Ray that this process starts listen at any free port instead of 52365."""
    module = vars(importlib.import_module("ray._private.parameter"))
    before = module["RayParams"]
    module["RayParams"] = partial(before, dashboard_agent_listen_port=None)
    try:
        yield
    finally:
        module["RayParams"] = before
