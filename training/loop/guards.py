"""What watches a run: a volume that fills up, a worker that hangs, a machine that reads slowly."""

from __future__ import annotations

import contextlib
import faulthandler
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

__all__ = ["Reading", "Watchdog", "check_storage"]


_warned: set[str] = set()


def check_storage(folder: Path, config: TrainConfig, tell: Callable[[str], None]) -> bool:
    """Whether the run must stop because its volume is full; warns once before that."""
    usage = shutil.disk_usage(folder)
    share = usage.used / usage.total
    if share >= config.storage_stop:
        return True
    if share >= config.storage_warn and str(folder) not in _warned:
        _warned.add(str(folder))
        tell(f"the volume of {folder} is {share:.0%} full; the run stops at {config.storage_stop:.0%}")
    return False


class Reading:
    """How fast each worker reads its rows, compared every `every` steps: one slow disk holds up all of them."""

    def __init__(self, every: int = 20, slow: float = 0.5) -> None:
        self._every, self._slow = every, slow
        self._tokens, self._seconds = 0, 0.0

    def add(self, tokens: int, seconds: float) -> None:
        """What this worker read for a step."""
        self._tokens += tokens
        self._seconds += seconds

    def compare(self, world: World, step: int, tell: Callable[[str], None]) -> dict[str, float]:
        """Every so many steps, the slowest and the median worker in tokens a second; tells of workers below `slow` of
        the median that also spend a noticeable time on it. All workers call it."""
        if step % self._every:
            return {}
        mine = (world.rank, platform.node(), self._tokens / max(self._seconds, 1e-9), self._seconds / self._every)
        self._tokens, self._seconds = 0, 0.0
        found = world.gather(mine)
        middle = statistics.median(speed for _, _, speed, _ in found)
        for rank, host, speed, seconds in found:
            if speed < self._slow * middle and seconds > 0.05:
                tell(f"step {step}: worker {rank} on {host} reads {speed:,.0f} tokens/s, the median worker {middle:,.0f}: a slow disk or network there")  # fmt: skip
        return {"read_slowest": min(speed for _, _, speed, _ in found), "read_median": middle}


class Watchdog:
    """Ends this worker when no step is done for `minutes`, after writing the stacks of all threads to `path`.

    Ray's failure policy then starts the workers again, from the last checkpoint. 0 minutes: never.
    """

    def __init__(self, minutes: float, path: Path) -> None:
        self._limit, self._path = 60.0 * minutes, path
        self._last = time.monotonic()
        self._stop = threading.Event()

    def alive(self) -> None:
        """A step was done."""
        self._last = time.monotonic()

    def _watch(self) -> None:
        while not self._stop.wait(min(1.0, self._limit / 10)):
            if time.monotonic() - self._last > self._limit:
                with self._path.open("w", encoding="utf-8") as stream:
                    stream.write(f"no step for {self._limit / 60:.1f} minutes; stacks of all threads:\n")
                    stream.flush()
                    faulthandler.dump_traceback(stream, all_threads=True)
                os._exit(75)  # a hung collective cannot be interrupted

    def __enter__(self) -> Watchdog:
        self.alive()
        if self._limit:
            threading.Thread(target=self._watch, daemon=True).start()
        return self

    def __exit__(self, *_: object) -> None:
        with contextlib.suppress(RuntimeError):
            self._stop.set()
