"""Samples: uniform, and independent of the shards."""

from __future__ import annotations

import random

import pytest

from raylib.report.samples import Sample, merge_samples, shard_sample_size, shortened


def drawn(count: int) -> list[Sample]:
    rng = random.Random(0)
    return [{"id": f"d{i}", "source": "web", "draw": rng.getrandbits(53), "before": "春"} for i in range(count)]


@pytest.mark.parametrize("shards", [1, 3, 10])
def test_the_sample_does_not_depend_on_the_shards(shards: int) -> None:
    everything = drawn(500)
    expected = sorted(everything, key=lambda s: s["draw"])[:20]
    parts = [merge_samples([everything[i::shards]], 20) for i in range(shards)]
    assert merge_samples(parts, 20) == expected
    assert merge_samples(parts[::-1], 20) == expected


def test_records_with_the_same_draw_are_ordered_by_id() -> None:
    twins: list[Sample] = [{"id": i, "source": None, "draw": 7, "before": ""} for i in ("b", "a")]
    assert [s["id"] for s in merge_samples([twins], 1)] == ["a"]


@pytest.mark.parametrize(("size", "position", "expected"), [(0, 0, 0), (100, 0, 100), (100, 9, 40), (100, 10_000, 10)])
def test_later_shards_draw_fewer_records(size: int, position: int, expected: int) -> None:
    assert shard_sample_size(size, position) == expected


def test_a_long_text_keeps_its_beginning_and_its_end() -> None:
    text = "头" * 2000 + "中" * 1000 + "尾" * 2000
    cut = shortened(text)
    assert cut.startswith("头" * 1500 + "\n⋯ 2000 characters left out ⋯\n")
    assert cut.endswith("尾" * 1500)
    assert shortened("短文") == "短文"
