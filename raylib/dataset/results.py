"""Results of a dataset's plan: a run into a temporary folder, kept tables, first records."""

from __future__ import annotations

import atexit
import shutil
import tempfile
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeAlias

import pyarrow as pa

from raylib.engine import RunResult, run
from raylib.extras import require
from raylib.messages import rows_of
from raylib.recipe import Recipe
from raylib.storage.store import Store

if TYPE_CHECKING:
    import pandas as pd

    from dedup.index import MinHashIndex

__all__ = ["Cache", "Row", "as_pandas", "first_rows", "head", "kept_tables", "temporary_folder"]

Row: TypeAlias = dict[str, Any]
"""A record as Python data: values by column, of whatever types the columns have."""


@dataclass
class Cache:
    """The result of a plan, shared by everything that looks at the same dataset.

    Attributes:
        result: The run, once there was one.
        index: The index of its records, once `Dataset.similar` has made it.
    """

    result: RunResult | None = None
    index: MinHashIndex | None = None


def temporary_folder(prefix: str) -> Path:
    """A new folder that is deleted when the process ends."""
    folder = tempfile.mkdtemp(prefix=prefix)
    atexit.register(shutil.rmtree, folder, ignore_errors=True)
    return Path(folder)


def kept_tables(path: str) -> Iterator[pa.Table]:
    """Kept records of a run that wrote Arrow files, one table per shard."""
    store = Store(path)
    for name in store.names("kept"):
        yield store.read_arrow(name).read_all()


def first_rows(tables: Iterator[pa.Table], n: int) -> list[Row]:
    """The first `n` records of some tables."""
    rows: list[Row] = []
    for table in tables:
        rows += rows_of(table.slice(0, n - len(rows)))
        if len(rows) >= n:
            break
    return rows


def head(recipe: Recipe, n: int) -> list[Row] | None:
    """The first `n` kept records from the beginning of the input; None if there are fewer among those.

    Args:
        recipe: Recipe without global stages that writes Arrow files into a folder of its own.
        n: Number of records.

    Returns:
        The records; fewer than `n` only if the whole input holds no more.
    """
    limit = max(1000, 20 * n)
    result = run(recipe, limit=limit)
    rows = [row for table in kept_tables(result.path) for row in rows_of(table)]
    whole = result.summary["records_in"] < limit
    return rows[:n] if len(rows) >= n or whole else None


def as_pandas(table: pa.Table) -> pd.DataFrame:
    """The table as a pandas DataFrame. Raises MissingExtraError without pandas."""
    require("pandas", purpose="to_pandas()")
    return table.to_pandas()
