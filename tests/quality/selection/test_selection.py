"""Diversity selection against brute force; clusters, stages of difficulty, and the recipe that uses all of it."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow.parquet as pq
import pytest
import yaml
from hypothesis import given, settings
from hypothesis import strategies as st

import raylib
from quality.embeddings import diversity
from quality.embeddings.clustering import class_keywords
from quality.embeddings.diversity import greedy_by_quality, k_center, quota_by_cluster
from quality.embeddings.metrics import cluster_entropy, nearest_neighbour_distances, vendi_score
from quality.scorers import difficulty, ifd
from raylib.engine import run
from raylib.recipe import Recipe
from tests.texts import conversations

Write = Callable[..., Path]


def clustered(n: int, d: int = 16, groups: int = 8, seed: int = 0) -> np.ndarray:
    rng = np.random.default_rng(seed)
    made = rng.normal(size=(groups, d))[rng.integers(groups, size=n)] + 0.4 * rng.normal(size=(n, d))
    return (made / np.linalg.norm(made, axis=1, keepdims=True)).astype(np.float32)


def plain_greedy(vectors: np.ndarray, order: np.ndarray, k: int, limit: float) -> list[int]:
    kept: list[int] = []
    for i in order.tolist():
        if len(kept) == k:
            break
        if not kept or (vectors[kept] @ vectors[i]).max() < limit:
            kept.append(i)
    return kept


@settings(max_examples=30, deadline=None)
@given(st.integers(1, 300), st.integers(1, 120), st.floats(0.2, 0.99), st.integers(0, 5))
def test_greedy_equals_brute_force(n: int, k: int, limit: float, seed: int) -> None:
    vectors = clustered(n, seed=seed)
    order = np.random.default_rng(seed).permutation(n)
    block, diversity._BLOCK = diversity._BLOCK, 37
    chunk, diversity.CHUNK = diversity.CHUNK, 23
    try:
        chosen = greedy_by_quality(vectors, order, k, limit)
    finally:
        diversity._BLOCK, diversity.CHUNK = block, chunk
    plain = plain_greedy(vectors, order, k, limit)
    assert chosen.rows[: len(plain)].tolist() == plain
    assert len(chosen.rows) == min(k, n) == len(set(chosen.rows.tolist())), "filled up to k"
    for i in np.flatnonzero(chosen.near >= 0).tolist():
        assert chosen.near[i] in chosen.rows
        assert (
            vectors[i] @ vectors[chosen.near[i]] == pytest.approx(chosen.cosine[i], abs=1e-5)
            and chosen.cosine[i] >= limit - 1e-6
        )


def test_k_center_in_one_cell_is_gonzalez() -> None:
    vectors = clustered(400)
    chosen = k_center(vectors, 40)
    first = int(np.argmax(vectors @ vectors.mean(axis=0)))
    plain, distance = [first], 1 - vectors @ vectors[first]
    while len(plain) < 40:
        plain.append(int(np.argmax(np.where(np.isin(np.arange(400), plain), -1, distance))))
        distance = np.minimum(distance, 1 - vectors @ vectors[plain[-1]])
    assert chosen.tolist() == plain


def test_k_center_in_cells_covers_better_than_chance() -> None:
    vectors = clustered(9000, 24, 60)
    chosen = k_center(vectors, 900)
    assert len(set(chosen.tolist())) == 900
    assert k_center(vectors, 900).tolist() == chosen.tolist(), "deterministic"
    random = np.random.default_rng(1).choice(9000, 900, replace=False)

    def radius(rows: np.ndarray) -> float:
        return float((1 - (vectors @ vectors[rows].T).max(axis=1)).max())

    assert radius(chosen) < radius(random)
    assert (
        nearest_neighbour_distances(vectors[chosen]).mean() > 1.2 * nearest_neighbour_distances(vectors[random]).mean()
    )
    assert sorted(k_center(vectors[:50], 50).tolist()) == list(range(50))


@settings(max_examples=30, deadline=None)
@given(st.integers(1, 200), st.integers(1, 250), st.integers(1, 9), st.sampled_from([1.0, 3.0]))
def test_quota(n: int, k: int, groups: int, pool: float) -> None:
    vectors = clustered(n)
    rng = np.random.default_rng(n)
    labels, order = rng.integers(groups, size=n), rng.permutation(n)
    rows = quota_by_cluster(vectors, labels, order, k, pool=pool)
    assert len(rows) == min(k, n) == len(set(rows.tolist()))
    taken, sizes = np.bincount(labels[rows], minlength=groups), np.bincount(labels, minlength=groups)
    short = taken < sizes  # clusters that could have given more give as much as any other, but for one
    if short.any():
        assert taken.max() - taken[short].min() <= 1
    if pool == 1.0:
        place = np.argsort(order)
        for c in range(groups):
            mine = np.flatnonzero(labels == c)
            assert set(rows[labels[rows] == c]) == set(mine[np.argsort(place[mine])][: taken[c]])


def test_metrics() -> None:
    vectors = clustered(300)
    scores = vectors @ vectors.T
    np.fill_diagonal(scores, -2)
    assert np.allclose(nearest_neighbour_distances(vectors), 1 - scores.max(axis=1), atol=1e-5)
    values = np.linalg.eigvalsh((vectors @ vectors.T).astype(float) / 300)
    values = values[values > 1e-12]
    assert vendi_score(vectors) == pytest.approx(np.exp(-(values * np.log(values)).sum()), rel=1e-4)
    assert vendi_score(np.eye(7, dtype=np.float32)) == pytest.approx(7)
    assert vendi_score(np.ones((5, 3), np.float32)) == pytest.approx(1)
    assert cluster_entropy(np.repeat(np.arange(4), 10), 4) == pytest.approx(1)
    assert cluster_entropy(np.zeros(9, int), 4) == 0


def test_keywords_set_classes_apart() -> None:
    counts = {0: {"茶叶": 9, "大家": 9, "炒茶": 5}, 1: {"车站": 9, "大家": 9, "铁路": 4}}
    found = class_keywords(counts, 2)
    assert found == {0: ["茶叶", "炒茶"], 1: ["车站", "铁路"]}


# ---- in the engine --------------------------------------------------------------------------------


def scored(n: int = 240) -> list[dict[str, Any]]:
    rows = conversations(n)
    for i, row in enumerate(rows):
        row["score"] = (i * 37 % 101) / 10 if i % 9 else None
    return rows


def add_score(table: Any) -> Any:
    import pyarrow as pa

    scores = [json.loads(m).get("score") if m else None for m in table["meta"].to_pylist()]
    return table.append_column("score", pa.array(scores, pa.float64()))


def test_select_top_says_why(write_jsonl: Write) -> None:
    ds = raylib.read(write_jsonl(scored())).map(add_score).select(k=50, by="score", diverse=False)
    kept = ds.to_arrow().to_pylist()
    assert [r["selected_rank"] for r in sorted(kept, key=lambda r: r["selected_rank"])] == list(range(1, 51))
    everything = sorted((r["score"] for r in scored() if r["score"] is not None), reverse=True)
    assert sorted((r["score"] for r in kept), reverse=True) == everything[:50]
    rejected = ds.rejected.to_pandas()
    assert len(rejected) == 190 and set(rejected["reason"]) == {"not_selected"}
    assert rejected["detail"].str.contains("score = ").all()
    with pytest.raises(raylib.RaylibError, match=r"fraction|k"):
        ds.stage("select", method="top", by="score")


@pytest.mark.parametrize("method", ["deita", "k_center", "quota"])
def test_select_is_the_same_for_any_cut_of_the_input(method: str, tmp_path: Path, write_jsonl: Write) -> None:
    source = write_jsonl(scored())
    found = []
    for mb in (0.005, 4):
        ds = raylib.read(source).map(add_score).stage("embed", dimensions=32).stage("select", fraction=0.25, by="score", method=method)  # fmt: skip
        ds = ds.on("inline", batch_mb=mb)
        kept = ds.to_arrow()
        assert len(kept) == 60
        found.append(set(kept["id"].to_pylist()) if method == "k_center" else len(kept))
        sections = json.loads((Path(ds.report).parent / "sections.json").read_text())
        metrics = next(b for b in sections["select"]["blocks"] if b["kind"] == "table")
        assert metrics["head"] == ["", "candidates", "selected", "random"]
        assert any(b["kind"] == "maps" and len(b["points"]) == 240 for b in sections["select"]["blocks"])


def test_clusters_have_topics(write_jsonl: Write) -> None:
    ds = raylib.read(write_jsonl(conversations(300))).stage("embed", dimensions=32).cluster(clusters=4)
    table = ds.to_pandas()
    sizes = table["cluster"].value_counts().sort_index()
    assert list(sizes) == sorted(sizes, reverse=True) and len(sizes) == 4
    purity = table.groupby("cluster")["source"].agg(lambda s: s.value_counts().iloc[0]).sum() / len(table)
    assert purity > 0.6
    assert table["topic"].str.len().min() > 0
    assert table.groupby("cluster")["topic"].nunique().max() == 1


def phases(source: Path, out: Path, **stage: Any) -> dict[str, Any]:
    data = {
        "input": {"path": str(source)}, "engine": {"mode": "inline", "batch_mb": 0.01},
        "output": {"path": str(out), "format": "jsonl", "layout": "openai", "split_by": "stage"},
        "stages": ["difficulty_features", {"split_stages": stage}],
    }  # fmt: skip
    return dict(run(Recipe.from_dict(data, "phases")).summary)


def test_stages_do_not_overlap_and_rise(tmp_path: Path, write_jsonl: Write) -> None:
    source = write_jsonl(conversations(300))
    summary = phases(source, tmp_path / "out", by="difficulty", stages=3)
    splits = json.loads((tmp_path / "out" / "splits.json").read_text())
    assert list(splits) == ["stage1", "stage2", "stage3"]
    assert sum(s["records"] for s in splits.values()) == 300 == summary["records_kept"]
    assert all(s["characters"] > 0 for s in splits.values())
    means = [s["mean"]["difficulty"] for s in splits.values()]
    assert means == sorted(means) and means[0] < means[2]
    ids: set[str] = set()
    for name in splits:
        part = list(raylib.read(str(tmp_path / "out" / "kept" / name)))
        assert len(part) == splits[name]["records"]
        new = {r["id"] for r in part}
        assert not ids & new
        ids |= new
    phases(source, tmp_path / "control", by="difficulty", stages=3, shuffle=True)
    control = json.loads((tmp_path / "control" / "splits.json").read_text())
    assert [s["records"] for s in control.values()] == [s["records"] for s in splits.values()]
    spread = [s["mean"]["difficulty"] for s in control.values()]
    assert max(spread) - min(spread) < 0.5 * (means[2] - means[0])
    assert "stage 1" in (tmp_path / "out" / "report.html").read_text()


def test_stages_by_thresholds_and_unscored(write_jsonl: Write) -> None:
    ds = raylib.read(write_jsonl(scored())).map(add_score).stage("split_stages", by="score", thresholds=(2.0, 7.5))
    for row in ds.to_arrow().to_pylist():
        assert row["stage"] == (1 if row["score"] < 2 else 2 if row["score"] < 7.5 else 3)
    assert {r["reason"] for r in ds.rejected} == {"unscored"} and len(ds.rejected) == sum(r["score"] is None for r in scored())  # fmt: skip
    last = raylib.read(write_jsonl(scored())).map(add_score).stage("split_stages", by="score", thresholds=(2.0,), unscored="last")  # fmt: skip
    assert all(r["stage"] == 2 for r in last.to_arrow().to_pylist() if r["score"] is None)
    with pytest.raises(raylib.RaylibError, match="rise"):
        ds.stage("split_stages", thresholds=(3.0, 2.0))


def test_python_api_scores_and_selects(write_jsonl: Write, tiny_model: Path) -> None:
    ds = raylib.read(write_jsonl(conversations(80))).score(ifd(str(tiny_model), max_tokens=128), difficulty())
    assert [s.name for s in ds.stages] == ["ifd", "difficulty_features"]
    best = ds.keep_where("ifd < 1.2").select(k=20, by="difficulty", diverse=True)
    assert best.count() == 20
    assert "embedding" not in best.to_arrow().column_names
    assert {"ifd", "difficulty", "selected_rank"} <= set(best.to_arrow().column_names)
    with pytest.raises(TypeError, match="no stage"):
        ds.score(3)
    figure = best.plot_tsne(color="difficulty", points=50)
    assert len(figure.axes) == 1 and len(figure.axes[0].collections[0].get_offsets()) == 20


@pytest.mark.slow
@pytest.mark.data
def test_the_recipe_for_sft(real_data: Path, tiny_model: Path, tmp_path: Path) -> None:
    from quality.models.classifier import TextClassifier, TrainOptions, read_labelled

    texts, labels, _ = read_labelled([str(real_data / "labels_offensive_zh.jsonl.gz")])
    TextClassifier.train(texts[:3000], labels[:3000], TrainOptions(dimension=16, buckets=20_000, epochs=5)).save(str(tmp_path / "offensive"))  # fmt: skip
    recipe = Path(__file__).parents[3] / "recipes" / "sft_zh.yaml"
    names = ("sft_exam_zh", "sft_roleplay_zh", "sft_alpaca_zh_small")
    overrides = {
        "input.path": [str(real_data / f"{n}.jsonl.gz") for n in names],
        "output.path": str(tmp_path / "out"),
        "engine.mode": "inline",
        "stages.ifd.model": str(tiny_model),
        "stages.ifd.max_tokens": 256,
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


def test_resume_after_a_changed_cut_does_not_score_again(write_jsonl: Write, tmp_path: Path, tiny_model: Path, monkeypatch: pytest.MonkeyPatch) -> None:  # fmt: skip
    from quality.scores.ifd import Ifd

    calls = []
    original = Ifd.__call__
    monkeypatch.setattr(Ifd, "__call__", lambda self, table: (calls.append(len(table)), original(self, table))[1])

    source = write_jsonl(conversations(60))

    def recipe(where: str) -> Recipe:
        data = {
            "input": {"path": str(source)}, "output": {"path": str(tmp_path / "out")},
            "engine": {"mode": "inline", "batch_mb": 0.004}, "stages": ["collapse_newlines", {"ifd": {"model": str(tiny_model)}}, {"keep_where": where}],
        }  # fmt: skip
        return Recipe.from_dict(data, "test")

    run(recipe("ifd < 1"))
    assert sum(calls) == 60
    first = len(pq.read_table(tmp_path / "out" / "kept"))
    run(recipe("ifd < 0.97"))
    assert sum(calls) == 60, "scores were committed before the cut, so another cut finds them"
    assert len(pq.read_table(tmp_path / "out" / "kept")) < first


@pytest.mark.slow
def test_the_notebook_runs(tmp_path: Path) -> None:
    import shutil

    import nbformat
    from nbclient import NotebookClient

    from examples.select_sft import CELLS

    examples = Path(__file__).parents[3] / "examples"
    book = nbformat.read(examples / "select_sft.ipynb", as_version=4)
    assert [c.source for c in book.cells] == [source for _, source in CELLS], "run python examples/select_sft.py"
    shutil.copytree(examples / "instructions", tmp_path / "instructions")
    NotebookClient(book, timeout=300, resources={"metadata": {"path": str(tmp_path)}}).execute()
    outputs = json.dumps([c.outputs for c in book.cells if "plot_tsne" in c.source])
    assert "image/png" in outputs, "the map is drawn"
    assert list((tmp_path / "out" / "select_sft" / "kept").iterdir())
