"""Encoding tables of records in parallel, in order."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import TYPE_CHECKING

import pyarrow as pa

from raylib import machine
from raylib.chat import stop_ids
from raylib.extras import optional
from raylib.parents import end_with
from raylib.records import RecordFile, with_source
from training.data.encoded import Encoded, Refused, TokenOptions, unread
from training.data.encoding import EncoderPlace, Tools, encode, encode_there, packed
from training.data.token_set import Kind
from training.data.tokenizer import Tokenizer

if TYPE_CHECKING:
    from types import TracebackType

    from joblib import Parallel

__all__ = ["SMALL", "Encoder"]


_BATCH = 1000  # records that are encoded at once
SMALL = 16 << 20  # bytes of input below which starting processes does not pay
_RECORD_KINDS = {"pretrain": "document", "sft": "conversation", "preference": "preference"}


class Encoder:
    """Turns tables into tokens: in this process, or in one process per core for inputs that are worth starting them.

    A process per core is faster than the threads of one tokenizer, because handling what the tokenizer returns is work
    of Python, too.
    """

    def __init__(
        self, tokenizer: Tokenizer, path: str, kind: Kind, options: TokenOptions, work: Path, *, parallel: bool
    ) -> None:
        self._kind, self._options = kind, options
        self._cores = machine.cpus()
        self._pool: Parallel | None = None
        self._tools = Tools(tokenizer, kind, options, stop_ids(path))
        self._place = EncoderPlace(str(path), str(work / "tokenizer.json"), self._tools.borders)
        if parallel and self._cores > 1:
            self._pool = self._processes()

    def _processes(self) -> Parallel:
        """A pool of processes, which find the bare tokenizer in a file if text is all that they encode."""
        if self._kind == "pretrain" and self._tools.backend is not None:
            self._tools.backend.save(self._place.bare)
        joblib = optional("joblib", purpose="raylib tokenize")
        pool: Parallel = joblib.Parallel(
            n_jobs=self._cores,
            return_as="generator",
            pre_dispatch="3*n_jobs",
            batch_size=1,
            initializer=end_with,
            initargs=(os.getpid(),),
        )
        return pool

    def __enter__(self) -> Encoder:
        if self._pool is not None:
            self._pool.__enter__()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        if self._pool is not None:
            self._pool.__exit__(kind, error, traceback)

    def encoded(self, file: RecordFile, refuse: Callable[[list[Refused]], None]) -> Iterator[Encoded]:
        """Records of a file, batch after batch, in their order.

        Args:
            file: The file, with the source of records that have none.
            refuse: Called with records that cannot be read.
        """
        if self._pool is None:
            for rows, sources in self._batches(file, _BATCH, refuse):
                yield encode(rows, sources, self._tools, self._options, self._kind)
            return
        delayed = optional("joblib", purpose="raylib tokenize").delayed(encode_there)
        tasks = (
            delayed(packed(rows), sources, self._place, self._options, self._kind)
            for rows, sources in self._batches(file, 4 * _BATCH, refuse)
        )
        yield from self._pool(tasks)

    def _batches(
        self, file: RecordFile, size: int, refuse: Callable[[list[Refused]], None]
    ) -> Iterator[tuple[pa.Table, list[str]]]:
        """Tables of at most `size` records, each with the sources of its records."""

        def rejected(rejects: pa.Table) -> None:
            refuse(unread(rejects))

        for table in file.tables(_RECORD_KINDS[self._kind], rejected=rejected):
            sources = with_source(table, file.source)["source"].to_pylist()
            for begin in range(0, len(table), size):
                yield table.slice(begin, size), sources[begin : begin + size]
