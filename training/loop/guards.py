"""Guards of a run: a volume that fills up, a worker that hangs, a machine that reads slowly."""

from __future__ import annotations

import contextlib
import faulthandler
import logging
import os
import platform
import shutil
import statistics
import threading
import time
from collections.abc import Callable
from pathlib import Path

from training.config import TrainConfig
from training.model.world import World

__all__ = ["ReadingSpeed", "Watchdog", "check_storage"]

logger = logging.getLogger(__name__)

_warned: set[str] = set()
_HUNG = 75  # exit status of a worker that hung


def check_storage(folder: Path, config: TrainConfig, tell: Callable[[str], None]) -> bool:
    """Check how full the volume of a run is; warns once when it becomes tight.

    Args:
        folder: Folder of the run.
        config: The run, for its limits.
        tell: Receives the warning.

    Returns:
        Whether the run must stop because the volume is full.
    """
    usage = shutil.disk_usage(folder)
    share = usage.used / usage.total
    if share >= config.storage_stop:
        return True
    if share >= config.storage_warn and str(folder) not in _warned:
        _warned.add(str(folder))
        tell(f"the volume of {folder} is {share:.0%} full; the run stops at {config.storage_stop:.0%}")
    return False


class ReadingSpeed:
    """How fast each worker reads its rows, compared at intervals, because one slow disk holds up all workers.

    Args:
        every: Number of steps between comparisons.
        slow: Share of the median speed below which a worker is reported.
    """

    def __init__(self, every: int = 20, slow: float = 0.5) -> None:
        self._every, self._slow = every, slow
        self._tokens, self._seconds = 0, 0.0

    def add(self, tokens: int, seconds: float) -> None:
        """Count the tokens that this worker read for a step, and the seconds it took."""
        self._tokens += tokens
        self._seconds += seconds

    def compare(self, world: World, step: int, tell: Callable[[str], None]) -> dict[str, float]:
        """Compare the workers if it is time to. All workers call it.

        Args:
            world: This worker among the others.
            step: Number of the step.
            tell: Receives a line about each slow worker that also spends noticeable time on reading.

        Returns:
            Tokens per second of the slowest and of the median worker; empty between comparisons.
        """
        if step % self._every:
            return {}
        mine = (world.rank, platform.node(), self._tokens / max(self._seconds, 1e-9), self._seconds / self._every)
        self._tokens, self._seconds = 0, 0.0
        found = world.gather(mine)
        middle = statistics.median(speed for _, _, speed, _ in found)
        for rank, host, speed, seconds in found:
            if speed < self._slow * middle and seconds > 0.05:
                speeds = f"{speed:,.0f} tokens/s, the median worker {middle:,.0f}"
                tell(f"step {step}: worker {rank} on {host} reads {speeds}: its disk or network is slow")
        return {"read_slowest": min(speed for _, _, speed, _ in found), "read_median": middle}


class Watchdog:
    """Ends this worker if it makes no progress, after writing the stacks of all threads to a file.

    Ray's failure policy then restarts the workers from the last checkpoint.

    Args:
        minutes: Minutes without progress; 0 waits forever.
        path: File for the stacks.
        rank: Number of this worker, for the log.
    """

    def __init__(self, minutes: float, path: Path, rank: int = 0) -> None:
        self._limit, self._path, self._rank = 60.0 * minutes, path, rank
        self._last = time.monotonic()
        self._stop = threading.Event()

    def alive(self) -> None:
        """Report progress."""
        self._last = time.monotonic()

    def _watch(self) -> None:
        while not self._stop.wait(min(1.0, self._limit / 10)):
            if time.monotonic() - self._last > self._limit:
                with self._path.open("w", encoding="utf-8") as stream:
                    stream.write(f"no step for {self._limit / 60:.1f} minutes; stacks of all threads:\n")
                    stream.flush()
                    faulthandler.dump_traceback(stream, all_threads=True)
                minutes = self._limit / 60
                logger.error("worker %d: no step for %.1f minutes; stacks: %s", self._rank, minutes, self._path)
                os._exit(_HUNG)  # a hung collective operation cannot be interrupted

    def __enter__(self) -> Watchdog:
        self.alive()
        if self._limit:
            threading.Thread(target=self._watch, daemon=True).start()
        return self

    def __exit__(self, *_: object) -> None:
        with contextlib.suppress(RuntimeError):
            self._stop.set()
