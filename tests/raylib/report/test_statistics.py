"""Statistics of a shard."""

from __future__ import annotations

from collections.abc import Sequence

import pyarrow as pa

from raylib.report.counts import Counts, add_counts
from raylib.report.statistics import HISTOGRAM_EDGES, ShardStatistics
from raylib.stage import mark_rejected
from tests.texts import ARTICLE, POEM


def documents(texts: Sequence[str], source: str | None = "网页", first: int = 0) -> pa.Table:
    count = len(texts)
    return pa.table(
        {
            "id": [f"d{first + i}" for i in range(count)],
            "text": pa.array(texts, pa.large_string()),
            "source": pa.array([source] * count, pa.string()),
            "meta": pa.nulls(count, pa.large_string()),
        }
    )


def rejected(table: pa.Table, reason: str = "too_short_or_long", detail: str = "2 < 10") -> pa.Table:
    details = pa.array([detail] * len(table), pa.large_string())
    return mark_rejected(table, stage="length", reason=reason, detail=details)


NONE = rejected(documents([]))


def test_records_are_counted_as_they_are_read() -> None:
    statistics = ShardStatistics(seed=0, sample_size=0)
    statistics.read(pa.concat_tables([documents([POEM, ""]), documents(["短文"], source=None)]), NONE)
    statistics.read(documents([]), rejected(documents(["坏"])))
    counts = statistics.counts
    assert counts["records_in"] == 4
    assert counts["characters_in"] == len(POEM) + 2
    assert counts["sources"] == {
        "网页": {"in": 3, "characters_in": len(POEM)},
        "": {"in": 1, "characters_in": 2},
    }


def test_lengths_fall_into_classes_that_double() -> None:
    statistics = ShardStatistics(seed=0, sample_size=0)
    lengths = [0, 1, 2, 3, 4, 7, 8, 1 << 24, (1 << 24) + 5]
    statistics.read(documents(["字" * n for n in lengths]), NONE)
    histogram = statistics.counts["histogram_in"]
    assert len(histogram) == len(HISTOGRAM_EDGES)
    assert histogram[:6] == [1, 1, 2, 2, 1, 0]
    assert histogram[-1] == 2
    assert sum(histogram) == len(lengths)


def test_a_stage_is_counted_with_the_columns_that_it_adds() -> None:
    statistics = ShardStatistics(seed=0, sample_size=0)
    before = documents([ARTICLE, POEM, "短文"])
    kept = before.slice(0, 2).append_column("score", pa.array([0.5, 0.75]))
    for _ in range(2):
        statistics.stage("scorer", before, kept, rejected=1, seconds=0.25, characters=(300, 290), changed=1)
    assert statistics.counts["stages"]["scorer"] == {
        "in": 6,
        "rejected": 2,
        "changed": 2,
        "characters_in": 600,
        "characters_out": 580,
    }
    assert statistics.counts["columns"] == {"score": {"scored": {"0.5": 2, "0.75": 2}}}
    assert statistics.seconds == {"scorer": 0.5}


def test_rejected_records_are_counted_by_reason_and_sampled_as_they_were_read() -> None:
    statistics = ShardStatistics(seed=0, sample_size=10)
    statistics.reject(rejected(documents(["短文", "太短"])))
    statistics.reject(rejected(documents([ARTICLE], first=2), reason="too_long", detail="178 > 100"))
    assert statistics.counts["reasons"] == {"length/too_short_or_long": 2, "length/too_long": 1}
    assert statistics.counts["records_rejected"] == 3
    (sample,) = (s for s in statistics.rejected if s["id"] == "d2")
    assert (sample["before"], sample["reason"], sample["detail"]) == (ARTICLE, "too_long", "178 > 100")


def test_kept_records_are_sampled_with_what_they_were() -> None:
    statistics = ShardStatistics(seed=0, sample_size=10)
    statistics.keep(documents(["春天来了"]), documents(["\u3000春天来了"]))
    (sample,) = statistics.kept
    assert (sample["before"], sample["after"]) == ("\u3000春天来了", "春天来了")
    assert statistics.counts["records_kept"] == 1
    assert statistics.counts["characters_kept"] == 4


def test_counts_and_samples_do_not_depend_on_the_batches() -> None:
    table = documents([f"第{i}篇短文，讲的是同一件小事。" for i in range(300)])
    whole, parts = ShardStatistics(seed=7, sample_size=20), ShardStatistics(seed=7, sample_size=20)
    whole.keep(table, table)
    for begin in range(0, 300, 70):
        parts.keep(table.slice(begin, 70), table.slice(begin, 70))
    assert whole.to_json() == parts.to_json()
    assert len(whole.kept) == 20


def test_the_seed_draws_another_sample() -> None:
    table = documents([f"第{i}篇" for i in range(300)])
    samples = []
    for seed in (1, 2):
        statistics = ShardStatistics(seed=seed, sample_size=20)
        statistics.keep(table, table)
        samples.append({s["id"] for s in statistics.kept})
    assert samples[0] != samples[1]


def test_shards_add_up_to_the_run() -> None:
    table = documents([ARTICLE, POEM, "短文", ""])
    whole = ShardStatistics(seed=0, sample_size=0)
    whole.read(table, NONE)
    total: Counts = {}
    for begin in (0, 2):
        shard = ShardStatistics(seed=0, sample_size=0)
        shard.read(table.slice(begin, 2), NONE)
        add_counts(total, shard.counts)
    assert total == whole.counts


def test_folders_of_a_split_output_are_counted_with_their_scores() -> None:
    statistics = ShardStatistics(seed=0, sample_size=0)
    table = documents(["春眠不觉晓", "处处闻啼鸟"]).append_column("q", pa.array([1.0, None]))
    statistics.split("诗", table, tokens=12)
    assert statistics.counts["splits"] == {
        "诗": {"records": 2, "characters": 10, "scores": {"q": {"sum": 1.0, "count": 1}}, "tokens": 12}
    }
