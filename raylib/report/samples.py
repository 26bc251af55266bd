"""Samples of a run: records drawn at random, the same ones however the input is cut into shards."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import Any, TypedDict, TypeVar

__all__ = ["KeptSample", "RejectedSample", "Sample", "Samples", "merge_samples", "shard_sample_size", "shortened"]


_CHARACTERS = 3000  # of a text in a sample
_Sample = TypeVar("_Sample", bound=Mapping[str, Any])


class Sample(TypedDict):
    """A record that was drawn; the smallest draws of all shards are the sample of the run."""

    id: str
    source: str | None
    draw: int
    before: str


class KeptSample(Sample):
    """A kept record, as it was read and as it is written."""

    after: str


class RejectedSample(Sample):
    """A rejected record, and why it was rejected."""

    stage: str
    reason: str
    detail: str | None


class Samples(TypedDict):
    """The samples of a run, as `samples.json` holds them."""

    kept: list[KeptSample]
    rejected: list[RejectedSample]


def merge_samples(parts: Iterable[Sequence[_Sample]], size: int) -> list[_Sample]:
    """Join samples of shards: a uniform sample, which does not depend on the order of the shards.

    Args:
        parts: Samples of each shard.
        size: Number of records to keep.

    Returns:
        The records with the smallest draws, in their order.
    """
    everything = [s for part in parts for s in part]
    return sorted(everything, key=lambda s: (s["draw"], s["id"]))[:size]


def shard_sample_size(size: int, position: int) -> int:
    """How many records a shard draws for the sample of the run.

    The shard at `position` knows that there are at least `position` others. So on average at most
    `size / (position + 1)` of its records end up in the sample of the run. With three times that number and ten more,
    the chance to miss one is negligible, and thousands of shards need not write thousands of full samples.

    Args:
        size: Number of records in the sample of the run.
        position: Number of shards before this one, or a lower bound of it.

    Returns:
        Number of records to draw; 0 if `size` is 0.
    """
    return min(size, 3 * size // (position + 1) + 10) if size else 0


def shortened(text: str) -> str:
    """Cut the middle out of a long text: cleaning mostly changes its beginning and end."""
    if len(text) <= _CHARACTERS:
        return text
    half = _CHARACTERS // 2
    return f"{text[:half]}\n⋯ {len(text) - 2 * half} characters left out ⋯\n{text[-half:]}"
