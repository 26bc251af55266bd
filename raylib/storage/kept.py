"""Where kept records go: one file a shard, or one for each value of a column."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from typing import Any

import pyarrow as pa
import pyarrow.compute as pc

from raylib.errors import ShardError, StageError, nearest
from raylib.storage.writers import TableWriter

__all__ = ["KeptFiles", "split_name"]


@dataclass
class KeptFiles:
    """Where kept records of a shard go: one file, or one in a folder for each value of a column."""

    create: Callable[[str], TableWriter]
    name: str
    column: str
    _writers: dict[str, TableWriter] = field(default_factory=dict)

    def write(self, table: pa.Table) -> Iterator[tuple[str, pa.Table]]:
        """Write a table; gives (folder, its part of the table) where records are split."""
        if not self.column:
            self._writer("").write(table)
            return
        if self.column not in table.column_names:
            raise StageError(f"output.split_by: no column {self.column!r}{nearest(self.column, table.column_names)}")
        values = table[self.column]
        for value in sorted(pc.unique(values).to_pylist(), key=str):
            mask = pc.is_null(values) if value is None else pc.equal(values, value)
            part = table.filter(pc.fill_null(mask, False))
            folder = split_name(self.column, value)
            self._writer(folder + "/").write(part)
            if len(part):
                yield folder, part

    def _writer(self, folder: str) -> TableWriter:
        if folder not in self._writers:
            if len(self._writers) >= 100:
                raise ShardError(f"output.split_by: {self.column!r} has over 100 values; split by one with few")
            self._writers[folder] = self.create(f"kept/{folder}{self.name}")
        return self._writers[folder]

    def close(self, empty: pa.Table) -> None:
        """Finish all files; `empty` gives the schema of one without rows."""
        if not self.column:
            self._writer("")
        for writer in self._writers.values():
            writer.close(empty)

    @property
    def rows(self) -> int:
        return sum(writer.rows for writer in self._writers.values())


def split_name(column: str, value: Any) -> str:
    """Folder of the records with this value: `stage1` for numbers, the value itself for text, `none` for null."""
    if value is None:
        return "none"
    if isinstance(value, str):
        return re.sub(r"[^\w\-.]+", "_", value).strip(".") or "empty"
    return f"{column}{value}".lower()
