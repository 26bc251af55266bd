"""Where kept records go: one file a shard, or one for each value of a column."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field

import pyarrow as pa
import pyarrow.compute as pc

from raylib.errors import ShardError, StageError, nearest
from raylib.storage.names import RunFiles, ShardName
from raylib.storage.writers import EXTENSIONS, TableWriter

__all__ = ["KeptFiles", "split_name"]


_MOST_VALUES = 100


@dataclass
class KeptFiles:
    """Writes the kept records of a shard to one file, or to one in a folder for each value of a column.

    Attributes:
        create: Opens a writer for a file name.
        shard: The shard.
        file_format: `parquet`, `jsonl` or `arrow`.
        column: Column to split by; empty for one file.
    """

    create: Callable[[str], TableWriter]
    shard: ShardName
    file_format: str
    column: str
    _writers: dict[str, TableWriter] = field(default_factory=dict)

    def write(self, table: pa.Table) -> Iterator[tuple[str, pa.Table]]:
        """Write a table.

        Args:
            table: Kept records.

        Yields:
            Folder and records of each part, where records are split.

        Raises:
            StageError: the column to split by is missing.
            ShardError: the column has too many values.
        """
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
            self._writer(folder).write(part)
            if len(part):
                yield folder, part

    def _writer(self, folder: str) -> TableWriter:
        if folder not in self._writers:
            if len(self._writers) >= _MOST_VALUES:
                raise ShardError(
                    f"output.split_by: {self.column!r} has over {_MOST_VALUES} values; split by a column with few"
                )
            name = RunFiles.kept(self.shard, EXTENSIONS[self.file_format], folder)
            self._writers[folder] = self.create(name)
        return self._writers[folder]

    def close(self, empty: pa.Table) -> None:
        """Finish all files.

        Args:
            empty: Gives the schema of a file without rows.
        """
        if not self.column:
            self._writer("")
        for writer in self._writers.values():
            writer.close(empty)


def split_name(column: str, value: object) -> str:
    """Folder of the records with this value: `stage1` for numbers, the value itself for text, `none` for null."""
    if value is None:
        return "none"
    if isinstance(value, str):
        return re.sub(r"[^\w\-.]+", "_", value).strip(".") or "empty"
    return f"{column}{value}".lower()
