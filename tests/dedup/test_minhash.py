"""MinHash: kernels against datasketch and true Jaccard, components against brute force, runs end to end."""

from __future__ import annotations

import itertools
import random
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import orjson
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

import raylib
from dedup.clusters import contract, label_components, node_keys, star_rows
from dedup.lsh import band_keys, candidate_probability, optimal_bands
from dedup.shingles import shingle_set, tokens
from dedup.signatures import estimated_jaccard, low_bytes, signatures, true_jaccard
from raylib.engine import run
from raylib.recipe import Recipe
from tests.dedup.corpus import SENTENCES, corpus, edited
from tests.texts import ARTICLE, ENGLISH

Write = Callable[..., Path]

GOLDEN = [
    [37899400, 3669362, 73973606, 9950617],
    [51579976, 14998928, 25408436, 15930997],
    [14457386091261298278, 13690498337691321304],
]


def pairs(n: int = 400) -> tuple[pa.Array, np.ndarray, np.ndarray]:
    rng = random.Random(3)
    texts = []
    for _ in range(n):
        text = "".join(rng.choices(SENTENCES, k=12)) + str(rng.random())
        texts += [text, edited(text, rng, rng.choice([0.005, 0.01, 0.02, 0.05, 0.1]))]
    index = np.arange(0, 2 * n, 2)
    return pa.array(texts, pa.large_string()), index, index + 1


@pytest.mark.slow
def test_estimates_are_unbiased_and_as_precise_as_theory_allows() -> None:
    texts, left, right = pairs()
    true = true_jaccard(texts, left, right)
    matrix = signatures(tokens(texts))
    theory = np.sqrt(true * (1 - true) / 128)
    for estimate in (
        (matrix[left] == matrix[right]).mean(axis=1),
        estimated_jaccard(low_bytes(matrix), left, right),
    ):
        error = estimate - true
        assert abs(error.mean()) < 4 * theory.mean() / np.sqrt(len(true))
        assert np.sqrt((error**2).mean()) < 1.2 * np.sqrt((theory**2).mean())


@pytest.mark.slow
def test_true_jaccard_equals_sets_and_estimates_agree_with_datasketch() -> None:
    datasketch = pytest.importorskip("datasketch")
    texts, left, right = pairs(120)
    listed = texts.to_pylist()
    sets = [shingle_set(t) for t in listed]
    by_sets = [len(sets[a] & sets[b]) / len(sets[a] | sets[b]) for a, b in zip(left, right, strict=True)]
    assert true_jaccard(texts, left, right).tolist() == pytest.approx(by_sets)
    theirs = []
    for members in sets:
        sketch = datasketch.MinHash(128)
        sketch.update_batch(list(members))
        theirs.append(sketch)
    other = np.array([theirs[a].jaccard(theirs[b]) for a, b in zip(left, right, strict=True)])
    ours = estimated_jaccard(low_bytes(signatures(tokens(texts))), left, right)
    # two independent estimates of the same value differ by sqrt(2) standard deviations
    spread = np.sqrt(2 * np.array(by_sets) * (1 - np.array(by_sets)) / 128)
    assert np.abs(ours - other).mean() < 1.2 * spread.mean()


def test_bands_are_datasketchs_optimum_for_equal_weights() -> None:
    lsh = pytest.importorskip("datasketch.lsh")
    for threshold in (0.5, 0.7, 0.8, 0.9):
        assert optimal_bands(threshold, 128, 0.5) == lsh._optimal_param(threshold, 128, 0.5, 0.5)
        bands, rows = optimal_bands(threshold, 128)
        assert bands * rows <= 128
        assert candidate_probability(threshold + 0.1, bands, rows) > 0.95


def test_hash_functions_are_fixed_forever() -> None:
    """Saved indexes depend on these numbers: if this fails, the code is wrong, not the test."""
    matrix = signatures(tokens(pa.array([ARTICLE, ENGLISH, "短", ""], pa.large_string())), permutations=16)
    assert matrix[0, :4].tolist() == GOLDEN[0]
    assert matrix[1, :4].tolist() == GOLDEN[1]
    assert band_keys(matrix, 4, 4)[0].tolist()[:2] == GOLDEN[2]


