"""The run: plan, segments, shuffles, workers and executors.

Every name is imported on first use: a worker's process imports `raylib.engine.worker`, and needs neither the driver
nor the report.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from raylib.lazy import lazy_names

if TYPE_CHECKING:
    from raylib.engine.driver import run
    from raylib.engine.progress import Progress, RunResult

__all__ = ["Progress", "RunResult", "run"]

_HOME = {"Progress": "raylib.engine.progress", "RunResult": "raylib.engine.progress", "run": "raylib.engine.driver"}

__getattr__ = lazy_names(__name__, _HOME)


def __dir__() -> list[str]:
    return sorted(__all__)
