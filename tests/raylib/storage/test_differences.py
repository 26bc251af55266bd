"""What a segment leaves is stored by what differs, and comes back as it was."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pyarrow as pa
import pytest

from raylib.schema import SCHEMAS
from raylib.storage.differences import Base, PartFile, to_store
from raylib.storage.names import Phase, RunFiles, ShardName
from raylib.storage.store import Store

_SHARD = ShardName(3)


def write(store: Store, number: int, *batches: tuple[pa.Table, pa.Table, Base | None]) -> int:
    """Write the file of a segment; returns its size."""
    name = RunFiles.part(Phase.segment(number), _SHARD)
    made = [to_store(*batch) for batch in batches]
    with store.create(name) as stream, pa.ipc.new_file(stream, made[0][0].schema) as writer:
        for table, metadata in made:
            for part in table.combine_chunks().to_batches() if len(table) else ():
                writer.write_batch(part, custom_metadata=metadata)
    return store.size(name) or 0


def documents(first: int, count: int) -> pa.Table:
    rows = [{"id": str(i), "text": f"{i}" + "很长的文字" * 200, "source": "web"} for i in range(first, first + count)]
    return pa.Table.from_pylist(rows, schema=SCHEMAS["document"])


def batches_of(store: Store, number: int) -> list[tuple[pa.Table, pa.Table]]:
    return [(s.table, s.original) for s in PartFile(store, Phase.segment(number), _SHARD).batches()]


@pytest.fixture
def store(tmp_path: Path) -> Store:
    return Store(str(tmp_path))


def test_three_segments_come_back_as_they_were(store: Store) -> None:
    read = [documents(0, 5), documents(5, 4)]
    cleaned = [
        t.set_column(1, t.schema.field(1), pa.array([x + "！" for x in t["text"].to_pylist()], pa.large_string()))
        for t in read
    ]
    whole = write(store, 0, *[(c, r, None) for c, r in zip(cleaned, read, strict=True)])
    assert batches_of(store, 0) == list(zip(cleaned, read, strict=True))

    # the second segment drops rows, changes a text and adds columns, one of them a vector
    rows = [pa.array([0, 2, 4]), pa.array([1, 3])]
    vectors = pa.FixedSizeListArray.from_arrays(pa.array(np.arange(6, dtype=np.float32)), 2)
    later, originals, bases = [], [], []
    for stored, kept in zip(PartFile(store, Phase.segment(0), _SHARD).batches(), rows, strict=True):
        table = stored.table.take(kept)
        texts = ["新" if i == 1 else x for i, x in enumerate(table["text"].to_pylist())]
        table = table.set_column(1, table.schema.field(1), pa.array(texts, pa.large_string()))
        later.append(table.append_column("vector", vectors.slice(0, len(kept))))
        originals.append(stored.original.take(kept))
        bases.append(stored.base.take(kept))
    size = write(store, 1, *zip(later, originals, bases, strict=True))
    assert size < whole / 3, "texts that did not change are not written again"
    assert batches_of(store, 1) == list(zip(later, originals, strict=True))

    # the third one adds a copy, drops a column and all rows of the second batch
    parts = list(PartFile(store, Phase.segment(1), _SHARD).batches())
    copied, none = pa.array([2, 2, 0]), pa.array([], pa.int64())
    last = [p.table.drop_columns(["vector"]).take(kept) for p, kept in zip(parts, (copied, none), strict=True)]
    write(
        store,
        2,
        (last[0], parts[0].original.take(copied), parts[0].base.take(copied)),
        (last[1], parts[1].original.take(none), parts[1].base.take(none)),
    )
    assert batches_of(store, 2) == [(last[0], originals[0].take(copied))]
    assert [t["id"].to_pylist() for t in PartFile(store, Phase.segment(2), _SHARD).rows(np.array([0, 2]))] == [
        ["4", "0"]
    ]
    texts = [t["text"].to_pylist() for t in PartFile(store, Phase.segment(1), _SHARD).rows(np.array([1, 4]))]
    assert texts == [["新"], ["新"]]


def test_a_file_without_records(store: Store) -> None:
    empty = documents(0, 0)
    write(store, 0, (empty, empty, None))
    [stored] = PartFile(store, Phase.segment(0), _SHARD).batches()
    assert (stored.table, stored.original) == (empty, empty)
    write(store, 1, (stored.table.append_column("score", pa.array([], pa.float64())), stored.original, stored.base))
    [(table, original)] = batches_of(store, 1)
    assert table.column_names == [*empty.column_names, "score"]
    assert original == empty


@pytest.mark.parametrize("changed", [False, True])
def test_messages(store: Store, changed: bool) -> None:
    rows = [{"id": str(i), "messages": [{"role": "user", "content": "问"}, {"role": "assistant", "content": f"{i}"}]}
            for i in range(3)]  # fmt: skip
    read = pa.Table.from_pylist(rows, schema=SCHEMAS["conversation"])
    other = [{**r, "messages": [*r["messages"], {"role": "user", "content": "又"}]} for r in rows] if changed else rows
    work = pa.Table.from_pylist(other, schema=SCHEMAS["conversation"])
    write(store, 0, (work, read, None))
    [stored] = PartFile(store, Phase.segment(0), _SHARD).batches()
    assert (stored.table, stored.original) == (work, read)
    write(store, 1, (read, stored.original, stored.base))
    assert batches_of(store, 1) == [(read, read)]


def test_values_that_are_missing(store: Store) -> None:
    """A null is told from a value that is not written because the file before holds it."""
    read = documents(0, 3)
    write(store, 0, (read.append_column("note", pa.array(["a", "b", None], pa.large_string())), read, None))
    [stored] = PartFile(store, Phase.segment(0), _SHARD).batches()
    later = stored.table.set_column(
        stored.table.column_names.index("note"), "note", pa.array([None, "b", "c"], pa.large_string())
    )
    write(store, 1, (later, stored.original, stored.base))
    assert batches_of(store, 1) == [(later, read)]
    [again] = PartFile(store, Phase.segment(1), _SHARD).batches()
    filled = later.set_column(later.column_names.index("note"), "note", pa.array(["x", "b", "c"], pa.large_string()))
    write(store, 2, (filled, again.original, again.base))
    assert batches_of(store, 2) == [(filled, read)]


def test_files_of_older_versions_are_read(store: Store) -> None:
    """They held each version of a text in a column, in every segment."""
    read = documents(0, 2)
    work = read.set_column(1, read.schema.field(1), pa.array(["甲", read["text"][1].as_py()], pa.large_string()))
    old = work.append_column("__original_text", pa.array([read["text"][0].as_py(), None], pa.large_string()))
    with store.create(RunFiles.part(Phase.segment(1), _SHARD)) as stream, pa.ipc.new_file(stream, old.schema) as writer:
        writer.write_table(old)
    [stored] = PartFile(store, Phase.segment(1), _SHARD).batches()
    assert (stored.table, stored.original) == (work, read)
    write(store, 2, (work.slice(1), stored.original.slice(1), stored.base.take(pa.array([1]))))
    assert batches_of(store, 2) == [(work.slice(1), read.slice(1))]
