"""The records of files, or of a finished run with its scores, as Arrow tables."""

from __future__ import annotations

import logging
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from typing import NamedTuple

import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq

from raylib.errors import SourceError
from raylib.messages import LISTS, MESSAGES, Message, message_lists, messages_array
from raylib.reading.block import ReadOptions
from raylib.reading.filesystems import open_filesystem, stem_of
from raylib.reading.found import RUN, SourceFile, by_reason, passed_lines
from raylib.reading.layouts import guess_kind
from raylib.reading.opening import blocks_of
from raylib.reading.parsing import first_record, parse
from raylib.reading.sources import find_files, is_folder_of_a_run
from raylib.reading.turns import answer_message
from raylib.reading.units import Piece
from raylib.schema import single_chunk

__all__ = ["RecordFile", "Unread", "files_of", "tables_of", "with_source"]

_log = logging.getLogger(__name__)

_BATCH_ROWS = 5000
_EARLIER = pa.list_(pa.struct([("role", pa.string()), ("content", pa.large_string())]))
_ANSWERS = ("chosen", "rejected")  # an earlier version stored them as strings
_log = logging.getLogger(__name__)

Rejected = Callable[[pa.Table], None]


class Unread:
    """Counts records that cannot be read; to be given to whatever reads, and to be asked when all is read.

    Attributes:
        reasons: Number of them by reason.
        first: The first of them in words: file, line and what is wrong.
    """

    def __init__(self) -> None:
        self.reasons: Counter[str] = Counter()
        self.first = ""

    def __call__(self, rejects: pa.Table) -> None:
        """Count some."""
        self.reasons.update(rejects["reason"].to_pylist())
        if not self.first and len(rejects):
            self.first = rejects["detail"][0].as_py()

    def __str__(self) -> str:
        counts = ", ".join(f"{count:,} {reason}" for reason, count in self.reasons.most_common())
        return f"{self.reasons.total():,} not read ({counts}), the first of them: {self.first}" if counts else ""

    def tell(self, what: str) -> None:
        """Warn of them, if there are any.

        Args:
            what: What was read.
        """
        if self.reasons:
            _log.warning("%s: %s", what, self)


class RecordFile(NamedTuple):
    """A file of records.

    Attributes:
        source: Source of records that name none: the file's name without extensions.
        path: Path of the file.
        found: The file as it was found; None to look for the path.
    """

    source: str
    path: str
    found: SourceFile | None = None

    @property
    def file(self) -> SourceFile:
        """The file as it was found, or as it is found now."""
        return find_files(self.path).files[0] if self.found is None else self.found

    def tables(self, kind: str = "auto", *, rejected: Rejected) -> Iterator[pa.Table]:
        """The records, a few thousand at a time.

        A Parquet file that already holds records of a kind is given as it is stored, with scores and other columns.

        Args:
            kind: Kind that records of other files become; `auto` decides by the first record.
            rejected: Called with the records that cannot be read, with `reason` and `detail`; such as an `Unread`.
        """
        file = self.file
        if file.error is None and self.path.endswith(".parquet") and _is_ours(_schema(file)):
            try:
                for batch in _parquet(file).iter_batches(_BATCH_ROWS):
                    yield _as_stored_now(pa.Table.from_batches([batch]))
            except (pa.ArrowException, OSError) as error:
                raise SourceError(f"{self.path} is damaged: {error}") from error
            return
        yield from _parsed([file], kind, rejected)


def _parquet(file: SourceFile) -> pq.ParquetFile:
    system, inner = open_filesystem(file.location)
    return pq.ParquetFile(system.open_input_file(inner))


def _schema(file: SourceFile) -> pa.Schema:
    """The schema of a Parquet file; an empty one if it is damaged, which its reader tells."""
    try:
        return _parquet(file).schema_arrow
    except (pa.ArrowException, OSError):
        return pa.schema([])


def _is_ours(schema: pa.Schema) -> bool:
    """Whether a file holds records as this or an earlier version stores them.

    Messages of another type may have keys that would be lost, and roles of another spelling: they are to be read.
    """
    if "id" not in schema.names:
        return False
    columns = {name: schema.field(name).type for name in LISTS if name in schema.names}
    if not any(pa.types.is_nested(kind) for kind in columns.values()):
        return {"source", "text"} <= set(schema.names)
    return all(
        kind in (MESSAGES, _EARLIER) or (name in _ANSWERS and pa.types.is_large_string(kind))
        for name, kind in columns.items()
    )


