"""Python objects as stages of a dataset: conditions, functions on tables, scorers."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import TypeAlias

import pyarrow as pa
import pyarrow.compute as pc

from raylib.errors import ParameterError
from raylib.recipe import StageSpec
from raylib.schema import single_chunk
from raylib.stage import Outcome, keep_all, split_rejected, stage_info, stage_names

__all__ = ["Condition", "Filter", "Map", "filter_of", "spec_of"]

Condition: TypeAlias = pc.Expression | Callable[[pa.Table], pa.Array | Sequence[bool]]
"""What decides about the rows of a table: an Arrow expression, or a function that gives one boolean per row."""


@dataclass(frozen=True)
class Filter:
    """A Python condition as a stage.

    Attributes:
        condition: What decides which rows are kept.
        label: Detail that the rejects show.
    """

    condition: Condition
    label: str

    def __call__(self, table: pa.Table) -> Outcome:
        """Keep the rows for which the condition holds; a null counts as false."""
        if len(table) == 0:
            return keep_all(table)
        if isinstance(self.condition, pc.Expression):
            numbered = table.append_column("__position", pa.array(range(len(table)), pa.int64()))
            kept = numbered.filter(self.condition)["__position"]
            mask = pc.is_in(numbered["__position"], value_set=single_chunk(kept))
        else:
            mask = self.condition(table)
        if not isinstance(mask, (pa.Array, pa.ChunkedArray)):
            mask = pa.array(mask, pa.bool_())
        if len(mask) != len(table):
            raise ParameterError(f"filter: the condition gave {len(mask)} values for {len(table)} records")
        rejected = pc.invert(pc.fill_null(single_chunk(mask), False))
        detail = pa.repeat(pa.scalar(self.label, pa.large_string()), len(table))
        return split_rejected(table, rejected, stage="filter", reason="filter", detail=detail)


def filter_of(condition: Condition) -> Filter:
    """A condition as a stage, labelled by its expression or the function's name."""
    is_expression = isinstance(condition, pc.Expression)
    label = str(condition) if is_expression else getattr(condition, "__name__", "function")
    return Filter(condition, f"not: {label}")


@dataclass(frozen=True)
class Map:
    """A Python function on tables as a stage.

    Attributes:
        function: The function; it must keep the number of rows.
    """

    function: Callable[[pa.Table], pa.Table]

    def __call__(self, table: pa.Table) -> Outcome:
        """Keep all rows, as the function returns them."""
        try:
            out = self.function(table)
        except Exception:
            if len(table):
                raise
            return keep_all(table)  # an empty table is only asked which columns would be added
        if len(out) != len(table):
            raise ParameterError(f"map: {len(table)} records in, {len(out)} out; use filter to drop records")
        return keep_all(out)


def spec_of(scorer: object) -> StageSpec:
    """The spec of a stage object, so that recipes and resume see its name and parameters."""
    if isinstance(scorer, str):
        spec = StageSpec(scorer)
        spec.make()
        return spec
    for name in stage_names():
        info = stage_info(name)
        if type(scorer) is info.make:
            given = {f: getattr(scorer, f) for f, default in info.parameters.items() if getattr(scorer, f) != default}
            return StageSpec(name, given)
    if callable(scorer):
        return StageSpec(type(scorer).__name__, object=scorer)
    raise ParameterError(f"score: {scorer!r} is not a stage; use one of quality.scorers, such as ifd('path/to/model')")