def test_words_are_tokens_with_han_characters_apart() -> None:
    view = tokens(pa.array(["Hello, World 2024!", "hello world", "用Python写", "！！"], pa.large_string()), "word")
    rows = [view.values[a:b].tolist() for a, b in itertools.pairwise(view.starts.tolist())]
    assert [len(r) for r in rows] == [3, 2, 3, 2]
    assert rows[0][:2] == rows[1]


nodes = st.integers(0, 40)


@settings(max_examples=200)
@given(st.lists(st.tuples(nodes, nodes), max_size=60), st.integers(1, 7))
def test_rounds_find_the_components(edges: list[tuple[int, int]], parts: int) -> None:
    """Any partition of the keys, repeated until nothing changes, ends with brute force's components."""
    expected = {n: n for e in edges for n in e}
    for _ in expected:
        for a, b in edges:
            low = min(expected[a], expected[b])
            expected[a] = expected[b] = low
    left = np.array([e[0] for e in edges], np.uint64)
    right = np.array([e[1] for e in edges], np.uint64)
    rows = star_rows(*label_components(left[:0], right[:0]))
    table = pa.concat_tables([rows, star_rows(left, right)])
    for _ in range(50):
        part = table["key"].to_numpy() % np.uint64(parts)
        results = [contract(table.filter(pa.array(part == p))) for p in range(parts) if (part == p).any()]
        table = pa.concat_tables([rows, *[r for r, _ in results]])
        if not any(changed for _, changed in results):
            break
    else:
        pytest.fail("no end")
    found = {n: n for n in expected}
    mine = table["key"].to_numpy() == node_keys(table["root"].to_numpy())
    found.update(zip(table["node"].to_numpy()[mine].tolist(), table["root"].to_numpy()[mine].tolist(), strict=True))
    assert found == expected


def recipe(source: Any, out: Path, stage: dict[str, Any] | None = None, **engine: Any) -> Recipe:
    return Recipe.from_dict(
        {
            "input": {"path": [str(s) for s in source] if isinstance(source, list) else str(source)},
            "output": {"path": str(out)},
            "engine": {"mode": "inline", "batch_mb": 0.05, **engine},
            "stages": [{"minhash_dedup": stage or {}}],
        }
    )


def kept_ids(out: Path) -> list[str]:
    return sorted(pq.read_table(out / "kept")["id"].to_pylist())


def test_one_record_of_each_cluster_stays(tmp_path: Path, write_jsonl: Write) -> None:
    source = write_jsonl(corpus())
    summary = run(recipe(source, tmp_path / "out")).summary
    assert kept_ids(tmp_path / "out") == [f"{i:04d}-a" for i in range(300)]
    assert summary["shards"] > 3
    for row in pq.read_table(tmp_path / "out" / "rejected").to_pylist():
        assert row["detail"].startswith(f"duplicate of {row['id'][:4]}-a, similarity ")
        assert float(row["detail"].rsplit(" ", 1)[1]) >= 0.7
    page = (tmp_path / "out" / "report.html").read_text("utf-8")
    for shown in ("Clusters by size", "Duplicates between sources", "Estimated against true Jaccard", "cluster of 3"):
        assert shown in page


def test_any_order_partition_and_verification_gives_the_same(tmp_path: Path, write_jsonl: Write) -> None:
    rows = corpus()
    half = len(rows) // 2
    a, b = write_jsonl(rows[:half], "a.jsonl"), write_jsonl(rows[half:], "b.jsonl")
    run(recipe([a, b], tmp_path / "ab"))
    run(recipe([b, a], tmp_path / "ba"))
    run(recipe([a, b], tmp_path / "parts", resolve_mb=0.05))
    run(recipe([a, b], tmp_path / "true", {"verify": "jaccard"}))
    assert len(list((tmp_path / "parts" / ".work" / "r0.0.0").iterdir())) > 3
    assert kept_ids(tmp_path / "ab") == kept_ids(tmp_path / "ba") == kept_ids(tmp_path / "parts")
    assert kept_ids(tmp_path / "true") == kept_ids(tmp_path / "ab")


