"""Every removed record is similar to the one that stays: chains, sizes, orders, priorities, twins, both measures."""

from __future__ import annotations

import itertools
import random
import re
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from dedup.clusters import contract, label_components, star_rows
from dedup.minhash import MinHashDedup
from dedup.representatives import twins_of
from dedup.semantic import duplicates_in_cluster
from dedup.shingles import shingle_set
from dedup.signatures import estimated_jaccard, joined_to_leaders, least_agreement
from dedup.verdicts import shown_digits
from raylib.engine import run
from raylib.recipe import Recipe
from tests.dedup.corpus import corpus, edited

Write = Callable[..., Path]
Low = npt.NDArray[np.uint8]


def drifting(n: int = 60, step: int = 40) -> list[dict[str, Any]]:
    """Each text shares most of its characters with the next one; the first and the last share none."""
    rng = random.Random(11)
    text = "".join(chr(rng.randrange(0x4E00, 0x9000)) for _ in range(600))
    rows = []
    for i in range(n):
        rows.append({"id": f"{i:02d}", "text": text})
        text = text[step:] + "".join(chr(rng.randrange(0x4E00, 0x9000)) for _ in range(step))
    return rows


def deduplicated(
    source: Path | list[Path], out: Path, stage: dict[str, Any], **engine: Any
) -> tuple[list[str], list[dict[str, Any]]]:
    data = {
        "input": {"path": [str(s) for s in source] if isinstance(source, list) else str(source)},
        "output": {"path": str(out)},
        "engine": {"mode": "inline", "batch_mb": 0.05, **engine},
        "stages": [{"minhash_dedup": stage}],
    }
    run(Recipe.from_dict(data))
    return sorted(pq.read_table(out / "kept")["id"].to_pylist()), pq.read_table(out / "rejected").to_pylist()


def jaccard(left: str, right: str) -> float:
    a, b = shingle_set(left), shingle_set(right)
    return len(a & b) / len(a | b)


def shown(row: dict[str, Any]) -> tuple[str, float]:
    found = re.fullmatch(r"duplicate of (.*), similarity ([\d.]+)", row["detail"])
    assert found, row["detail"]
    return found[1], float(found[2])


@pytest.mark.parametrize("stage", [{}, {"verify": "none"}, {"priority": ["longest"]}, {"threshold": 0.704}])
def test_a_drift_of_sixty_texts_keeps_one_of_each_stretch(
    tmp_path: Path, write_jsonl: Write, stage: dict[str, Any]
) -> None:
    rows = drifting()
    texts = {r["id"]: r["text"] for r in rows}
    kept, rejected = deduplicated(write_jsonl(rows), tmp_path / "out", stage)
    assert 12 <= len(kept) <= 30
    for row in rejected:
        stays, similarity = shown(row)
        assert stays in kept
        assert similarity >= stage.get("threshold", 0.7)
        assert jaccard(texts[row["id"]], texts[stays]) >= 0.6
    page = (tmp_path / "out" / "report.html").read_text("utf-8")
    of_report = [float(s) for s in re.findall(r"cluster of \d+, similarity ([\d.]+)", page)]
    assert of_report
    assert min(of_report) >= stage.get("threshold", 0.7)


def test_by_true_similarity_the_result_is_that_of_sets(tmp_path: Path, write_jsonl: Write) -> None:
    """The drift is dense enough for every similar pair to be found, so brute force over sets decides the same."""
    rows = [*drifting(40), *corpus(30)]
    texts = {r["id"]: r["text"] for r in rows}
    kept, rejected = deduplicated(write_jsonl(rows), tmp_path / "out", {"verify": "jaccard"})
    expected: list[str] = []
    for identifier in sorted(texts):
        if not any(jaccard(texts[identifier], texts[other]) >= 0.7 for other in expected):
            expected.append(identifier)
    assert kept == expected
    for row in rejected:
        stays, similarity = shown(row)
        assert similarity == pytest.approx(jaccard(texts[row["id"]], texts[stays]), abs=0.006)


