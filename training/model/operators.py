"""Operators that DeepSpeed compiles on first use, built so that a killed process leaves nothing behind that blocks.

PyTorch guards compiled extensions by a lock file that does not name its owner. A process that is killed while it loads
an extension leaves the file, and every later run on that machine waits forever. Here operators have a folder of their
own and are built under a lock that the kernel releases when its holder dies. So whoever holds it knows that an old lock
file belongs to nobody.
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

from raylib.extras import optional

__all__ = ["extensions_folder", "load_operators", "release_buffers", "sole_builder"]


_PURPOSE = "parallel.backend: deepspeed"
_STALE = 30.0  # seconds; loading a compiled operator takes less, and only the holder of our lock compiles


def extensions_folder() -> Path:
    """Folder of compiled operators: TORCH_EXTENSIONS_DIR, or a folder for this machine in the user's cache."""
    default = Path("~/.cache/raylib/torch_extensions").expanduser() / platform.node()
    return Path(os.environ.setdefault("TORCH_EXTENSIONS_DIR", str(default)))


@contextlib.contextmanager
def sole_builder(folder: Path, stale: float = _STALE) -> Iterator[None]:
    """Be the only process on this machine that builds operators; lock files that nobody holds are removed.

    Args:
        folder: Folder of the operators.
        stale: Age in seconds from which a lock file belongs to nobody.
    """
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
    """Compile or load the operators that DeepSpeed would otherwise build itself, without our lock."""
    folder = extensions_folder()
    accelerator = optional("deepspeed.accelerator", purpose=_PURPOSE)
    if accelerator.get_accelerator().device_name() != "cpu":
        return  # the optimizer is PyTorch's, so nothing is compiled
    communication = optional("deepspeed.comm.torch", purpose=_PURPOSE)
    with sole_builder(folder), contextlib.redirect_stdout(sys.stderr):
        communication.build_shm_op()


def release_buffers() -> None:
    """Unlink the buffers that DeepSpeed's workers share in /dev/shm, once all workers have opened them.

    The memory stays theirs until they end, however they end. With its name, 69 MB per worker would stay for good.
    """
    with contextlib.suppress(OSError):
        for line in Path("/proc/self/maps").read_text().splitlines():
            path = line.partition("/dev/shm/deepspeed_")
            if path[1]:
                with contextlib.suppress(FileNotFoundError):
                    os.unlink("".join(path[1:]).removesuffix(" (deleted)"))
