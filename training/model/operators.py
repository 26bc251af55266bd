"""Operators that DeepSpeed compiles when they are first used, made so that a kill leaves nothing behind that blocks.

torch guards compiled extensions by a lock file that says nothing of its owner: a process that is killed while it loads
one leaves the file, and every later run on that machine waits for ever. Here operators have a folder of their own, and
are made under a lock that the kernel takes back from a dead process; whoever holds it knows that a lock file of some
age is nobody's.
"""

from __future__ import annotations

import contextlib
import fcntl
import os
import platform
import sys
import time
from collections.abc import Iterator
from pathlib import Path

__all__ = ["extensions_folder", "load_operators", "release_buffers", "sole_builder"]


_STALE = (
    30.0  # seconds; loading what is compiled already takes less, and compiling is done by the one who holds our lock
)


def extensions_folder() -> Path:
    """Where compiled operators lie: TORCH_EXTENSIONS_DIR, or a folder of this machine in the user's cache."""
    default = Path("~/.cache/raylib/torch_extensions").expanduser() / platform.node()
    return Path(os.environ.setdefault("TORCH_EXTENSIONS_DIR", str(default)))


@contextlib.contextmanager
def sole_builder(folder: Path, stale: float = _STALE) -> Iterator[None]:
    """Be the only one on this machine who makes operators; lock files that no one can hold are removed."""
    folder.mkdir(parents=True, exist_ok=True)
    with (folder / "raylib.lock").open("w") as stream:
        fcntl.flock(stream, fcntl.LOCK_EX)
        for file in folder.glob("*/lock"):
            with contextlib.suppress(FileNotFoundError):
                while time.time() - file.stat().st_mtime < stale:
                    time.sleep(0.2)  # another worker may be loading just now
                file.unlink()
        yield


def load_operators() -> None:
    """Compile or load what DeepSpeed wants on this accelerator, before it does so itself without our lock."""
    folder = extensions_folder()
    from deepspeed.accelerator import get_accelerator

    if get_accelerator().device_name() != "cpu":
        return  # the optimizer is torch's: nothing is compiled
    from deepspeed.comm.torch import build_shm_op

    with sole_builder(folder), contextlib.redirect_stdout(sys.stderr):
        build_shm_op()


def release_buffers() -> None:
    """Take the names of the buffers that DeepSpeed's workers share out of /dev/shm, once all workers have opened them.

    The memory stays theirs until they end, however they end; with their names, 69 MB a worker would stay for good.
    """
    with contextlib.suppress(OSError):
        for line in Path("/proc/self/maps").read_text().splitlines():
            path = line.partition("/dev/shm/deepspeed_")
            if path[1]:
                with contextlib.suppress(FileNotFoundError):
                    os.unlink("".join(path[1:]).removesuffix(" (deleted)"))
