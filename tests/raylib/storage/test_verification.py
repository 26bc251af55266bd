"""`raylib verify` finds whatever is wrong in a folder, says nothing of a whole one, and its advice helps."""

from __future__ import annotations

import shutil
from collections.abc import Callable
from pathlib import Path

import orjson
import pytest

from raylib.checksums import sealed
from raylib.engine import run
from raylib.errors import SourceError
from raylib.recipe import Recipe
from raylib.storage.verification import verify_run
from tests.raylib.engine.runs import recipe, rows

STAGES = [{"length": {"min": 10}}, "exact_dedup"]


@pytest.fixture(scope="module")
def source(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("verify") / "in.jsonl"
    path.write_bytes(b"".join(orjson.dumps(row) + b"\n" for row in [*rows(200), {"id": "x", "text": "短"}]))
    return path


@pytest.fixture(scope="module")
def finished(source: Path) -> Path:
    run(recipe(source, source.parent / "out", STAGES))
    return source.parent / "out"


@pytest.fixture
def out(finished: Path, tmp_path: Path) -> Path:
    """A copy of a finished run."""
    shutil.copytree(finished, tmp_path / "out")
    return tmp_path / "out"


def of_kind(out: Path, kind: str) -> Path:
    return next(p for p in sorted(out.rglob(kind)) if p.is_file() and p.stat().st_size)


@pytest.mark.parametrize(
    "options", [{}, {"output__format": "jsonl"}, {"output__format": "arrow"}, {"engine__keep_work": False}]
)
def test_a_whole_run(source: Path, tmp_path: Path, options: dict[str, object]) -> None:
    given = recipe(source, tmp_path / "out", STAGES, **options)
    summary = run(given).summary
    found = verify_run(str(tmp_path / "out"))
    assert found.problems == []
    assert found.finished
    assert found.records_in == summary["records_in"] == 201
    assert (found.records_kept, found.records_rejected) == (summary["records_kept"], summary["records_rejected"])
    assert all(area.files for area in found.areas.values())
    assert not any(area.unsummed for area in found.areas.values())


def test_a_run_of_a_changed_recipe_is_whole(source: Path, out: Path) -> None:
    run(recipe(source, out, STAGES[:1]), update=True)
    assert verify_run(str(out)).problems == []


KINDS = [
    "part-*.parquet",
    "s0-*.parquet",
    "stats-*",
    "sketch-*",
    "run-*",
    "part-*.arrow",
    "report.html",
    "samples.json",
]


@pytest.mark.parametrize("kind", [*KINDS, "recipe.yaml", "summary.json"])
def test_every_file_is_checked(source: Path, out: Path, kind: str) -> None:
    file = of_kind(out, kind)
    data = file.read_bytes()
    file.write_bytes(data[:-1] + bytes([data[-1] ^ 1]))
    found = verify_run(str(out))
    assert sum(str(file) in problem for problem in found.problems) == 1
    assert sum(area.damaged for area in found.areas.values()) == 1
    file.unlink()
    found = verify_run(str(out))
    assert f"{file} is missing" in found.problems
    assert sum(area.missing for area in found.areas.values()) == 1
    run(recipe(source, out, STAGES))  # as it advises
    assert verify_run(str(out)).problems == []


def _cut(data: bytes) -> bytes:
    return data[:-5]


def _flipped(data: bytes) -> bytes:
    return data[:100] + bytes([data[100] ^ 8]) + data[101:]


@pytest.mark.parametrize(("damage", "says"), [(_cut, "the last line is cut"), (_flipped, "1 lines are damaged")])
def test_lines_of_the_manifest(source: Path, out: Path, damage: Callable[[bytes], bytes], says: str) -> None:
    manifest = out / "manifest.jsonl"
    manifest.write_bytes(damage(manifest.read_bytes()))
    found = verify_run(str(out))
    assert any(says in problem for problem in found.problems)
    assert found.areas["manifest"].damaged == 1
    run(recipe(source, out, STAGES))
    assert verify_run(str(out)).problems == []


def test_a_file_that_no_task_wrote(out: Path) -> None:
    shutil.copy(of_kind(out, "part-*.parquet"), out / "kept" / "part-00099.parquet")
    assert verify_run(str(out)).problems == [f"{out}/kept/part-00099.parquet belongs to no finished task"]


def test_books_that_do_not_balance(out: Path) -> None:
    """Lines with checksums that are right, but with numbers that are not: what no flipped bit does."""
    manifest = out / "manifest.jsonl"
    lines = []
    for line in manifest.read_bytes().splitlines():
        says = orjson.loads(line)
        del says["line"]
        if says.get("phase") == "s1":
            says["records_out"] += 1
        lines.append(sealed(orjson.dumps(says)) + b"\n")
    manifest.write_bytes(b"".join(lines))
    problems = verify_run(str(out)).problems
    assert any("records in the files" in problem for problem in problems)
    assert any("passed on and" in problem for problem in problems)


def test_a_run_that_has_not_ended(source: Path, out: Path) -> None:
    manifest = out / "manifest.jsonl"
    manifest.write_bytes(b"".join(manifest.read_bytes().splitlines(keepends=True)[:3]))
    found = verify_run(str(out))
    assert not found.finished
    assert found.whole


def test_another_folder(tmp_path: Path) -> None:
    with pytest.raises(SourceError, match=r"it has no manifest\.jsonl"):
        verify_run(str(tmp_path))


def test_object_storage(bucket: Callable[[str], str], server: str, source: Path) -> None:
    uri = f"s3://faulty/verified{bucket(server)}"
    given = Recipe.from_dict(
        {"input": {"path": str(source)}, "output": {"path": uri}, "engine": {"mode": "inline"}, "stages": STAGES}
    )
    run(given)
    found = verify_run(uri)
    assert found.problems == []
    assert found.records_in == 201
