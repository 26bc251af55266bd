"""Live state of a training run for `raylib ui`: the last metrics and the curves of the loss."""

from __future__ import annotations

import time
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import TypedDict

from raylib.errors import SourceError
from raylib.foreign_json import parsed
from raylib.report.tail import Tail
from raylib.storage.store import Store

__all__ = ["TrainingState", "TrainingView"]


_METRICS = "metrics.jsonl"
_RESULT = "result.json"
_POINTS = 500  # of the curve; more cannot be seen


class _Step(TypedDict):
    """What every line of the metrics holds."""

    step: int


class _Point(_Step, total=False):
    """What is looked at in a line of the metrics, beside the values of curves."""

    total_step: int


class _Result(TypedDict):
    """What is looked at in the result of a run."""

    finished: bool


class TrainingState(TypedDict):
    """What the page shows of a training run.

    Attributes:
        kind: `training`.
        status: `running`, `finished`, or `stopped` if it ended before its last step.
        name: Name of its folder.
        now: The time of this state, in seconds since 1970.
        last: Metrics of the last step.
        loss: Step, counted over all phases, and loss.
        evaluation: Step, counted over all phases, and loss of the evaluation.
        changed: When the last step was written, in seconds since 1970; None where the storage does not record it.
    """

    kind: str
    status: str
    name: str
    now: float
    last: Mapping[str, object]
    loss: list[tuple[int, float]]
    evaluation: list[tuple[int, float]]
    changed: float | None


@dataclass
class _Curves:
    """Metrics that were read so far, by step: a run that continues from a checkpoint repeats the steps after it."""

    last: Mapping[str, object] = field(default_factory=dict)
    losses: dict[int, float] = field(default_factory=dict)
    evaluations: dict[int, float] = field(default_factory=dict)

    def add(self, line: bytes) -> None:
        """Add a line of the metrics: a step or an evaluation."""
        try:
            point = parsed(line, _METRICS, _Point, SourceError)
        except SourceError:  # cut when the writer was killed, and continued by the next one
            return
        step = point.get("total_step", point["step"])
        for name, curve in (("loss", self.losses), ("eval/loss", self.evaluations)):
            value = point.get(name)
            if isinstance(value, (int, float)):  # NaN is written as null
                curve[step] = value
        if "loss" in point:
            self.last = point


class TrainingView:
    """Incrementally read state of a training run's folder.

    Attributes:
        store: The folder.
    """

    def __init__(self, root: str) -> None:
        """Open a folder.

        Args:
            root: The folder, or its URI.

        Raises:
            SourceError: it is not the folder of a training run.
        """
        self.store = Store(root)
        if not self.is_one(self.store):
            raise SourceError(f"{root} is not the folder of a training run: it has no {_METRICS}")
        self._tail = Tail(self.store)
        self._curves = _Curves()

    @staticmethod
    def is_one(store: Store) -> bool:
        """Whether a folder is that of a training run."""
        return store.exists(_METRICS)

    def state(self) -> TrainingState:
        """Everything that the page shows. Reads only what was added since the last call."""
        if self._tail.has_restarted([_METRICS]):
            self._tail, self._curves = Tail(self.store), _Curves()
        for line in self._tail.lines(_METRICS):
            self._curves.add(line)
        losses = sorted(self._curves.losses.items())
        stride = max(1, len(losses) // _POINTS)
        return {
            "kind": "training",
            "status": self._status(),
            "name": self.store.root.rstrip("/").rsplit("/", 1)[-1],
            "now": time.time(),
            "last": self._curves.last,
            "loss": losses[::-1][::stride][::-1],  # the last step is always among them
            "evaluation": sorted(self._curves.evaluations.items()),
            "changed": self.store.modified(_METRICS),
        }

    def _status(self) -> str:
        """A run writes its result when it ends; one that the storage guard ended has not done all its steps."""
        if not self.store.exists(_RESULT):
            return "running"
        return "finished" if self.store.read_json(_RESULT, _Result)["finished"] else "stopped"