def test_candidates_of_datasketch_decide_the_same(tmp_path: Path, write_jsonl: Write) -> None:
    lsh = pytest.importorskip("datasketch")
    rng = random.Random(8)
    rows = corpus(60)
    rows += [{"id": f"{r['id']}-{k}", "text": edited(r["text"], rng, 0.004)} for r in rows[:20] for k in range(3)]
    texts = {r["id"]: r["text"] for r in rows}
    index = lsh.MinHashLSH(params=(42, 3), num_perm=128)
    sketches = {}
    for identifier, text in texts.items():
        sketches[identifier] = lsh.MinHash(128)
        sketches[identifier].update_batch(sorted(shingle_set(text)))
        index.insert(identifier, sketches[identifier])
    expected: list[str] = []
    for identifier in sorted(texts):
        near = set(index.query(sketches[identifier])) & set(expected)
        if not any(jaccard(texts[identifier], texts[other]) >= 0.7 for other in near):
            expected.append(identifier)
    kept, _ = deduplicated(write_jsonl(rows), tmp_path / "out", {"verify": "jaccard"})
    assert kept == expected


def test_neither_order_nor_shards_nor_ranges_decide(tmp_path: Path, write_jsonl: Write) -> None:
    rows = [*drifting(), *corpus(60)]
    rows += [{"id": f"{r['id']}-again", "text": r["text"]} for r in rows[::7]]
    a, b = write_jsonl(rows[::2], "a.jsonl"), write_jsonl(rows[1::2], "b.jsonl")
    one = deduplicated([a, b], tmp_path / "one", {}, batch_mb=8)
    others = [
        deduplicated([b, a], tmp_path / "turned", {}),
        deduplicated(write_jsonl(rows[::-1], "c.jsonl"), tmp_path / "parts", {}, resolve_mb=0.02, batch_mb=0.02),
    ]
    for kept, rejected in others:
        assert kept == one[0]
        assert {r["id"]: r["detail"] for r in rejected} == {r["id"]: r["detail"] for r in one[1]}


def test_copies_share_the_fate_of_the_first(tmp_path: Path, write_jsonl: Write) -> None:
    """Copies of every text of a drift, in the same table and in another one, change nothing about what stays."""
    rows = drifting(30)
    kept, rejected = deduplicated(write_jsonl(rows), tmp_path / "plain", {})
    copies = [{"id": f"{r['id']}-{k}", "text": r["text"]} for r in rows for k in range(5)]
    files = [write_jsonl([*rows, *copies[::2]], "a.jsonl"), write_jsonl(copies[1::2], "b.jsonl")]
    again, removed = deduplicated(files, tmp_path / "copies", {"mark": True})
    assert again == kept
    of_plain = {r["id"]: shown(r)[0] for r in rejected} | {i: i for i in kept}
    for row in removed:
        assert shown(row)[0] == of_plain[row["id"][:2]]


def brute_force(low: Low, borders: npt.NDArray[np.int64], threshold: float) -> list[int]:
    out = list(range(len(low)))
    for begin, end in itertools.pairwise(borders.tolist()):
        stays: list[int] = []
        for row in range(begin, end):
            near = estimated_jaccard(low, np.array(stays, np.int64), np.full(len(stays), row))
            if (near >= threshold).any():
                out[row] = stays[int((near >= threshold).argmax())]
            else:
                stays.append(row)
    return out


