"""What deduplication shows in the report: notes of tasks added up, and blocks made of them."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
import pyarrow as pa

from dedup.section import Shingles, cluster_notes, cluster_section, size_bars, source_matrix
from raylib.stage.section import Bar, Matrix, Pairs, Scatter, Text


@dataclass(frozen=True)
class Store:
    """Texts of records; the node is part of the text."""

    def tables(self) -> Iterator[pa.Table]:
        yield from ()

    def facts(self, nodes: npt.NDArray[np.uint64], columns: Sequence[str] | None = None) -> pa.Table:
        return pa.table({})

    def texts(self, nodes: npt.NDArray[np.uint64]) -> list[str]:
        return [f"第{node}篇文字" for node in nodes.tolist()]

    def shared(self) -> Iterator[pa.Table]:
        yield from ()


NODES = np.array([10, 11, 12, 20, 21, 30], np.uint64)
NOTES = cluster_notes(
    NODES, ["a", "a", "b", "b", "b", "c"], np.array([0, 0, 0, 3, 3, 5]), np.array([1.0, 0.91, 0.82, 1.0, 0.7512, 1.0])
)


def test_notes_count_clusters_and_sources() -> None:
    assert NOTES == {
        "sizes": {"2": 1, "3": 1},
        "biggest": [
            {"size": 3, "nodes": [10, 11, 12], "similarity": [1.0, 0.91, 0.82]},
            {"size": 2, "nodes": [20, 21], "similarity": [1.0, 0.751]},
        ],
        "sources": {"a\ta": 1, "a\tb": 1, "b\tb": 1},
    }


def test_a_section_is_the_same_for_any_order_of_tasks() -> None:
    others: list[Mapping[str, object]] = [
        {**NOTES, "pairs": [[10, 11, 0.9, 5], [20, 21, 0.8, 4]]},
        {"unread": 2},
        {},
    ]
    sections = [
        cluster_section("Near duplicates", notes, Store(), giant=2, shingles=Shingles(2, "character"))
        for notes in (others, others[::-1])
    ]
    assert sections[0] == sections[1]
    count, sizes, giants, unread, sources, accuracy, biggest = sections[0].blocks
    assert count == Text("2 clusters, 3 records removed.")
    assert sizes == size_bars({"2": 1, "3": 1})
    assert isinstance(giants, Text)
    assert giants.warning
    assert giants.text.startswith("1 clusters of over 2 records")
    assert unread == Text("2 members of very large buckets were not compared.", warning=True)
    assert sources == source_matrix({"a\ta": 1, "a\tb": 1, "b\tb": 1})
    assert isinstance(accuracy, Scatter)
    assert [point[1] for point in accuracy.points] == [0.8, 0.9], "the pair with the smallest rank comes first"
    assert isinstance(biggest, Pairs)
    assert [item.header for item in biggest.items] == [
        "cluster of 3, similarity 0.91",
        "cluster of 3, similarity 0.82",
        "cluster of 2, similarity 0.75",
    ]
    assert biggest.items[0].before == "第10篇文字"


def test_a_stage_without_shingles_shows_no_accuracy_and_no_warning() -> None:
    section = cluster_section("Semantic duplicates", [NOTES], Store())
    assert section.title == "Semantic duplicates"
    assert [type(block).__name__ for block in section.blocks] == ["Text", "Bars", "Matrix", "Pairs"]


def test_nothing_removed_is_a_section_too() -> None:
    section = cluster_section("Near duplicates", [], Store())
    assert section.blocks[0] == Text("0 clusters, 0 records removed.")


def test_sizes_are_shown_in_powers_of_two() -> None:
    assert size_bars({"3": 2, "2": 5, "9": 1}).rows == [Bar("2–3", 7, "16 records"), Bar("8–15", 1, "9 records")]


def test_sources_are_shown_by_weight() -> None:
    assert source_matrix({"a\tb": 2, "b\tb": 3}, most=1) == Matrix(
        "Duplicates between sources (row: stayed, column: removed)", ["b"], [[3]]
    )


def test_rare_pairs_of_sources_are_counted_as_one() -> None:
    """There may be a source for each file; what a task notes stays small all the same."""
    count = 5000
    sources = [f"文件{i}" for i in range(count)]
    keeper = np.arange(count)
    keeper[1:4000] = 0
    keeper[4001:4010] = 4000
    sources[4000:4010] = ["甲"] * 10
    notes = cluster_notes(np.arange(count, dtype=np.uint64), sources, keeper, np.ones(count))
    assert len(notes["sources"]) == 1001
    assert sum(notes["sources"].values()) == 3999 + 9
    assert notes["sources"]["甲\t甲"] == 9
    assert notes["sources"]["(other pairs)"] == 3999 - 999
    section = cluster_section("Near duplicates", [notes, notes], Store())
    assert "6,000 more duplicates are between rarer pairs of sources." in str(section)
    assert "(other pairs)" not in source_matrix(notes["sources"]).names
