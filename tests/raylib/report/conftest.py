"""Runs that the tests of the report look at."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import orjson
import pytest

from raylib.engine import run
from raylib.recipe import Recipe
from raylib.report.live import RunView
from raylib.storage.summary import StageTotals, Summary
from tests.raylib.report.runs import append_metrics, recipe_file, served
from tests.texts import ARTICLE


@pytest.fixture(scope="module")
def finished_run(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The output of a run over 40 documents."""
    folder = tmp_path_factory.mktemp("finished")
    run(Recipe.from_file(recipe_file(folder, 40)))
    return folder / "out"


@pytest.fixture(scope="module")
def page_address(finished_run: Path) -> Iterator[str]:
    """The address of its page, on loopback."""
    with served(finished_run) as address:
        yield address


@pytest.fixture
def run_of_400(tmp_path: Path) -> Path:
    """The output of a run over 400 documents, 100 of them too short."""
    run(Recipe.from_file(recipe_file(tmp_path, 400)))
    return tmp_path / "out"


@pytest.fixture
def training_folder(tmp_path: Path) -> Path:
    """The folder of a training run after five steps and an evaluation."""
    steps = [
        {"step": i, "loss": 3 - i / 10, "tgs": 5.0, "lr": 1e-3, "tokens": i, "grad_norm": 1.0} for i in range(1, 6)
    ]
    append_metrics(tmp_path, *steps, {"step": 5, "eval/loss": 2.6})
    return tmp_path


@pytest.fixture(scope="module")
def rejects_view(tmp_path_factory: pytest.TempPathFactory) -> RunView:
    """A run that rejected d0, d4, ... d396 of 400 documents."""
    folder = tmp_path_factory.mktemp("rejects")
    run(Recipe.from_file(recipe_file(folder, 400)))
    return RunView(str(folder / "out"))


@pytest.fixture(scope="module")
def traced_run(tmp_path_factory: pytest.TempPathFactory) -> str:
    """The output of a run whose documents hold links and full-width letters, or are too short."""
    folder = tmp_path_factory.mktemp("trace")
    rows: list[dict[str, Any]] = [{"id": f"d{i}", "text": f"{ARTICLE}详见http://a.cn/{i} ＡＢＣ"} for i in range(6)]
    rows += [{"id": "short", "text": "短[b]文[/b]"}]
    (folder / "in.jsonl").write_bytes(b"".join(orjson.dumps(row) + b"\n" for row in rows))
    data = {
        "input": {"path": str(folder / "in.jsonl")},
        "output": {"path": str(folder / "out")},
        "engine": {"mode": "inline"},
        "stages": ["remove_urls", "normalise_characters", {"length": {"min": 20}}, "exact_dedup"],
    }
    run(Recipe.from_dict(data, "test"))
    return str(folder / "out")


@pytest.fixture
def summary() -> Summary:
    """A run over 1,000 records of two sources."""
    return Summary(
        name="新闻清洗",
        kind="document",
        fingerprint="0123456789abcdef",
        records_in=1000,
        records_kept=600,
        records_rejected=400,
        characters_in=200_000,
        characters_kept=120_000,
        tokens_kept=None,
        records_added=0,
        columns={},
        notes={},
        splits=None,
        bytes_in=600_000,
        seconds=2.5,
        seconds_start=0.5,
        mb_while_starting=0.0,
        phases={"s0": 2.0},
        mb_per_second=0.3,
        by_stage={
            "strip_markup": StageTotals(990, 0, 120, 198_000, 180_000, 0.25),
            "length": StageTotals(990, 390, 0, 180_000, 120_000, 0.1),
        },
        by_reason={"length/too_short_or_long": 390, "read/wrong_type": 10},
        by_source={"论坛": {"in": 200, "kept": 50, "rejected": 150}, "网页": {"in": 800, "kept": 550, "rejected": 250}},
        histogram_in=[0, 0, 100, 900],
        histogram_kept=[0, 0, 0, 600],
        shards=4,
        quarantined=[],
        skipped_files=[],
        skipped_file_count=0,
        engine="inline",
        versions={"raylib": "1.0", "ray": "2.60.0", "python": "3.11"},
    )
