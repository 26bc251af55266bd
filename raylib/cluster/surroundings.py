"""What stops or slows a local Ray on this machine, found before it is started: limits, folders, network, addresses.

`raylib doctor` shows all findings; a run that starts a Ray ends with the first one that would stop it.
"""

from __future__ import annotations

import contextlib
import os
import resource
import socket
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from raylib import machine
from raylib.cluster.connection import address_of_environment, check_reachable
from raylib.cluster.proxies import named_proxies
from raylib.cluster.ray_folder import ray_folder
from raylib.errors import RaylibError

__all__ = ["Finding", "check_start", "examine", "raise_file_limit"]

_FEW_FILES, _FILES = 128, 65_536
_LITTLE_SPACE, _SPACE = 2_500_000_000, 4_000_000_000  # bytes of addresses that one of Ray's processes reserves
_ONE_ACTOR = 1 << 30  # bytes of memory that Ray, the driver and one actor take
_SMALL_FILES = 1 << 30  # bytes; the object store and logs are files


@dataclass(frozen=True)
class Finding:
    """The result of a check.

    Attributes:
        level: Whether all is well, something may slow a run down, or something will stop it.
        subject: What was checked.
        found: What was found.
        fix: What to do about it; empty if nothing is to be done.
    """

    level: Literal["ok", "warn", "fail"]
    subject: str
    found: str
    fix: str = ""


def examine() -> list[Finding]:
    """Check everything that a local Ray needs, and the address of a cluster if the environment names one."""
    return [*_of_start(), _home(), _processors(), _memory(), *_address(), *_proxies()]


def check_start() -> None:
    """Check what would keep a local Ray from starting, in a moment instead of Ray's minutes.

    Raises:
        RaylibError: Something would; says what to set.
    """
    for finding in _of_start():
        if finding.level == "fail":
            raise RaylibError(f"a local Ray cannot start here: {finding.subject}: {finding.found}; {finding.fix}")


def _of_start() -> Iterator[Finding]:
    """The findings that can stop a local Ray."""
    yield _working_folder()
    yield _temporary_folder()
    yield _open_files()
    yield _address_space()
    yield _file_size()
    yield _loopback()


def _working_folder() -> Finding:
    try:
        return Finding("ok", "working folder", os.getcwd())
    except OSError:
        return Finding("fail", "working folder", "it has been deleted", "change to a folder that exists (cd)")


def _temporary_folder() -> Finding:
    try:
        folder = ray_folder()
    except RaylibError as error:
        found, _, fix = str(error).rpartition("; ")
        return Finding("fail", "temporary folder", found, fix)
    wanted = os.path.join(os.environ.get("RAY_TMPDIR") or os.environ.get("TMPDIR") or "/tmp", "ray")
    if folder != wanted:
        found = f"Ray cannot use {wanted} (too long for a socket, not ASCII, or not writable)"
        return Finding("warn", "temporary folder", found, f"{folder} is used; set RAY_TMPDIR to choose another one")
    return Finding("ok", "temporary folder", folder)


def _open_files() -> Finding:
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    most = max(soft, hard) if resource.RLIM_INFINITY not in (soft, hard) else _FILES  # Ray's helper raises the limit
    words = f"limit {soft:,} (hard {hard:,})"
    if most < _FEW_FILES:
        return Finding("fail", "open files", words, "set `ulimit -n 65536`, or ask for a higher hard limit")
    if most < _FILES:
        return Finding("warn", "open files", words, "ulimit -n 1048576 before `ray start` or a large run")
    return Finding("ok", "open files", f"limit {soft:,}")


def _address_space() -> Finding:
    limit = resource.getrlimit(resource.RLIMIT_AS)[0]
    if limit == resource.RLIM_INFINITY:
        return Finding("ok", "address space", "no limit")
    words = f"limit {limit / 1e9:.1f} GB"
    if limit < _SPACE:
        fix = "set `ulimit -v unlimited`, or run with `--set engine.mode=inline`"
        return Finding("fail" if limit < _LITTLE_SPACE else "warn", "address space", words, fix)
    return Finding("ok", "address space", words)


def _file_size() -> Finding:
    limit = resource.getrlimit(resource.RLIMIT_FSIZE)[0]
    if limit == resource.RLIM_INFINITY:
        return Finding("ok", "file size", "no limit")
    words = f"limit {limit / 2**30:.2f} GiB"
    if limit < _SMALL_FILES:
        return Finding("fail", "file size", words, "set `ulimit -f unlimited`")
    return Finding("ok", "file size", words)


def _loopback() -> Finding:
    try:
        with socket.create_server(("127.0.0.1", 0)) as server:
            socket.create_connection(server.getsockname()[:2], timeout=3).close()
    except OSError as error:
        fix = "bring it up (`ip link set lo up`), or run with `--set engine.mode=inline`"
        return Finding("fail", "loopback network", f"127.0.0.1 does not answer: {error.strerror or error}", fix)
    return Finding("ok", "loopback network", "127.0.0.1 answers")


def _home() -> Finding:
    home = Path(os.path.expanduser("~"))
    if _writable(home):
        return Finding("ok", "home folder", str(home))
    fix = "a local Ray works; for caches and for Ray's token set HOME to a folder that you can write to"
    return Finding("warn", "home folder", f"{home} cannot be written to", fix)


def _writable(folder: Path) -> bool:
    """Whether a folder can be written to; one that does not exist, whether it can be made."""
    place = next((p for p in (folder, *folder.parents) if p.exists()), folder)
    return os.access(place, os.W_OK | os.X_OK)


def _processors() -> Finding:
    found, installed = machine.cpus(), os.cpu_count() or 1
    words = f"{found} of {installed} may be used" if found < installed else str(found)
    return Finding("ok", "processors", words)


def _memory() -> Finding:
    limit = machine.memory_limit()
    words = f"{machine.memory() / 2**30:.1f} GiB" + ("" if limit is None else " by the limit of this container or job")
    if machine.memory() < _ONE_ACTOR:
        fix = "Ray with one actor takes about 1 GiB: give more, or run with `--set engine.mode=inline`"
        return Finding("warn", "memory", words, fix)
    return Finding("ok", "memory", words)


def _address() -> Iterator[Finding]:
    """The cluster that the environment names."""
    address, source = address_of_environment()
    if not address:
        return
    try:
        check_reachable(address, source)
    except RaylibError as error:
        yield Finding("fail", source, str(error), f"unset {source}, or set it to the address of a cluster that runs")
        return
    yield Finding("ok", source, f"{address} answers")


def _proxies() -> Iterator[Finding]:
    named = named_proxies()
    if named:
        words = f"{', '.join(named)} set; commands of raylib pass by it on this machine"
        fix = "put the addresses of your cluster and of your model servers into no_proxy"
        yield Finding("ok", "proxy", f"{words}: {fix}")


def raise_file_limit() -> None:
    """Let this process, and those that it starts, open as many files as they may, up to what Ray needs."""
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    wanted = _FILES if hard == resource.RLIM_INFINITY else min(hard, _FILES)
    if soft != resource.RLIM_INFINITY and soft < wanted:
        with contextlib.suppress(ValueError, OSError):
            resource.setrlimit(resource.RLIMIT_NOFILE, (wanted, hard))
