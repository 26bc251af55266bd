"""Python objects as stages of a dataset: conditions, functions on tables, scorers."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import TypeAlias

import pyarrow as pa
import pyarrow.compute as pc

from raylib.errors import ParameterError, StageError, WrongTypeError
from raylib.recipe import StageSpec
from raylib.schema import single_chunk
from raylib.stage import Outcome, keep_all, split_rejected, stage_info, stage_names

__all__ = ["Condition", "Filter", "Map", "filter_of", "map_of", "spec_of"]

Condition: TypeAlias = pc.Expression | Callable[[pa.Table], pa.Array | Sequence[bool]]
"""What decides about the rows of a table: an Arrow expression, or a function that gives one boolean per row."""


_TABLES = (
    "the function gets a table of many records (pyarrow.Table) and returns one boolean per record, such as "
    "lambda t: pc.greater(pc.utf8_length(t['text']), 200); the expression 'length(text) > 200' does the same"
)
_MAPS = "the function gets a table of many records (pyarrow.Table) and returns a table with as many records"


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
        mask = _mask(self.condition, table)
        if len(mask) != len(table):
            raise StageError(f"filter: the condition gave {len(mask)} values for {len(table)} records; {_TABLES}")
        rejected = pc.invert(pc.fill_null(single_chunk(mask), False))
        detail = pa.repeat(pa.scalar(self.label, pa.large_string()), len(table))
        return split_rejected(table, rejected, stage="filter", reason="filter", detail=detail)


def _mask(condition: Condition, table: pa.Table) -> pa.Array | pa.ChunkedArray:
    """What a condition says of each record. Raises StageError if that is not one boolean for each."""
    try:
        if isinstance(condition, pc.Expression):
            numbered = table.append_column("__position", pa.array(range(len(table)), pa.int64()))
            kept = numbered.filter(condition)["__position"]
            return pc.is_in(numbered["__position"], value_set=single_chunk(kept))
        given = condition(table)
        if not isinstance(given, (pa.Array, pa.ChunkedArray)):
            given = pa.array(given, pa.bool_())
        if not pa.types.is_boolean(given.type):
            raise StageError(f"filter: the condition gave values of type {given.type}; {_TABLES}")
    except (AttributeError, KeyError, TypeError, pa.ArrowInvalid, pa.ArrowTypeError) as error:
        raise StageError(f"filter: {_first_line(error)}; {_columns(table)}; {_TABLES}") from error
    return given


def _first_line(error: BaseException) -> str:
    """An exception of a user's function in one line."""
    lines = str(error.args[0] if isinstance(error, KeyError) and error.args else error).splitlines()
    return f"{type(error).__name__}: {lines[0] if lines else ''}".removesuffix(": ")


def _columns(table: pa.Table) -> str:
    """The columns of a table, for messages."""
    return f"columns are {', '.join(name for name in table.column_names if not name.startswith('__'))}"


def filter_of(condition: Condition) -> Filter:
    """A condition as a stage, labelled by its expression or the function's name. Raises WrongTypeError."""
    if not isinstance(condition, pc.Expression) and not callable(condition):
        raise WrongTypeError(f"filter() takes an expression or a function, not {type(condition).__name__}; {_TABLES}")
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
        except Exception as error:
            if not len(table):
                return keep_all(table)  # an empty table is only asked which columns would be added
            if isinstance(error, (AttributeError, KeyError, TypeError)):
                raise StageError(f"map: {_first_line(error)}; {_columns(table)}; {_MAPS}") from error
            raise
        if not isinstance(out, pa.Table):
            if not len(table):
                return keep_all(table)
            raise StageError(f"map: the function returned a {type(out).__name__}; {_MAPS}")
        if len(out) != len(table):
            raise StageError(f"map: {len(table)} records in, {len(out)} out; use filter to drop records")
        return keep_all(out)


def map_of(function: Callable[[pa.Table], pa.Table]) -> Map:
    """A function as a stage. Raises WrongTypeError."""
    if not callable(function):
        raise WrongTypeError(f"map() takes a function, not {type(function).__name__}; {_MAPS}")
    return Map(function)


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
