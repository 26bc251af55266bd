"""From instructions to a selection: the Python API, the recipe, a resumed run and the notebook."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
import yaml

import raylib
from quality.scorers import difficulty, ifd
from raylib.engine import run
from raylib.errors import ParameterError
from raylib.recipe import Recipe
from raylib.stage import Outcome
from tests.texts import conversations

Write = Callable[..., Path]


@pytest.mark.slow
def test_python_api_scores_and_selects(write_jsonl: Write, tiny_model: Path) -> None:
    ds = raylib.read(write_jsonl(conversations(80))).score(ifd(str(tiny_model), max_tokens=128), difficulty())
    assert [s.name for s in ds.stages] == ["ifd", "difficulty_features"]
    best = ds.keep_where("ifd < 1.2").select(k=20, by="difficulty", diverse=True)
    assert best.count() == 20
    assert "embedding" not in best.to_arrow().column_names
    assert {"ifd", "difficulty", "selected_rank"} <= set(best.to_arrow().column_names)
    with pytest.raises(ParameterError, match="3 is not a stage"):
        ds.score(3)
    figure = best.plot_tsne(color="difficulty", points=50)
    assert len(figure.axes) == 1
    assert np.asarray(figure.axes[0].collections[0].get_offsets()).shape == (20, 2)


@pytest.mark.long
@pytest.mark.data
def test_the_recipe_for_sft(real_data: Path, tiny_model: Path, tmp_path: Path) -> None:
    from quality.models.classifier import TextClassifier, TrainOptions, read_labelled

    texts, labels, _ = read_labelled([str(real_data / "labels_offensive_zh.jsonl.gz")])
    TextClassifier.train(texts[:3000], labels[:3000], TrainOptions(dimension=16, buckets=20_000, epochs=5)).save(
        str(tmp_path / "offensive")
    )
    recipe = Path(__file__).parents[2] / "recipes" / "sft_zh.yaml"
    names = ("sft_exam_zh", "sft_roleplay_zh", "sft_alpaca_zh_small")
    overrides = {
        "input.path": [str(real_data / f"{n}.jsonl.gz") for n in names],
        "output.path": str(tmp_path / "out"),
        "engine.mode": "inline",
        "stages.ifd.model": str(tiny_model),
        "stages.ifd.max_tokens": 256,
        "stages.ifd.min_parameters": 0,
        "stages.classify.model": str(tmp_path / "offensive"),
    }
    summary = run(Recipe.from_file(recipe, overrides)).summary
    assert summary["records_in"] == summary["records_kept"] + summary["records_rejected"]
    assert summary["by_stage"]["select"]["rejected"] > 0
    assert summary["notes"]["ifd"]["tokens"] > 10_000
    splits = json.loads((tmp_path / "out" / "splits.json").read_text())
    assert list(splits) == ["stage1", "stage2", "stage3"]
    sections = json.loads((tmp_path / "out" / "sections.json").read_text())
    rows = {r[0].split(" (")[0]: r[1:] for r in sections["select"]["blocks"][0]["rows"]}
    _, selected, random = (float(v) for v in rows["mean distance to the nearest neighbour"])
    assert selected > random
    _, selected, random = (float(v) for v in rows["cluster entropy"])
    assert selected > random
    assert yaml.safe_load((tmp_path / "out" / "recipe.yaml").read_text())["output"]["split_by"] == "stage"


def test_resume_after_a_changed_cut_does_not_score_again(
    write_jsonl: Write, tmp_path: Path, tiny_model: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    from quality.scores.ifd import Ifd

    calls = []
    original = Ifd.__call__

    def counted(self: Ifd, table: pa.Table) -> Outcome:
        calls.append(len(table))
        return original(self, table)

    monkeypatch.setattr(Ifd, "__call__", counted)

    source = write_jsonl(conversations(60))

    def recipe(where: str) -> Recipe:
        data = {
            "input": {"path": str(source)},
            "output": {"path": str(tmp_path / "out")},
            "engine": {"mode": "inline", "batch_mb": 0.004},
            "stages": ["collapse_newlines", {"ifd": {"model": str(tiny_model)}}, {"keep_where": where}],
        }
        return Recipe.from_dict(data, "test")

    run(recipe("ifd < 1"))
    assert sum(calls) == 60
    first = len(pq.read_table(tmp_path / "out" / "kept"))
    run(recipe("ifd < 0.97"), update=True)
    assert sum(calls) == 60, "scores were committed before the cut, so another cut finds them"
    assert len(pq.read_table(tmp_path / "out" / "kept")) < first


@pytest.mark.slow
def test_the_notebook_runs(tmp_path: Path) -> None:
    import shutil

    import nbformat
    from nbclient import NotebookClient

    from examples.select_sft import CELLS

    examples = Path(__file__).parents[2] / "examples"
    book = nbformat.read(examples / "select_sft.ipynb", as_version=4)
    assert [c.source for c in book.cells] == [source for _, source in CELLS], "run python examples/select_sft.py"
    shutil.copytree(examples / "instructions", tmp_path / "instructions")
    NotebookClient(book, timeout=300, resources={"metadata": {"path": str(tmp_path)}}).execute()
    outputs = json.dumps([c.outputs for c in book.cells if "plot_tsne" in c.source])
    assert "image/png" in outputs, "the map is drawn"
    assert list((tmp_path / "out" / "select_sft" / "kept").iterdir())
