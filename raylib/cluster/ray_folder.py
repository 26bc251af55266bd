"""The folder in which a local Ray keeps its sockets and logs, and what it spills."""

from __future__ import annotations

import contextlib
import glob
import os
import shutil
import tempfile
import time
from collections.abc import Iterator

from raylib.errors import RaylibError

__all__ = ["ray_folder", "remove_session"]

# A socket has the longest name in it, and the operating system takes 107 bytes.
_LONGEST = 107 - len("/session_2026-11-27_16-07-08_506524_4194304/sockets/plasma_store.1")
_DYING = 3.0  # seconds in which processes that were killed may still write
_WANTED = f"a folder that you can write to, with a path of at most {_LONGEST - len('/ray')} ASCII characters"


def ray_folder() -> str:
    """Choose the folder: that of RAY_TMPDIR if it is set, otherwise the first one that Ray can use.

    TMPDIR comes first, as in Ray itself. A batch system often sets it to a path that is too long for a socket.

    Raises:
        RaylibError: RAY_TMPDIR, or every folder that comes into question, cannot be used.
    """
    given = os.environ.get("RAY_TMPDIR")
    if given:
        folder = os.path.join(given, "ray")
        reason = _unfit(folder)
        if reason:
            raise RaylibError(
                f"RAY_TMPDIR {given!r} cannot hold the files of a local Ray: {reason}; set it to {_WANTED}"
            )
        return folder
    reasons = {}
    for folder in _candidates():
        reason = _unfit(folder)
        if not reason:
            return folder
        reasons[folder] = reason
    said = "; ".join(f"{folder}: {reason}" for folder, reason in reasons.items())
    raise RaylibError(f"no folder for the files of a local Ray ({said}); set RAY_TMPDIR to {_WANTED}")


def _candidates() -> Iterator[str]:
    places = dict.fromkeys((os.environ.get("TMPDIR") or "/tmp", "/tmp", "/var/tmp"))
    for place in places:
        yield os.path.join(os.path.abspath(place) if os.path.isabs(place) else place, "ray")
        yield os.path.join(place, f"ray-{os.getuid()}")  # beside a folder of another user


def _unfit(folder: str) -> str:
    """Why Ray cannot use a folder; empty if it can. Makes the folder."""
    if not os.path.isabs(folder):
        return "the path is not absolute"
    if not folder.isascii():
        return "the path has characters beyond ASCII"
    if len(folder) > _LONGEST:
        return f"the path is {len(folder)} characters long, too long for a socket in it"
    try:
        os.makedirs(folder, exist_ok=True)
        with tempfile.TemporaryFile(dir=folder):
            pass
    except OSError as error:
        return error.strerror or str(error)
    return ""


def remove_session(folder: str, process: int) -> None:
    """Remove what the Ray that a process started has left in the folder of Ray.

    Args:
        folder: Folder of Ray.
        process: Id of the process; it is part of the name of the session, and it has ended.
    """
    deadline = time.monotonic() + _DYING
    while sessions := glob.glob(f"{glob.escape(folder)}/session_*_{process}"):
        for session in sessions:
            shutil.rmtree(session, ignore_errors=True)
        if time.monotonic() > deadline:
            break
        time.sleep(0.05)
    latest = os.path.join(folder, "session_latest")
    with contextlib.suppress(OSError):
        if os.readlink(latest).endswith(f"_{process}"):
            os.unlink(latest)