def _as_stored_now(table: pa.Table) -> pa.Table:
    """A table of our columns, of which those that an earlier version wrote get the type that they have now."""
    for place, name in enumerate(table.column_names):
        kind = table.schema.field(name).type
        if name in LISTS and kind == _EARLIER:
            table = table.set_column(place, name, messages_array(_lists_or_none(table[name])))
        elif name in _ANSWERS and "prompt" in table.column_names and pa.types.is_large_string(kind):
            said = [None if text is None else [answer_message(text)] for text in table[name].to_pylist()]
            table = table.set_column(place, name, messages_array(said))
    return table


def _lists_or_none(column: pa.ChunkedArray) -> list[list[Message] | None]:
    """The messages of each record; None where the column is null."""
    present = column.is_valid().to_pylist()
    return [found if there else None for found, there in zip(message_lists(column), present, strict=True)]


def files_of(sources: Sequence[str]) -> list[RecordFile]:
    """The files of several sources, in order; what was passed over is logged.

    Args:
        sources: Paths of files, folders, globs or URIs, or folders of runs, whose kept files are meant.

    Raises:
        SourceError: A path matches no file.
    """
    return [RecordFile(stem_of(file.path), file.path, file) for file in _files(sources)]


def _files(sources: Sequence[str]) -> list[SourceFile]:
    """The files of several sources; says what was passed over."""
    files, passed = find_files(sources)
    unexpected = (p for p in passed if p.why != RUN)
    for line in passed_lines(by_reason(unexpected, most=3)):
        _log.warning("%s: %s", ", ".join(sources), line)
    return files


def tables_of(path: str, kind: str = "auto", *, rejected: Rejected, scores: bool = False) -> Iterator[pa.Table]:
    """The readable records of a path, in tables of bounded size.

    Args:
        path: Path of a file or folder, a glob, or a URI. The folder of a run stands for its kept records.
        kind: Kind that the records become; `auto` decides by the first record.
        rejected: Called with the records that cannot be read, with `reason` and `detail`; such as an `Unread`.
        scores: Whether the kept records of a run are given as stored, with the columns that its stages added, and
            records without a source get the name of their file.

    Raises:
        SourceError: The path matches no file.
    """
    files = _files([path])
    if not scores:
        yield from _parsed(files, kind, rejected)
    elif is_folder_of_a_run(path):
        for file in files:
            yield from _kept_tables(file, kind, rejected)
    else:
        for file in files:
            for table in _parsed([file], kind, rejected):
                yield with_source(table, stem_of(file.path))


def _kept_tables(file: SourceFile, kind: str, rejected: Rejected) -> Iterator[pa.Table]:
    """The records of a file that a run kept: as stored, or read from JSON lines."""
    if file.error is None and file.path.endswith((".parquet", ".arrow")):
        yield _as_stored_now(_stored_table(file))
        return
    for table in _parsed([file], kind, rejected):
        yield with_source(table, stem_of(file.path))


def with_source(table: pa.Table, source: str) -> pa.Table:
    """The table, with this source for the records that have none."""
    if "source" not in table.column_names:
        return table.append_column("source", pa.repeat(pa.scalar(source, pa.string()), len(table)))
    column = table["source"]
    missing = pc.equal(pc.fill_null(column, ""), "")
    if not pc.any(missing).as_py():
        return table
    filled = pc.if_else(missing, source, column)
    return table.set_column(table.column_names.index("source"), "source", single_chunk(filled))


def _parsed(files: Sequence[SourceFile], kind: str, rejected: Rejected) -> Iterator[pa.Table]:
    """Tables of the readable records of files; the first record of all decides what `auto` is."""
    for file in files:
        for block in blocks_of(Piece(file), ReadOptions()):
            if kind == "auto":
                record = first_record(block)
                kind = guess_kind(record) if record is not None else "document"
            for parsed in parse(block, kind):
                if len(parsed.rejects):
                    rejected(parsed.rejects)
                yield parsed.table


def _stored_table(file: SourceFile) -> pa.Table:
    """A whole file of kept records."""
    system, inner = open_filesystem(file.location)
    if "://" not in file.location and file.path.endswith(".arrow"):
        return pa.ipc.open_file(pa.memory_map(inner)).read_all()
    with system.open_input_file(inner) as stream:
        return pa.ipc.open_file(stream).read_all() if file.path.endswith(".arrow") else pq.read_table(stream)
