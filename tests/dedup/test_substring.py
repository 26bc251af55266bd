"""Repeated passages: found exactly as a brute-force search does, cut or rejected."""

from __future__ import annotations

import random
from collections.abc import Callable
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

import raylib

pytest.importorskip("pydivsufsort")

from dedup.substring import repeated_spans
from tests.texts import ARTICLE, ENGLISH

Write = Callable[..., Path]


def brute_force(texts: list[str], least: int) -> list[set[int]]:
    """Characters of each text that lie in a passage of `least` characters which began at an earlier place."""
    seen: set[str] = set()
    out = []
    for text in texts:
        marked: set[int] = set()
        for at in range(len(text) - least + 1):
            passage = text[at : at + least]
            if passage in seen:
                marked.update(range(at, at + least))
            seen.add(passage)
        out.append(marked)
    return out


@settings(max_examples=150)
@given(st.lists(st.text(alphabet="甲乙ab𠮷", max_size=40), max_size=5), st.integers(10, 14))
def test_spans_equal_brute_force(texts: list[str], least: int) -> None:
    found: list[set[int]] = [set() for _ in texts]
    for text, first, last in repeated_spans(texts, least):
        assert last - first >= least
        found[text].update(range(first, last))
    assert found == brute_force(texts, least)


def noise(n: int, seed: int) -> str:
    rng = random.Random(seed)
    return "".join(chr(rng.randrange(0x4E00, 0x9000)) for _ in range(n))


def test_cut_and_reject(write_jsonl: Write) -> None:
    passage = ARTICLE[:160]
    rows = [
        {"id": "a", "text": f"{noise(80, 1)}{passage}{noise(50, 2)}"},
        {"id": "b", "text": f"{noise(90, 3)}{passage}{noise(60, 4)}"},
        {"id": "c", "text": passage},
        {"id": "d", "text": f"{noise(400, 5)}{ENGLISH}"},
    ]
    source = write_jsonl(rows)
    cut = raylib.read(source).substring_dedup(min_characters=100)
    kept = {r["id"]: r["text"] for r in cut}
    assert kept == {"a": rows[0]["text"], "b": f"{noise(90, 3)}{noise(60, 4)}", "d": rows[3]["text"]}
    (gone,) = list(cut.rejected)
    assert (gone["id"], gone["reason"]) == ("c", "repeated_passage")
    assert gone["text"] == passage
    strict = raylib.read(source).substring_dedup(min_characters=100, action="reject", max_share=0.5)
    assert [r["id"] for r in strict] == ["a", "d"]


def test_groups_bound_the_work(write_jsonl: Write) -> None:
    source = write_jsonl([{"id": str(i), "text": f"{noise(300, i)}{ARTICLE}"} for i in range(40)])
    whole = raylib.read(source).substring_dedup()
    grouped = raylib.read(source).substring_dedup(group_mb=0.005)
    left = [sum(ARTICLE in r["text"] for r in ds) for ds in (whole, grouped)]
    assert left[0] == 1
    assert 1 < left[1] < 40
