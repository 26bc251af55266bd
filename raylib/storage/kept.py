"""Where kept records go: one file a shard, or one for each value of a column."""

from __future__ import annotations

import hashlib
import re
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field

import pyarrow as pa
import pyarrow.compute as pc

from raylib.errors import StageError, nearest
from raylib.storage.names import RunFiles, ShardName
from raylib.storage.writers import EXTENSIONS, TableWriter

__all__ = ["MOST_VALUES", "KeptFiles", "split_name"]


MOST_VALUES = 100
_LIKE_A_HASH = re.compile(r"-(?:[0-9a-f]{16}|[0-9a-f]{32})$")
_LONGEST_NAME = 120  # bytes of a folder's name; file systems take 255, and some tools add endings


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
            StageError: the column to split by is missing, or has too many values.
        """
        if not self.column:
            self._writer("").write(table)
            return
        if self.column not in table.column_names:
            raise StageError(f"output.split_by: no column {self.column!r}{nearest(self.column, table.column_names)}")
        values = table[self.column]
        different = pc.unique(values).to_pylist()
        self._check_number(different)
        for value in sorted(different, key=str):
            mask = pc.is_null(values) if value is None else pc.equal(values, value)
            part = table.filter(pc.fill_null(mask, False))
            folder = split_name(self.column, value)
            self._writer(folder).write(part)
            if len(part):
                yield folder, part

    def _writer(self, folder: str) -> TableWriter:
        if folder not in self._writers:
            name = RunFiles.kept(self.shard, EXTENSIONS[self.file_format], folder)
            self._writers[folder] = self.create(name)
        return self._writers[folder]

    def _check_number(self, values: list[object]) -> None:
        """Refuse a column that would become more files than a worker should hold open; every shard would have them."""
        folders = self._writers.keys() | {split_name(self.column, value) for value in values}
        if len(folders) > MOST_VALUES:
            raise StageError(
                f"output.split_by: column {self.column!r} has {len(folders)} values in the first records of shard "
                f"{self.shard}, and at most {MOST_VALUES} are split; split by a column with few values, or leave "
                "output.split_by out (what was done so far is kept)"
            )

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
    """Folder of the records with this value: `stage1` for numbers, the value itself for text, `none` for null.

    Args:
        column: Name of the column.
        value: The value. The folder of a text that is long, or holds what a name of a folder should not, has the
            beginning of the text and a hash of the whole, so that no two texts share a folder; every shard must come
            to the same name without knowing the values of the others.
    """
    if value is None:
        return "none"
    if isinstance(value, str):
        name = re.sub(r"[^\w\-.]+", "_", value).strip(".") or "empty"
        short = len(name.encode()) <= _LONGEST_NAME
        if short and name == value and value != "none" and not _LIKE_A_HASH.search(value):
            return name
        size = 8 if short else 16
        digest = hashlib.blake2b(value.encode("utf-8", "surrogatepass"), digest_size=size).hexdigest()
        return f"{name.encode()[: _LONGEST_NAME - 2 * size - 1].decode('utf-8', 'ignore')}-{digest}"
    return f"{column}{value}".lower()
