"""Lines of the manifest and the summary come back from JSON as they went in, byte for byte."""

from __future__ import annotations

from pathlib import Path

import orjson
import pytest

from raylib.storage.entry import RoundEntry, RunHeader, ShardEntry, StreamEntry
from raylib.storage.lines import read_line
from raylib.storage.names import Phase, ShardName
from raylib.storage.store import Store
from raylib.storage.summary import Summary

LINES = [
    b'{"run":"2986e5fd","started":1795682781.94,"versions":{"raylib":"0.1.0"},"bytes":281490,"segments":["length","exact_dedup"]}',
    b'{"files":{"rejected/s0-00000-00002.parquet":8765,".work/s0/part-00000-00002.arrow":54178},"records_in":230,"records_out":204,'
    b'"records_rejected":26,"bytes_in":268519,"consumed":21174,"sketch_bytes":7739,"phase":"s0","shard":"00000-00002","key":"4e3b",'
    b'"seconds":0.5141}',
    b'{"files":{".work/r0.0.0/run-00000.arrow":1},"rows":3,"bytes":96,"changed":false,"notes":{"pairs":[["a","b"]]},"phase":"r0.0.0",'
    b'"shard":"00000","key":"k","seconds":0.01}',
    b'{"phase":"stream","shard":"00007","key":"w","files":{},"blocks":12}',
]


@pytest.mark.parametrize(("line", "kind"), [*zip(LINES, [RunHeader, ShardEntry, RoundEntry, StreamEntry], strict=True)])
def test_a_line_is_written_as_it_was_read(line: bytes, kind: type) -> None:
    read = read_line(line)
    assert read is not None
    assert isinstance(read, kind)
    assert orjson.dumps(read.to_json()) == line


@pytest.mark.parametrize("line", [b"", LINES[1][:-20], b'{"note":1}'])
def test_cut_and_unknown_lines_say_nothing(line: bytes) -> None:
    assert read_line(line) is None


def test_counters_that_an_older_version_did_not_write_are_zero() -> None:
    read = read_line(b'{"files":{},"records_in":5,"phase":"s1","shard":"00001","key":"k"}')
    assert read == ShardEntry(Phase.segment(1), ShardName(1), "k", {}, records_in=5)


@pytest.mark.parametrize("more", [False, True])
def test_a_summary_comes_back_whole(tmp_path: Path, more: bool) -> None:
    by_stage = {
        "length": {"in": 9, "rejected": 1, "changed": 0, "characters_in": 90, "characters_out": 80, "seconds": 0.5}
    }
    lost = {"shard": "00003", "phase": "s0", "error": "RuntimeError: x", "attempts": 3, "input": ["a.jsonl"]}
    data: dict[str, object] = {
        "name": "demo",
        "kind": "document",
        "fingerprint": "f",
        "records_in": 9,
        "records_kept": 8,
        "records_rejected": 1,
        "characters_in": 90,
        "characters_kept": 80,
        **({"tokens_kept": 7} if more else {}),
        "records_added": 0,
        "columns": {},
        "notes": {},
        **({"splits": {"stage1": {"records": 3}}} if more else {}),
        "bytes_in": 100,
        "seconds": 1.5,
        "seconds_start": 0.5,
        "mb_while_starting": 0.0,
        "phases": {"s0": 0.5},
        "mb_per_second": 1.0,
        "by_stage": by_stage,
        "by_reason": {"length/too_short": 1},
        "by_source": {"a": {"in": 9}},
        "histogram_in": [0, 9],
        "histogram_kept": [0, 8],
        "shards": 1,
        "quarantined": [lost],
        "skipped_files": ["b.bin"],
        "skipped_file_count": 1,
        "skipped": {"unknown extension": {"count": 1, "first": ["b.bin"]}},
        "engine": "ray",
        "versions": {},
    }
    (tmp_path / "summary.json").write_bytes(orjson.dumps(data))
    assert orjson.dumps(Summary.read(Store(str(tmp_path))).to_json()) == orjson.dumps(data)
