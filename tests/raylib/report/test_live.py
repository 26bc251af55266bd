"""The live state of a run: it grows with the manifest and agrees with the summary in the end."""

from __future__ import annotations

import os
from pathlib import Path

import orjson
import pytest

from raylib.errors import SourceError
from raylib.report.live import RunView


def test_a_finished_run_shows_its_summary(run_of_400: Path) -> None:
    state = RunView(str(run_of_400)).state()
    assert state["status"] == "finished"
    assert state["name"] == "页面"
    assert (state["records_in"], state["records_kept"], state["records_rejected"]) == (400, 300, 100)
    assert dict(state["reasons"]) == {"length/too_short_or_long": 100}


def test_a_run_without_its_summary_shows_the_same_numbers(run_of_400: Path) -> None:
    finished = RunView(str(run_of_400)).state()
    (run_of_400 / "summary.json").unlink()
    running = RunView(str(run_of_400)).state()
    assert running["status"] == "running"
    assert running["name"] == "out"
    for key in ("records_in", "records_kept", "records_rejected", "bytes_done", "reasons", "started"):
        assert running[key] == finished[key], key
    counts = [[(s["name"], s["in"], s["rejected"]) for s in state["stages"]] for state in (running, finished)]
    assert counts[0] == counts[1]
    first = "normalise_characters + collapse_newlines + length"
    assert [phase["title"] for phase in running["phases"]] == [first, f"rounds after {first}", "exact_dedup"]


def test_a_view_follows_a_manifest_that_grows(run_of_400: Path) -> None:
    (run_of_400 / "summary.json").unlink()
    manifest = run_of_400 / "manifest.jsonl"
    lines = manifest.read_bytes().splitlines(keepends=True)
    manifest.write_bytes(lines[0])
    view = RunView(str(run_of_400))
    assert view.state()["records_in"] == 0
    assert view.rejects()["records"] == []
    seen = []
    for line in lines[1:]:
        with manifest.open("ab") as stream:
            stream.write(line)
        state = view.state()
        seen.append((state["records_in"], state["records_rejected"]))
    assert seen == sorted(seen), "numbers only grow"
    assert seen[-1] == (400, 100)
    assert len(view.rejects(limit=500)["records"]) == 100


def test_a_manifest_that_was_begun_again_starts_from_nothing(run_of_400: Path) -> None:
    (run_of_400 / "summary.json").unlink()
    view = RunView(str(run_of_400))
    assert view.state()["records_in"] == 400
    header = (run_of_400 / "manifest.jsonl").read_bytes().splitlines(keepends=True)[0]
    (run_of_400 / "manifest.jsonl").write_bytes(header)
    state = view.state()
    assert (state["records_in"], state["stages"], state["reasons"]) == (0, [], [])


def test_a_run_that_began_after_the_summary_is_running(run_of_400: Path) -> None:
    view = RunView(str(run_of_400))
    assert view.state()["status"] == "finished"
    header = orjson.loads((run_of_400 / "manifest.jsonl").read_bytes().splitlines()[0])
    os.utime(run_of_400 / "summary.json", (header["started"] - 60, header["started"] - 60))
    assert view.state()["status"] == "running"


def test_shards_of_a_continued_run_are_counted_once(run_of_400: Path) -> None:
    (run_of_400 / "summary.json").unlink()
    view = RunView(str(run_of_400))
    before = view.state()
    header = (run_of_400 / "manifest.jsonl").read_bytes().splitlines(keepends=True)[0]
    with (run_of_400 / "manifest.jsonl").open("ab") as stream:
        stream.write(header)
    assert view.state()["stages"] == before["stages"]


def test_another_folder_is_refused(tmp_path: Path) -> None:
    with pytest.raises(SourceError, match=r"is not the output folder of a run: it has no manifest\.jsonl"):
        RunView(str(tmp_path))