@settings(max_examples=60)
@given(st.integers(0, 10_000), st.integers(1, 120), st.sampled_from([0.5, 0.7, 0.704, 0.95, 1.0]), st.integers(0, 9))
def test_leaders_equal_brute_force_also_over_the_limit(seed: int, n: int, threshold: float, compared: int) -> None:
    rng = np.random.default_rng(seed)
    low = rng.integers(0, 256, (n, 64)).astype(np.uint8)
    for row in range(1, n):
        same = rng.random(64) < rng.choice([0.6, 0.9, 1.0])
        low[row, same] = low[rng.integers(0, row), same]
    borders = np.unique(np.array([0, n // 3, n]))
    least = least_agreement(threshold, 64)
    assert brute_force(low, borders, threshold) == joined_to_leaders(low, borders, least, 8, 8).tolist()
    # with bands of one value all similar pairs share one, so the limit changes nothing
    assert brute_force(low, borders, threshold) == joined_to_leaders(low, borders, least, 64, 1, compared).tolist()
    few = joined_to_leaders(low, borders, least, 8, 8, compared)
    assert (estimated_jaccard(low, few, np.arange(n)) >= threshold).all()
    assert (few[few] == few).all()


@settings(max_examples=80)
@given(st.lists(st.tuples(st.integers(0, 3), st.integers(0, 4)), max_size=40))
def test_twins_are_led_by_the_first_of_each_text(pairs: list[tuple[int, int]]) -> None:
    pairs.sort(key=lambda p: p[0])
    component, twin = (np.array([p[i] for p in pairs], np.uint64) for i in (0, 1))
    twins = twins_of(component, twin)
    assert (np.diff(twins.heads) > 0).all()
    assert twins.heads[twins.group].tolist() == [pairs.index(pair) for pair in pairs]


@settings(max_examples=100)
@given(st.lists(st.tuples(st.integers(1, 30), st.integers(0, 29)), max_size=60))
def test_leaves_do_not_change_the_components(edges: list[tuple[int, int]]) -> None:
    pairs = {(max(a, b), min(a, b)) for a, b in edges if a != b}
    node, root = (np.array([p[i] for p in sorted(pairs)], np.uint64) for i in (0, 1))
    rows, _ = contract(star_rows(node, root))
    found = set(zip(rows["node"].to_pylist(), rows["root"].to_pylist(), strict=True))
    nodes, roots = label_components(node, root)
    assert found == {(a, b) for a, b in zip(nodes.tolist(), roots.tolist(), strict=True) if a != b}


@settings(max_examples=60)
@given(st.integers(0, 10_000), st.integers(0, 90), st.sampled_from([0.7, 0.9, 0.95123]))
def test_meaning_too_removed_are_similar_to_one_that_stays(seed: int, n: int, threshold: float) -> None:
    rng = np.random.default_rng(seed)
    angle = np.cumsum(rng.choice([0.05, 0.2, 0.9], n))  # a drift around a circle
    vectors = np.stack([np.cos(angle), np.sin(angle)], axis=1).astype(np.float32)
    parent, similarity = duplicates_in_cluster(vectors, threshold)
    gone = np.flatnonzero(parent >= 0)
    assert (parent[parent[gone]] == -1).all()
    assert (parent[gone] < gone).all()
    assert (similarity[gone] >= threshold).all()
    assert np.allclose((vectors[gone] * vectors[parent[gone]]).sum(axis=1), similarity[gone], atol=1e-5)


@settings(max_examples=200)
@given(st.floats(0.001, 1), st.floats(0, 1))
def test_a_similarity_is_never_shown_under_its_threshold(threshold: float, more: float) -> None:
    threshold = float(f"{threshold:.6f}") or 1.0
    similarity = threshold + more * (1 - threshold)
    assert round(similarity, shown_digits(threshold, 2)) >= threshold


def test_of_equal_texts_in_a_table_one_goes_through_the_bands() -> None:
    texts = ["一篇不长的文字，写了三遍。"] * 1000 + ["另一篇文字，只有一遍而已。"]
    table = pa.table(
        {"id": [str(i) for i in range(1001)], "source": ["x"] * 1001, "text": pa.array(texts, pa.large_string())}
    )
    stage = MinHashDedup()
    assert len(stage.sketch(table)) == 2 * stage.layout[0] + 1000
