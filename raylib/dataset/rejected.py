"""The rejects of a run, as a table, a DataFrame or records."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import pyarrow as pa

from raylib.engine import RunResult
from raylib.schema import text_of
from raylib.storage.store import Store

__all__ = ["Rejected"]


@dataclass(frozen=True)
class Rejected:
    """The rejects of a run, as a table, a DataFrame or records."""

    result: RunResult

    def to_arrow(self) -> pa.Table:
        import pyarrow.parquet as pq

        store = Store(self.result.path)
        return pa.concat_tables([pq.read_table(pa.BufferReader(store.read(n))) for n in store.names("rejected")])

    def to_pandas(self) -> Any:
        return self.to_arrow().to_pandas()

    def count(self) -> int:
        return int(self.result.summary["records_rejected"])

    def __len__(self) -> int:
        return self.count()

    def __iter__(self) -> Iterator[dict[str, Any]]:
        yield from self.to_arrow().to_pylist()

    def show(self, n: int = 5, width: int = 200) -> None:
        """Print the first `n` rejects with stage, reason and detail."""
        table = self.to_arrow().slice(0, n)
        texts = text_of(table).to_pylist()
        for row, text in zip(table.to_pylist(), texts, strict=True):
            print(f"--- {row['id']}: {row['stage']}/{row['reason']}: {row['detail']}\n{(text or '')[:width]}")

    def __repr__(self) -> str:
        reasons = "\n".join(f"  {k}: {v:,}" for k, v in self.result.summary["by_reason"].items())
        return f"<raylib rejects, {self.count():,} records\n{reasons}>"
