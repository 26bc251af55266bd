"""Files of a run that have changed since: a run that is continued notices, and makes what they belong to anew."""

from __future__ import annotations

import logging
import random
import shutil
from collections.abc import Callable
from pathlib import Path

import orjson
import pytest

from raylib.engine import run
from raylib.recipe import Recipe
from tests.raylib.engine.runs import Count, content, recipe, rows

STAGES = [{"length": {"min": 10}}, {"line_dedup": {}}, {"minhash_dedup": {"threshold": 0.6}}, "exact_dedup"]


@pytest.fixture(scope="module")
def finished(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with an input and a finished run of it, with everything that its stages left in between."""
    folder = tmp_path_factory.mktemp("damage")
    (folder / "in.jsonl").write_bytes(b"".join(orjson.dumps(row) + b"\n" for row in rows(300)))
    run(recipe(folder / "in.jsonl", folder / "out", STAGES))
    return folder


@pytest.fixture
def scene(finished: Path, tmp_path: Path) -> tuple[Path, Recipe, dict[str, bytes]]:
    """A copy of the run, a recipe that continues it, and what it has to hold in the end."""
    shutil.copytree(finished / "out", tmp_path / "out")
    return tmp_path / "out", recipe(finished / "in.jsonl", tmp_path / "out", STAGES), content(finished / "out")


def flip(file: Path, rng: random.Random) -> None:
    data = bytearray(file.read_bytes())
    data[rng.randrange(len(data))] ^= 1 << rng.randrange(8)
    file.write_bytes(data)


KINDS = ["kept/*", "rejected/*", "part-*", "sketch-*", "facts-*", "stats-*", "run-*"]


@pytest.mark.parametrize("kind", KINDS)
def test_a_flipped_bit_is_noticed(
    scene: tuple[Path, Recipe, dict[str, bytes]], kind: str, caplog: pytest.LogCaptureFixture
) -> None:
    out, given, expected = scene
    rng = random.Random(kind)
    files = sorted(p for p in (out.glob(kind) if "/" in kind else out.rglob(kind)) if p.is_file())
    assert files
    for file in rng.sample(files, min(3, len(files))):
        flip(file, rng)
        caplog.clear()
        count = Count()
        run(given, progress=count)
        assert sum(count.done.values()) == 1, "the task of this file, and no other"
        assert f"the content of {file} has changed; shard" in caplog.text
        assert content(out) == expected


@pytest.mark.parametrize("name", ["samples.json", "sections.json", "summary.json", "decisions.json", "recipe.yaml"])
def test_other_files_are_written_again(scene: tuple[Path, Recipe, dict[str, bytes]], name: str) -> None:
    out, given, expected = scene
    if not (out / name).exists():
        pytest.skip(f"this run has no {name}")
    for damage in (b"", b"\0" * 50, (out / name).read_bytes()[:-20]):
        (out / name).write_bytes(damage)
        run(given)
        assert content(out) == expected
        assert (out / name).read_bytes() != damage


def _torn(data: bytes, rng: random.Random) -> bytes:
    return data[: rng.randrange(len(data))]


def _flipped(data: bytes, rng: random.Random) -> bytes:
    changed = bytearray(data)
    for _ in range(3):
        changed[rng.randrange(len(changed))] ^= 1 << rng.randrange(8)
    return bytes(changed)


def _with_nuls(data: bytes, rng: random.Random) -> bytes:
    return data + b"\0" * rng.randrange(1, 5000)


def _ending_in_nuls(data: bytes, rng: random.Random) -> bytes:
    count = rng.randrange(1, len(data))
    return data[:-count] + b"\0" * count


def _emptied(data: bytes, rng: random.Random) -> bytes:
    return b""


def _other_count(data: bytes, rng: random.Random) -> bytes:
    return data.replace(b'"records_out":', b'"records_out":1', 1)


def _other_size(data: bytes, rng: random.Random) -> bytes:
    return data.replace(b'.parquet":', b'.parquet":1', 1)


@pytest.mark.parametrize("damage", [_torn, _flipped, _with_nuls, _ending_in_nuls, _emptied, _other_count, _other_size])
def test_a_damaged_manifest_costs_work_and_nothing_else(
    scene: tuple[Path, Recipe, dict[str, bytes]], damage: Callable[[bytes, random.Random], bytes]
) -> None:
    out, given, expected = scene
    rng = random.Random(damage.__name__)
    for _ in range(3):
        data = (out / "manifest.jsonl").read_bytes()
        (out / "manifest.jsonl").write_bytes(damage(data, rng))
        summary = run(given).summary
        assert content(out) == expected
        assert summary["records_in"] == summary["records_kept"] + summary["records_rejected"] == 300


def test_damaged_lines_are_told_of(
    scene: tuple[Path, Recipe, dict[str, bytes]], caplog: pytest.LogCaptureFixture
) -> None:
    out, given, _ = scene
    data = (out / "manifest.jsonl").read_bytes()
    (out / "manifest.jsonl").write_bytes(data.replace(b'"records_out":', b'"records_out":1', 2))
    run(given)
    assert f"{out}/manifest.jsonl: 2 damaged lines are dropped" in caplog.text


def test_a_cut_last_line_is_no_reason_to_worry(
    scene: tuple[Path, Recipe, dict[str, bytes]], caplog: pytest.LogCaptureFixture
) -> None:
    out, given, _ = scene
    (out / "manifest.jsonl").write_bytes((out / "manifest.jsonl").read_bytes()[:-30])
    with caplog.at_level(logging.WARNING):
        run(given)
    assert not caplog.records


def test_a_manifest_without_checksums_is_continued(scene: tuple[Path, Recipe, dict[str, bytes]]) -> None:
    """As an earlier version wrote it."""
    out, given, expected = scene
    lines = []
    for line in (out / "manifest.jsonl").read_bytes().splitlines():
        says = orjson.loads(line)
        if "end" not in says:
            lines.append(orjson.dumps({k: v for k, v in says.items() if k not in ("line", "sums", "recipe")}) + b"\n")
    (out / "manifest.jsonl").write_bytes(b"".join(lines))
    count = Count()
    run(given, progress=count)
    assert not count.done
    assert content(out) == expected


def test_after_the_first_line_with_a_checksum_all_have_one(scene: tuple[Path, Recipe, dict[str, bytes]]) -> None:
    out, given, expected = scene
    first, second, *others = (out / "manifest.jsonl").read_bytes().splitlines(keepends=True)
    unsealed = orjson.dumps({k: v for k, v in orjson.loads(second).items() if k != "line"}) + b"\n"
    (out / "manifest.jsonl").write_bytes(b"".join([first, unsealed, *others]))
    count = Count()
    run(given, progress=count)
    assert sum(count.done.values()) == 1
    assert content(out) == expected


def test_checks_of_the_content_can_be_left_out(finished: Path, scene: tuple[Path, Recipe, dict[str, bytes]]) -> None:
    out, *_ = scene
    flip(next(out.glob("kept/*")), random.Random(1))
    count = Count()
    run(recipe(finished / "in.jsonl", out, STAGES, engine__check_content=False), progress=count)
    assert not count.done
