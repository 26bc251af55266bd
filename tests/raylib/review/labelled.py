"""Labelled records of our own wording, a run over them, and answers by their labels."""

from __future__ import annotations

import random
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import orjson

from raylib.engine import run
from raylib.recipe import Recipe
from raylib.review.decisions import Decision

__all__ = ["Labelled", "answered", "best_f1", "f1_at", "labelled_run", "number_pages"]


_WORDS = ["渡口的老人说起往年的大水", "茶园在山的北坡", "县志记着修桥的人", "孩子们放学以后去河边", "磨坊早已停了"]


@dataclass(frozen=True)
class Labelled:
    """A record with its label.

    Attributes:
        id: Its id.
        source: Its source.
        text: Its text.
        bad: Whether it should be rejected.
        value: The share of digits, which a rule decides by.
    """

    id: str
    source: str
    text: str
    bad: bool
    value: float


def number_pages(count: int, seed: int, sources: Mapping[str, float], noise: float = 0.03) -> list[Labelled]:
    """Prose and lists of numbers that overlap: the more digits a record has, the more likely it is bad.

    Args:
        count: Number of records.
        seed: Seed.
        sources: The share of digits at which half of a source's records are bad.
        noise: Share of labels at the ends of the range that are the other way.
    """
    draw = random.Random(seed)
    made = []
    for number in range(count):
        source = draw.choice(sorted(sources))
        share = draw.betavariate(1.2, 4)
        digits = round(300 * share)
        chance = noise + (1 - 2 * noise) / (1 + 2.718281828 ** (-(share - sources[source]) / 0.035))
        prose = "".join(draw.choice(_WORDS) for _ in range(40))[: 300 - digits]
        tail = "".join(draw.choice("0123456789") for _ in range(digits))
        made.append(Labelled(f"d{number}", source, prose + tail, draw.random() < chance, digits / 300))
    return made


def labelled_run(folder: Path, records: Sequence[Labelled], stages: Sequence[object]) -> Path:
    """Run stages over records, and give the folder of the run."""
    rows = [{"id": r.id, "source": r.source, "text": r.text} for r in records]
    (folder / "in.jsonl").write_bytes(b"".join(orjson.dumps(row) + b"\n" for row in rows))
    data = {
        "input": {"path": str(folder / "in.jsonl")},
        "output": {"path": str(folder / "out")},
        "engine": {"mode": "inline"},
        "stages": list(stages),
    }
    run(Recipe.from_dict(data, "labelled"))
    return folder / "out"


def answered(decisions: Iterable[Decision], records: Sequence[Labelled]) -> list[Decision]:
    """The decisions, answered by the labels."""
    bad = {r.id: r.bad for r in records}
    return [d.answered("bad" if bad[d.id] else "good") for d in decisions]


def f1_at(records: Sequence[Labelled], threshold: float | Mapping[str, float]) -> float:
    """F1 of rejecting the records whose value is above the threshold of their source."""
    of = threshold if isinstance(threshold, Mapping) else {r.source: threshold for r in records}
    caught = sum(r.bad for r in records if r.value > of[r.source])
    rejected = sum(r.value > of[r.source] for r in records)
    return 2 * caught / max(rejected + sum(r.bad for r in records), 1)


def best_f1(records: Sequence[Labelled]) -> float:
    """The largest F1 that one threshold for all can have."""
    return max(f1_at(records, v) for v in sorted({r.value for r in records}))
