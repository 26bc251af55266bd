"""The records of files, or of a finished run with its scores, as Arrow tables."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from pathlib import Path

import pyarrow as pa
import pyarrow.compute as pc

from raylib.schema import single_chunk

__all__ = ["files_of", "set_tables", "source_tables", "tables_of"]


def set_tables(path: str) -> Iterator[pa.Table]:
    """Tables of a set: the kept records, scores included, of a run's folder, or the records of files.

    Records without a source are given the name of their file.
    """
    from raylib.reading.sources import find_files
    from raylib.records import tables_of
    from raylib.storage.store import Store

    store = Store(path)
    if "://" in path or (Path(path) / "manifest.jsonl").is_file():
        import pyarrow.parquet as pq

        names = [n for n in store.names("kept") if n.endswith((".parquet", ".arrow"))]
        if names or store.exists("manifest.jsonl"):
            if not names:
                path = f"{path}/kept"
            for name in names:
                if name.endswith(".arrow"):
                    yield store.read_arrow(name).read_all()
                else:
                    yield pq.read_table(pa.BufferReader(store.read(name)))
            if names:
                return
    for file in find_files(path)[0]:
        name = file.path.rsplit("/", 1)[-1].split(".", maxsplit=1)[0]
        for table in tables_of(file.path):
            source = pc.if_else(pc.equal(pc.fill_null(table["source"], ""), ""), name, table["source"])
            yield table.set_column(table.column_names.index("source"), "source", single_chunk(source))


def tables_of(path: str, kind: str = "auto") -> Iterator[pa.Table]:
    """Tables of the readable records of a file, for stages that compare with a set of their own.

    Raises SourceError when nothing matches the path.
    """
    from raylib.reading.block import ReadOptions
    from raylib.reading.layouts import guess_kind
    from raylib.reading.opening import blocks_of
    from raylib.reading.parsing import first_record, parse
    from raylib.reading.sources import find_files
    from raylib.reading.units import Piece

    for file in find_files(path)[0]:
        for block in blocks_of(Piece(file), ReadOptions()):
            if kind == "auto":
                record = first_record(block)
                kind = guess_kind(record) if record is not None else "document"
            for parsed in parse(block, kind):
                yield parsed.table


def files_of(sources: Sequence[str]) -> list[tuple[str, str]]:
    """(default source name, path) of every file, in order; of a run's folder its kept files."""
    from raylib.reading.sources import find_files

    found = []
    for source in sources:
        place = f"{source.rstrip('/')}/kept" if (Path(source) / "manifest.jsonl").is_file() else source
        found += [(f.path.rsplit("/", 1)[-1].split(".", maxsplit=1)[0], f.path) for f in find_files(place)[0]]
    return found


def source_tables(path: str, kind: str = "auto") -> Iterator[pa.Table]:
    import pyarrow.parquet as pq

    from raylib.records import tables_of

    if path.endswith(".parquet"):
        schema = pq.read_schema(path)
        if {"messages", "text", "prompt"} & set(schema.names) and "id" in schema.names:
            for batch in pq.ParquetFile(path).iter_batches(5000):
                yield pa.Table.from_batches([batch])
            return
    yield from tables_of(path, kind)
