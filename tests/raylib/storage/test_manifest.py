"""The manifest after a kill: a cut line is dropped, unknown lines stay, changed files are not finished work."""

from __future__ import annotations

from pathlib import Path

from raylib.checksums import sealed
from raylib.storage.entry import ShardEntry, StreamEntry
from raylib.storage.manifest import Manifest
from raylib.storage.names import STREAM, Phase, ShardName
from raylib.storage.store import Store

FIRST = Phase.segment(0)


def test_finished_work_is_found_again(store_of_a_run: Store) -> None:
    manifest = Manifest(store_of_a_run)
    assert manifest.find(FIRST, ShardName(0), "key") == ShardEntry(
        FIRST, ShardName(0), "key", {"kept/a": 5}, records_in=3
    )
    assert manifest.find(STREAM, ShardName(0), "whole") == StreamEntry(ShardName(0), "whole", 1)
    assert manifest.find(FIRST, ShardName(0), "another key") is None
    assert manifest.find(FIRST, ShardName(1), "key") is None


def test_a_file_of_another_size_is_not_finished_work(store_of_a_run: Store) -> None:
    store_of_a_run.write("kept/a", b"1234")
    assert Manifest(store_of_a_run).find(FIRST, ShardName(0), "key") is None


def test_a_cut_line_is_dropped_and_does_not_swallow_the_next(store_of_a_run: Store, tmp_path: Path) -> None:
    with (tmp_path / "manifest.jsonl").open("ab") as stream:
        stream.write(b'{"files":{},"phase":"s0","sha')
    Manifest(store_of_a_run).append(ShardEntry(FIRST, ShardName(7), "key", {}))
    assert Manifest(store_of_a_run).find(FIRST, ShardName(7), "key") is not None
    assert b'"sha\n' not in (tmp_path / "manifest.jsonl").read_bytes()


def test_lines_that_this_version_does_not_know_stay(store_of_a_run: Store, tmp_path: Path) -> None:
    with (tmp_path / "manifest.jsonl").open("ab") as stream:
        stream.write(sealed(b'{"note":"of a later version"}') + b"\n")
    Manifest(store_of_a_run).append(StreamEntry(ShardName(1), "whole", 1))
    assert sealed(b'{"note":"of a later version"}') in (tmp_path / "manifest.jsonl").read_bytes()
