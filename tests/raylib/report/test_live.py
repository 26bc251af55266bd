"""The live state of a run: it grows with the manifest and agrees with the summary in the end."""

from __future__ import annotations

import os
from pathlib import Path

import orjson
import pytest

from raylib.engine import run
from raylib.errors import SourceError
from raylib.recipe import Recipe
from raylib.report.live import RunView
from tests.raylib.report.runs import recipe_file


@pytest.fixture
def out(tmp_path: Path) -> Path:
    """The output of a run over 400 documents, 100 of them too short."""
    run(Recipe.from_file(recipe_file(tmp_path, 400)))
    return tmp_path / "out"


def test_a_finished_run_shows_its_summary(out: Path) -> None:
    state = RunView(str(out)).state()
    assert state["status"] == "finished"
    assert state["name"] == "页面"
    assert (state["records_in"], state["records_kept"], state["records_rejected"]) == (400, 300, 100)
    assert dict(state["reasons"]) == {"length/too_short_or_long": 100}


def test_a_run_without_its_summary_shows_the_same_numbers(out: Path) -> None:
    finished = RunView(str(out)).state()
    (out / "summary.json").unlink()
    running = RunView(str(out)).state()
    assert running["status"] == "running"
    assert running["name"] == "out"
    for key in ("records_in", "records_kept", "records_rejected", "bytes_done", "reasons", "started"):
        assert running[key] == finished[key], key  # type: ignore[literal-required]
    counts = [[(s["name"], s["in"], s["rejected"]) for s in state["stages"]] for state in (running, finished)]
    assert counts[0] == counts[1]
    first = "normalise_characters + collapse_newlines + length"
    assert [phase["title"] for phase in running["phases"]] == [first, f"rounds after {first}", "exact_dedup"]


def test_a_view_follows_a_manifest_that_grows(out: Path) -> None:
    (out / "summary.json").unlink()
    manifest = out / "manifest.jsonl"
    lines = manifest.read_bytes().splitlines(keepends=True)
    manifest.write_bytes(lines[0])
    view = RunView(str(out))
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


def test_a_manifest_that_was_begun_again_starts_from_nothing(out: Path) -> None:
    (out / "summary.json").unlink()
    view = RunView(str(out))
    assert view.state()["records_in"] == 400
    header = (out / "manifest.jsonl").read_bytes().splitlines(keepends=True)[0]
    (out / "manifest.jsonl").write_bytes(header)
    state = view.state()
    assert (state["records_in"], state["stages"], state["reasons"]) == (0, [], [])


def test_a_run_that_began_after_the_summary_is_running(out: Path) -> None:
    view = RunView(str(out))
    assert view.state()["status"] == "finished"
    header = orjson.loads((out / "manifest.jsonl").read_bytes().splitlines()[0])
    os.utime(out / "summary.json", (header["started"] - 60, header["started"] - 60))
    assert view.state()["status"] == "running"


def test_shards_of_a_continued_run_are_counted_once(out: Path) -> None:
    (out / "summary.json").unlink()
    view = RunView(str(out))
    before = view.state()
    header = (out / "manifest.jsonl").read_bytes().splitlines(keepends=True)[0]
    with (out / "manifest.jsonl").open("ab") as stream:
        stream.write(header)
    assert view.state()["stages"] == before["stages"]


def test_another_folder_is_refused(tmp_path: Path) -> None:
    with pytest.raises(SourceError, match=r"is not the output folder of a run: it has no manifest\.jsonl"):
        RunView(str(tmp_path))
