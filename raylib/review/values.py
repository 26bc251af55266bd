"""Values of texts: for each, the threshold at which a stage changes its mind about it.

A stage is asked about all texts with a threshold in the middle of a list. Those that it rejects and those that it keeps
are asked again, each with the middle of the half that remains, and so on. Nothing has to be known about what the stage
computes, and a value that is found agrees with the stage's decisions at every threshold of the list.
"""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np
import numpy.typing as npt
import pyarrow as pa

from raylib.recipe import StageSpec
from raylib.stage import LocalStage, Outcome, Threshold, adapted

__all__ = ["Floats", "values_of"]

Floats = npt.NDArray[np.float64]

_POINTS = 128  # thresholds of each kind that are tried
_ROW = "__asked"


def values_of(name: str, parameters: Mapping[str, object], threshold: Threshold, table: pa.Table) -> Floats:
    """The value of each text for a stage.

    Args:
        name: Name of the stage in recipes.
        parameters: Its parameters, with the current threshold among them.
        threshold: The threshold.
        table: Records, N of them, as the stage would see them.

    Returns:
        Values, [N]. A text is rejected if its value lies on the rejected side of a threshold. One that is kept at every
        threshold, and one that is rejected at every threshold for another reason, have an infinite value on the
        side where they belong.
    """
    ask = _Question(name, dict(parameters), threshold, table.append_column(_ROW, pa.array(np.arange(len(table)))))
    everything = np.arange(len(table))
    given = parameters.get(threshold.parameter)
    current = float(given) if isinstance(given, (int, float)) else threshold.loosest
    kept_side = np.inf if threshold.rejects == "below" else -np.inf
    values = np.full(len(table), kept_side)
    if len(table) == 0:
        return values
    strict, loose = ask.end(threshold.strictest), ask.end(threshold.loosest)
    always = ask.rejected(loose, everything)
    values[always] = -kept_side
    open_ = ask.rejected(strict, everything) & ~always
    if threshold.column:
        values[open_] = ask.column(loose, threshold.column)[open_]
    elif open_.any():
        rows = np.flatnonzero(open_)
        values[rows] = _halved(ask, rows, _grid(threshold, loose, strict, current))
    return values


class _Question:
    """Asks the stage about rows of a table with any threshold."""

    def __init__(self, name: str, parameters: dict[str, object], threshold: Threshold, table: pa.Table) -> None:
        self.threshold = threshold
        self._name, self._parameters, self._table = name, parameters, table

    def end(self, threshold: float) -> float:
        """An end of the range; a stage refuses a `min` above its `max`."""
        other = {"min": "max", "max": "min"}.get(self.threshold.parameter, "")
        bound = self._parameters.get(other)
        if not isinstance(bound, (int, float)):
            return threshold
        return min(threshold, bound) if other == "max" else max(threshold, bound)

    def rejected(self, threshold: float, rows: npt.NDArray[np.int64]) -> npt.NDArray[np.bool_]:
        """Whether the stage rejects each of the rows."""
        outcome = self._outcome(threshold, rows)
        hit = np.zeros(len(self._table), np.bool_)
        hit[outcome.rejected[_ROW].to_numpy()] = True
        return hit[rows]

    def column(self, threshold: float, column: str) -> Floats:
        """A column that the stage adds, of all rows."""
        outcome = self._outcome(threshold, np.arange(len(self._table)))
        found = np.full(len(self._table), np.nan)
        found[outcome.kept[_ROW].to_numpy()] = outcome.kept[column].to_numpy()
        return found

    def _outcome(self, threshold: float, rows: npt.NDArray[np.int64]) -> Outcome:
        value = round(threshold) if self.threshold.whole else float(threshold)
        stage = adapted(StageSpec(self._name, {**self._parameters, self.threshold.parameter: value}).make())
        if not isinstance(stage, LocalStage):
            raise TypeError(f"{self._name} is not a local stage")
        whole = len(rows) == len(self._table)
        return stage(self._table if whole else self._table.take(pa.array(rows)).combine_chunks())


def _halved(ask: _Question, rows: npt.NDArray[np.int64], grid: Floats) -> Floats:
    """Values of texts that are kept at the first threshold of the grid and rejected at the last."""
    keeps, rejects = np.zeros(len(rows), np.int64), np.full(len(rows), len(grid) - 1)
    while (rejects - keeps > 1).any():
        middle = (keeps + rejects) // 2
        for at in np.unique(middle[rejects - keeps > 1]):
            here = np.flatnonzero((middle == at) & (rejects - keeps > 1))
            bad = ask.rejected(float(grid[at]), rows[here])
            rejects[here[bad]] = at
            keeps[here[~bad]] = at
    return np.asarray(grid[keeps], np.float64)


def _grid(threshold: Threshold, loose: float, strict: float, current: float) -> Floats:
    """Thresholds to try, from the loosest to the strictest: fine steps near 0 and near the current one."""
    low, high = min(loose, strict), max(loose, strict)
    least = 1 / (high - low) if threshold.whole else 2.0**-14
    fine = low + (high - low) * np.geomspace(least, 1, _POINTS)
    near = current * np.linspace(0.5, 1.5, _POINTS + 1)
    points = np.concatenate([[low, high, current], np.linspace(low, high, _POINTS), fine, near])
    points = points[(points >= low) & (points <= high)]
    if threshold.whole:
        points = np.round(points)
    points = np.unique(np.append(points, [low, high]))
    return points if loose < strict else points[::-1]
