"""Encoding tables of records in parallel, in order."""

from __future__ import annotations

import os
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pyarrow as pa

from raylib.records import RecordFile
from training.data.encoding import Encoded, TokenOptions, Tools, encode, encode_there, packed

__all__ = ["SMALL", "Encoder"]


_BATCH = 1000  # records that are encoded at once
SMALL = 16 << 20  # bytes of input that are not worth starting processes for


class Encoder:
    """Turns tables into tokens: in this process, or in one process a core for inputs that are worth starting them.

    One process a core beats the threads of one tokenizer, as handling what it returns is work of Python too.
    """

    def __init__(self, tokenizer: Any, path: str, kind: str, options: TokenOptions, work: Path, *, parallel: bool) -> None:  # fmt: skip
        self._kind, self._options = kind, options
        self._wanted = {"pretrain": "document", "sft": "conversation", "preference": "preference"}[kind]
        self._cores = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
        self._pool: Any = None
        self._tools: Any = Tools(tokenizer, kind, options)
        self._place = (str(path), str(work / "tokenizer.json"), (tokenizer.bos_token_id, tokenizer.eos_token_id))
        if parallel and self._cores > 1:
            from joblib import Parallel

            if kind == "pretrain" and self._tools.backend is not None:
                self._tools.backend.save(self._place[1])
            self._pool = Parallel(n_jobs=self._cores, return_as="generator", pre_dispatch="3*n_jobs", batch_size=1)

    def __enter__(self) -> Encoder:
        if self._pool is not None:
            self._pool.__enter__()
        return self

    def __exit__(self, *exception: Any) -> None:
        if self._pool is not None:
            self._pool.__exit__(*exception)

    def encoded(self, file: RecordFile) -> Iterator[Encoded]:
        """The file's records, batch after batch, in their order."""
        if self._pool is None:
            for rows, sources in self._batches(file, _BATCH):
                yield encode(rows, sources, self._tools, self._options, self._kind)
            return
        from joblib import delayed

        tasks = (
            delayed(encode_there)(packed(rows), sources, self._place, self._options, self._kind)
            for rows, sources in self._batches(file, 4 * _BATCH)
        )
        yield from self._pool(tasks)

    def _batches(self, file: RecordFile, size: int) -> Iterator[tuple[pa.Table, list[str]]]:
        for table in file.tables(self._wanted):
            sources = [s or file.source for s in table["source"].to_pylist()]
            for begin in range(0, len(table), size):
                yield table.slice(begin, size), sources[begin : begin + size]
