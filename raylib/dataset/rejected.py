"""The rejects of a run, as a table, a DataFrame or records."""

from __future__ import annotations

import sys
from collections.abc import Iterator
from dataclasses import dataclass
from typing import TYPE_CHECKING

import pyarrow as pa
import pyarrow.parquet as pq

from raylib.dataset.results import Row, as_pandas
from raylib.engine import RunResult
from raylib.messages import rows_of
from raylib.schema import text_of
from raylib.storage.store import Store

if TYPE_CHECKING:
    import pandas as pd

__all__ = ["Rejected"]


@dataclass(frozen=True)
class Rejected:
    """The rejects of a run: original records with `stage`, `reason` and `detail`. Iterates over records.

    Attributes:
        result: The run.
    """

    result: RunResult

    def to_arrow(self) -> pa.Table:
        """All rejects as one table."""
        store = Store(self.result.path)
        return pa.concat_tables([pq.read_table(pa.BufferReader(store.read(n))) for n in store.names("rejected")])

    def to_pandas(self) -> pd.DataFrame:
        """All rejects as a pandas DataFrame (extra `notebook`)."""
        return as_pandas(self.to_arrow())

    def count(self) -> int:
        """Number of rejects."""
        return int(self.result.summary["records_rejected"])

    def __len__(self) -> int:
        return self.count()

    def __iter__(self) -> Iterator[Row]:
        yield from rows_of(self.to_arrow())

    def show(self, n: int = 5, width: int = 200) -> None:
        """Print the first `n` rejects with stage, reason and detail."""
        table = self.to_arrow().slice(0, n)
        texts = text_of(table).to_pylist()
        for row, text in zip(table.to_pylist(), texts, strict=True):
            head = f"--- {row['id']}: {row['stage']}/{row['reason']}: {row['detail']}"
            sys.stdout.write(f"{head}\n{(text or '')[:width]}\n")

    def __repr__(self) -> str:
        reasons = "\n".join(f"  {k}: {v:,}" for k, v in self.result.summary["by_reason"].items())
        return f"<raylib rejects, {self.count():,} records\n{reasons}>"
