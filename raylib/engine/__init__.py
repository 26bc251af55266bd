"""The run: plan, segments, shuffles, workers and executors."""

from raylib.engine.driver import run
from raylib.engine.progress import Progress, RunResult

__all__ = ["Progress", "RunResult", "run"]
