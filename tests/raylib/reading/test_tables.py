"""Tables: bounded by bytes, checked before a value is looked at, and never given up for one bad part."""

from __future__ import annotations

import itertools
import math
import re
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from raylib.reading.block import ReadOptions
from raylib.reading.opening import blocks_of
from raylib.reading.row_sizes import cuts, row_sizes
from raylib.reading.sources import SourceFile
from raylib.reading.units import Piece, plan
from tests.raylib.reading.reads import read_file, reasons

MIB = 1 << 20


def repeated(text: str, rows: int) -> pa.Table:
    """A table whose every row is the same value of a dictionary."""
    return pa.table({"text": pa.DictionaryArray.from_arrays(pa.array([0] * rows, pa.int32()), pa.array([text]))})


def write_arrow(path: Path, table: pa.Table, *, stream: bool = False, rows: int | None = None, codec: str = "") -> None:
    options = pa.ipc.IpcWriteOptions(compression=codec or None)
    with (pa.ipc.new_stream if stream else pa.ipc.new_file)(path, table.schema, options=options) as writer:
        writer.write_table(table, max_chunksize=rows)


@pytest.mark.parametrize("name", ["x.parquet", "x.arrow"])
def test_a_dictionary_is_no_bomb(tmp_path: Path, name: str) -> None:
    """A megabyte of text, a hundred thousand times, in a file of a few kilobytes."""
    path = tmp_path / name
    if name.endswith("parquet"):
        pq.write_table(
            repeated("长" * (MIB // 3), 100_000), path, compression="zstd", dictionary_pagesize_limit=4 * MIB
        )
    else:
        write_arrow(path, repeated("长" * (MIB // 3), 100_000), codec="zstd")
    before = pa.total_allocated_bytes()
    kept = unread = 0
    options = ReadOptions()
    for block in blocks_of(Piece(SourceFile(str(path), path.stat().st_size, 0)), options):
        assert pa.total_allocated_bytes() - before < 600 * MIB
        if block.error is not None:
            assert block.error.reason == "expansion_limit"
            [said] = re.findall(r"([\d,]+) rows from row", block.error.detail)
            unread += int(said.replace(",", ""))
        elif block.table is not None:
            kept += len(block.table)
    assert kept + unread == 100_000
    assert 200 < kept < 300


def test_compressed_batches_are_measured_before_they_unfold(tmp_path: Path) -> None:
    table = pa.table({"text": pa.array(["x" * (300 * MIB)], pa.large_string())})
    for stream in (False, True):
        write_arrow(tmp_path / "x.arrow", pa.concat_tables([table] * 2), stream=stream, codec="zstd")
        pool_peak = pa.default_memory_pool().max_memory()
        records, rejects = read_file(tmp_path / "x.arrow")
        assert not records
        assert set(reasons(rejects)) == {"expansion_limit"}
        assert pa.default_memory_pool().max_memory() <= max(pool_peak, 700 * MIB)


@pytest.mark.parametrize("name", ["x.parquet", "x.arrow"])
def test_a_row_over_the_limit_is_a_reject(tmp_path: Path, name: str) -> None:
    table = pa.table({"id": ["a", "b", "c"], "text": ["短", "长" * MIB, "短"]})
    if name.endswith("parquet"):
        pq.write_table(table, tmp_path / name)
    else:
        write_arrow(tmp_path / name, table)
    records, rejects = read_file(tmp_path / name, max_record_bytes=MIB)
    assert [record["id"] for record in records] == ["a", "c"]
    assert reasons(rejects) == ["record_too_long"]
    assert f"{name}:2:" in rejects[0]["detail"]


def test_a_batch_of_many_rows_comes_in_blocks(tmp_path: Path) -> None:
    write_arrow(tmp_path / "x.arrow", pa.table({"text": [f"第{n}行" for n in range(30_000)]}))
    piece = Piece(SourceFile(str(tmp_path / "x.arrow"), 1, 0))
    sizes = [len(block.table) for block in blocks_of(piece, ReadOptions()) if block.table is not None]
    assert sum(sizes) == 30_000
    assert max(sizes) <= 4096


def test_values_that_python_does_not_have(tmp_path: Path) -> None:
    table = pa.table({"text": ["甲", "乙", "丙"], "day": pa.array([1, 5_000_000, None], pa.date32())})
    pq.write_table(table, tmp_path / "x.parquet")
    records, rejects = read_file(tmp_path / "x.parquet")
    assert [record["meta"] for record in records] == ['{"day":"1970-01-02"}', '{"day":"15659-07-15"}', None]
    assert not rejects


@pytest.mark.parametrize("name", ["x.parquet", "x.arrow"])
@pytest.mark.parametrize("nested", [False, True])
def test_text_that_is_not_utf8_is_a_reject_of_its_row(tmp_path: Path, name: str, nested: bool) -> None:
    table = pa.table({"id": [f"标{n}号" for n in range(9)], "text": ["好"] * 9})
    if nested:
        turns = [
            [{"role": "user", "content": f"问{n}"}, {"role": "assistant", "content": f"标{n}号"}] for n in range(9)
        ]
        table = pa.table({"messages": turns})
    if name.endswith("parquet"):
        pq.write_table(table, tmp_path / name, compression="none", use_dictionary=False)
    else:
        write_arrow(tmp_path / name, table)
    data = (tmp_path / name).read_bytes().replace("标5号".encode(), b"\xff\xff\xff5\xff\xff\xff")
    records, rejects = read_file(tmp_path / name, data, "conversation" if nested else "document")
    assert len(records) == 8
    assert reasons(rejects) == ["bad_encoding"]
    assert f"{name}:6:" in rejects[0]["detail"]


def test_a_damaged_row_group_leaves_the_others(tmp_path: Path) -> None:
    path = tmp_path / "x.parquet"
    pq.write_table(pa.table({"text": [f"第{n}行" for n in range(30)]}), path, row_group_size=10, use_dictionary=False)
    at = pq.ParquetFile(path).metadata.row_group(1).column(0).data_page_offset
    data = path.read_bytes()
    records, rejects = read_file(path, data[:at] + b"\xff" * 6 + data[at + 6 :])
    assert len(records) == 20
    assert reasons(rejects) == ["unreadable_file"]
    assert "10 rows from row 11 on were not read" in rejects[0]["detail"]


@pytest.mark.parametrize("name", ["x.parquet", "x.arrow"])
@pytest.mark.parametrize("cut", [1, 5, 100, 20_000])
def test_a_large_table_without_its_end_is_planned_and_refused(tmp_path: Path, name: str, cut: int) -> None:
    table = pa.table({"text": [f"{n * n}" * 20 for n in range(5000)]})
    path = tmp_path / name
    if name.endswith("parquet"):
        pq.write_table(table, path, row_group_size=500)
    else:
        write_arrow(path, table, rows=500)
    whole = path.read_bytes()
    path.write_bytes(whole[:-cut])
    [unit] = plan([SourceFile(str(path), len(whole) - cut, 0)], 4096)
    rejects = [block.error for block in blocks_of(unit.pieces[0], ReadOptions()) if block.error is not None]
    assert len(rejects) == 1


def test_a_stream_is_read_to_its_end_or_announced(tmp_path: Path) -> None:
    path = tmp_path / "x.arrow"
    write_arrow(path, pa.table({"text": [f"第{n}行" for n in range(40)]}), stream=True, rows=10)
    whole = path.read_bytes()
    assert [len(found) for found in read_file(path, whole)] == [40, 0]
    for data, kept in ((whole[:-8], 40), (whole[:-100], 30), (whole + whole, 40)):
        records, rejects = read_file(path, data)
        assert (len(records), len(rejects)) == (kept, 1)


_COLUMNS = st.sampled_from(
    [
        pa.array(["", "好", None, "x" * 50]),
        pa.array([b"1", None, b"", b"22"], pa.large_binary()),
        pa.array([["a", "bb"], None, [], ["ccc"]]),
        pa.array([{"a": "x", "b": ["yy", "z"]}, None, {"a": None, "b": None}, {"a": "", "b": []}]),
        pa.array(["a", "b" * 20, "a", None]).dictionary_encode(),
        pa.array([[("k", "v")], None, [], [("a", "bb"), ("c", "d")]], pa.map_(pa.string(), pa.string())),
    ]
)


def weight(value: object) -> int:
    """Bytes of the texts in a value."""
    if isinstance(value, (str, bytes)):
        return len(value.encode() if isinstance(value, str) else value)
    if isinstance(value, dict):
        value = list(value.values())
    return sum(map(weight, value)) if isinstance(value, (list, tuple)) else 0


@given(columns=st.lists(_COLUMNS, min_size=1, max_size=3))
def test_sizes_of_rows_are_those_of_their_texts(columns: list[pa.Array]) -> None:
    batch = pa.record_batch(columns, names=[str(n) for n in range(len(columns))])
    assert row_sizes(batch).tolist() == [weight(row) for row in batch.to_pylist()]


@settings(max_examples=100)
@given(sizes=st.lists(st.integers(0, 50)), most_bytes=st.integers(1, 60), most_rows=st.integers(1, 5))
def test_cuts_cover_all_rows(sizes: list[int], most_bytes: int, most_rows: int) -> None:
    borders = cuts(np.array(sizes, np.int64), most_bytes, most_rows)
    assert borders[0] == 0
    assert borders[-1] == len(sizes)
    for begin, end in itertools.pairwise(borders):
        assert 0 < end - begin <= most_rows
        assert end == begin + 1 or sum(sizes[begin:end]) <= most_bytes


@pytest.mark.parametrize("neighbour", ["b", ""])
def test_ids_and_texts_of_a_table_follow_the_rules_of_other_records(tmp_path: Path, neighbour: str) -> None:
    """The short way through a table without a flaw gives what the long way does."""
    path = tmp_path / "x.parquet"
    cases: list[tuple[Any, Any, list[str], list[str]]] = [
        ([1.5, math.nan], ["a", neighbour], [f"{path}:000000001", f"{path}:000000002"], []),
        (["", "z"], ["a", neighbour], [f"{path}:000000001", "z"], []),
        ([1 << 62, 7], ["a", neighbour], [str(1 << 62), "7"], []),
        (["y", "z"], [1, 2], [], ["wrong_type", "wrong_type"]),
        (["y", "z"], [b"1", b"2"], [], ["wrong_type", "wrong_type"]),
        (["y", "z"], pa.array(["a", neighbour]).dictionary_encode(), ["y", "z"], []),
    ]
    for ids, texts, kept, refused in cases:
        pq.write_table(pa.table({"id": ids, "text": texts}), path)
        records, rejects = read_file(path)
        if neighbour or refused:
            assert [r["id"] for r in records] == kept
            assert reasons(rejects) == refused
        else:
            assert ([r["id"] for r in records], reasons(rejects)) == (kept[:1], ["empty_text"])
