"""The state of a run that a checkpoint must hold, besides weights and random generators."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import asdict, dataclass

__all__ = ["TrainState"]


@dataclass
class TrainState:
    """How far a run has come.

    Attributes:
        phase: Number of the phase, from 0.
        step: Steps done in this phase.
        total: Steps done over all phases.
        best: Lowest evaluation loss so far.
        tokens: Tokens seen so far.
        updates: Updates of the optimizer since it was created; skipped steps are not counted.
    """

    phase: int = 0
    step: int = 0
    total: int = 0
    best: float = math.inf
    tokens: int = 0
    updates: int = 0

    def to_json(self) -> dict[str, int | float]:
        """The state as `complete.json` of a checkpoint holds it."""
        return asdict(self)

    @classmethod
    def from_json(cls, facts: Mapping[str, int | float | None]) -> TrainState:
        """The state that a checkpoint holds."""
        best = facts["best"]  # JSON has no infinity: null before the first evaluation
        return cls(
            phase=_whole(facts, "phase"),
            step=_whole(facts, "step"),
            total=_whole(facts, "total"),
            best=math.inf if best is None else float(best),
            tokens=_whole(facts, "tokens"),
            updates=_whole(facts, "updates"),
        )

    def begin_phase(self, number: int) -> None:
        """Go to the first step of a phase."""
        self.phase, self.step = number, 0


def _whole(facts: Mapping[str, int | float | None], name: str) -> int:
    return int(facts[name] or 0)