@pytest.mark.cluster
@pytest.mark.parametrize("actors", [1, 4])
def test_same_bytes_on_ray(tmp_path: Path, write_jsonl: Write, ray_cluster: Any, actors: int) -> None:
    source = write_jsonl(corpus(150))
    run(recipe(source, tmp_path / "inline", {"mark": True}, resolve_mb=0.05))
    run(recipe(source, tmp_path / "ray", {"mark": True}, resolve_mb=0.05, mode="ray", actors=actors))
    for folder in ("kept", "rejected"):
        for file in (tmp_path / "inline" / folder).iterdir():
            assert file.read_bytes() == (tmp_path / "ray" / folder / file.name).read_bytes()


def test_priority_marks_and_short_texts(tmp_path: Path, write_jsonl: Write) -> None:
    text = ARTICLE * 2
    rows = [
        {"id": "a", "source": "mirror", "text": text},
        {"id": "b", "source": "origin", "text": text + "。。"},
        {"id": "c", "source": "mirror", "text": "短"},
        {"id": "d", "source": "mirror", "text": "短"},
        {"id": "e", "source": "mirror", "text": "长"},
        {"id": "f", "source": "mirror", "text": "！！"},
    ]
    out = tmp_path / "out"
    run(recipe(write_jsonl(rows), out, {"priority": ["source:origin,mirror"], "mark": True}))
    kept = {r["id"]: r for r in pq.read_table(out / "kept").to_pylist()}
    assert sorted(kept) == ["b", "c", "e", "f"]
    assert (kept["b"]["cluster"], kept["b"]["cluster_size"]) == ("b", 2)
    assert kept["e"]["cluster"] is None


def test_giant_buckets_are_bounded_work(tmp_path: Path, write_jsonl: Write) -> None:
    """Thousands of copies of one page: star comparisons, not all pairs; reported as a giant cluster."""
    rows = [{"id": f"{i:05d}", "text": f"{ARTICLE}{i}"} for i in range(3000)]
    out = tmp_path / "out"
    run(recipe(write_jsonl(rows), out))
    assert kept_ids(out) == ["00000"]
    assert "clusters of over 1,000 records" in (out / "report.html").read_text("utf-8")


@pytest.mark.parametrize(
    "bad", [{"threshold": 1.5}, {"bands": 3}, {"bands": 50, "rows": 5}, {"permutations": 3}, {"priority": ["-score"]}]
)
def test_wrong_parameters_are_named(tmp_path: Path, write_jsonl: Write, bad: dict[str, Any]) -> None:
    with pytest.raises(raylib.RaylibError, match="|".join([*bad, "score"])):
        run(recipe(write_jsonl(corpus(5)), tmp_path / "out", bad))


@pytest.mark.data
@pytest.mark.slow
def test_accuracy_on_the_truth_set(real_data: Path, tmp_path: Path) -> None:
    import gzip

    with gzip.open(real_data / "dedup_truth_zh.jsonl.gz") as stream:
        rows = [orjson.loads(line) for line in stream]
    ds = raylib.read(real_data / "dedup_truth_zh.jsonl.gz").to_simplified().minhash_dedup(threshold=0.7)
    kept = {r["id"] for r in ds}
    original = {r["cluster_id"]: r for r in rows if r["edit_kind"] == "original"}
    found: dict[str, list[bool]] = {}
    for row in rows:
        first = original.get(row["cluster_id"])
        if row["edit_kind"] == "original" or first is None:
            continue
        gone = row["id"] not in kept or first["id"] not in kept
        if row["jaccard5"] >= 0.8:
            found.setdefault("similar", []).append(gone)
        if row["edit_kind"] in ("traditional", "punctuation"):
            found.setdefault(row["edit_kind"], []).append(gone)
    assert {k: np.mean(v) >= 0.99 for k, v in found.items()} == dict.fromkeys(found, True), found.keys()
    removed = list(ds.rejected)
    by_id = {r["id"]: r["text"] for r in rows}
    keeper = [r["detail"].removeprefix("duplicate of ").split(",")[0] for r in removed]
    texts = pa.array([by_id[r["id"]] for r in removed] + [by_id[k] for k in keeper], pa.large_string())
    from cleaning.rules import to_simplified

    index = np.arange(len(removed))
    true = true_jaccard(to_simplified(texts), index, index + len(removed))
    assert (true >= 0.6).mean() >= 0.995
