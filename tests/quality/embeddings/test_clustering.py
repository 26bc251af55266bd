"""Clusters have topics that set them apart."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import raylib
from quality.embeddings.clustering import class_keywords
from tests.texts import conversations

Write = Callable[..., Path]


def test_keywords_set_classes_apart() -> None:
    counts = {0: {"茶叶": 9, "大家": 9, "炒茶": 5}, 1: {"车站": 9, "大家": 9, "铁路": 4}}
    found = class_keywords(counts, 2)
    assert found == {0: ["茶叶", "炒茶"], 1: ["车站", "铁路"]}


def test_clusters_have_topics(write_jsonl: Write) -> None:
    ds = raylib.read(write_jsonl(conversations(300))).stage("embed", dimensions=32).cluster(clusters=4)
    table = ds.to_pandas()
    sizes = table["cluster"].value_counts().sort_index()
    assert list(sizes) == sorted(sizes, reverse=True)
    assert len(sizes) == 4
    purity = table.groupby("cluster")["source"].agg(lambda s: s.value_counts().iloc[0]).sum() / len(table)
    assert purity > 0.6
    assert table["topic"].str.len().min() > 0
    assert table.groupby("cluster")["topic"].nunique().max() == 1
