"""The end of a run: summary, report, clean-up."""

from __future__ import annotations

from raylib.engine.tasks import ResolveTask, Task
from raylib.reading.units import Unit

__all__ = ["input_of"]


def input_of(task: Task, units: list[Unit]) -> list[str]:
    if isinstance(task, ResolveTask):
        return []
    unit = next((u for u in units if u.number == int(task.shard.split("-")[0])), None)
    return [p.file.path for p in unit.pieces[:10]] if unit else []
