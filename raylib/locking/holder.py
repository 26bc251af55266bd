"""The holder of a lock as the lock file names it, and what follows from a file that another holder left."""

from __future__ import annotations

import logging
import math
import os
import platform
import time
import uuid
from dataclasses import asdict, dataclass, replace
from functools import cache
from typing import Any

import orjson

from raylib.errors import LockedError
from raylib.foreign_json import parsed

__all__ = [
    "STALE_SECONDS",
    "Holder",
    "check_earlier_holder",
    "held_error",
    "is_here",
    "lost_error",
    "process_started",
    "this_machine",
]

logger = logging.getLogger(__name__)

_CLOCK = 5.0  # seconds by which clocks that are compared may differ
STALE_SECONDS = 60.0  # without a sign of life, after which a holder on another machine no longer counts


@dataclass(frozen=True)
class Holder:
    """The process that holds a lock, as its lock file names it.

    Attributes:
        host: Name of its machine.
        pid: Its process id.
        started: When it took the lock, in seconds since 1970.
        token: Random text that no other holder has.
        beat: Its last sign of life, in seconds since 1970, by its own clock.
        machine: What tells its machine and its container from others of the same name; empty where nothing is known.
        ticks: When its process began, in ticks of its machine's own clock, which nobody sets; 0 where that is unknown.
    """

    host: str
    pid: int
    started: float
    token: str
    beat: float
    machine: str = ""
    ticks: int = 0

    @classmethod
    def this(cls) -> Holder:
        """This process as a new holder."""
        now = time.time()
        ticks = _ticks(os.getpid()) or 0
        return cls(platform.node(), os.getpid(), now, uuid.uuid4().hex, now, this_machine(), ticks)

    @classmethod
    def read(cls, data: bytes) -> Holder | None:
        """The holder that a lock file names; None if the file is not complete."""
        try:
            found: Any = parsed(data, "a lock", cls, LockedError)
        except LockedError:
            return None
        return cls(**{name: value for name, value in found.items() if name in cls.__dataclass_fields__})

    def to_bytes(self) -> bytes:
        """The content of the lock file."""
        return orjson.dumps(asdict(self))

    def beating(self) -> Holder:
        """The same holder with a sign of life of this moment."""
        return replace(self, beat=time.time())

    @property
    def is_here(self) -> bool:
        """Whether it is, or was, a process of this machine, whose processes can be seen from here."""
        return is_here(self.host, self.machine)

    @property
    def shares_locks(self) -> bool:
        """Whether the operating system that runs here is its own, in whose locks both of them believe."""
        booted = self.machine.partition("/")[0]
        return self.host == platform.node() and booted in ("", this_machine().partition("/")[0])

    @property
    def is_dead(self) -> bool:
        """Whether it was a process of this machine that no longer exists."""
        if not self.is_here:
            return False
        try:
            os.kill(self.pid, 0)
        except ProcessLookupError:
            return True
        except PermissionError:  # it belongs to another user
            return False
        if self.ticks:
            return _ticks(self.pid) not in (self.ticks, None)  # another process has got its number since
        begun = process_started(self.pid)
        return begun is not None and begun > self.started + _CLOCK

    def __str__(self) -> str:
        begun = time.strftime("%Y-%m-%d %H:%M:%S", time.localtime(self.started))
        return f"pid {self.pid} on host {self.host}, since {begun}"


@cache
def this_machine() -> str:
    """What tells this machine, since it was started, and this container from others: their processes differ."""
    try:
        with open("/proc/sys/kernel/random/boot_id", encoding="ascii") as stream:
            return f"{stream.read().strip()}/{os.stat('/proc/self/ns/pid').st_ino}"
    except OSError:
        return ""


def is_here(host: str, machine: str) -> bool:
    """Whether the processes of a machine are those that can be seen from here.

    Args:
        host: Name of the machine.
        machine: What `this_machine` says there; empty where it is unknown.
    """
    return host == platform.node() and machine in ("", this_machine())


def process_started(pid: int) -> float | None:
    """When a process of this machine began, in seconds since 1970; None where the system does not say.

    Args:
        pid: Its process id.
    """
    ticks = _ticks(pid)
    try:
        with open("/proc/uptime", "rb") as stream:
            uptime = float(stream.read().split()[0])
    except (OSError, ValueError, IndexError):
        return None
    return None if ticks is None else time.time() - uptime + ticks / os.sysconf("SC_CLK_TCK")


def _ticks(pid: int) -> int | None:
    """When a process of this machine began, in ticks since the machine did; None where the system does not say."""
    try:
        with open(f"/proc/{pid}/stat", "rb") as stream:
            return int(stream.read().rpartition(b")")[2].split()[19])
    except (OSError, ValueError, IndexError):
        return None


def held_error(shown: str, holder: Holder | None, ends_in: float | None = None) -> LockedError:
    """The error for a lock that another process holds.

    Args:
        shown: What is locked, as the user wrote it.
        holder: Who holds it; None if it has not said so yet.
        ends_in: Seconds after which the lock ends if the holder was killed; None if it ends at once.
    """
    who = "" if holder is None else f": {holder}"
    killed = "" if ends_in is None else f" (if it was killed, its lock ends in {max(math.ceil(ends_in), 1)} s)"
    return LockedError(
        f"another process is writing to {shown}{who}{killed}; wait until it ends, or choose another output"
    )


def lost_error(shown: str, holder: Holder) -> LockedError:
    """The error for a lock that another process has taken over.

    Args:
        shown: What was locked, as the user wrote it.
        holder: Who holds it now.
    """
    return LockedError(
        f"{shown} was taken over by {holder}, because this process gave no sign of life for "
        f"{STALE_SECONDS:.0f} s; it stops here"
    )


def check_earlier_holder(shown: str, earlier: Holder | None, age: float) -> bool:
    """Check a lock file that another holder left, where no lock of the operating system speaks for it.

    Args:
        shown: What is locked, as the user wrote it.
        earlier: The holder that the file names, if any.
        age: Seconds since its last sign of life.

    Returns:
        Whether a lock of another machine is taken over.

    Raises:
        LockedError: the earlier holder is still alive, as far as anybody can tell.
    """
    if earlier is None or earlier.is_dead:
        return False
    if age < STALE_SECONDS:
        raise held_error(shown, earlier, STALE_SECONDS - age)
    logger.warning(
        "%s: taken over from pid %d on host %s, which has given no sign of life for %.0f s",
        shown,
        earlier.pid,
        earlier.host,
        age,
    )
    return True
