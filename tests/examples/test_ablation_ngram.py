"""The models that compare recipes: right probabilities, fair splits, honest draws."""

from __future__ import annotations

from collections import Counter, defaultdict

import numpy as np
import numpy.typing as npt
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from examples.ablation_ngram import Arm, compare, controls, table
from examples.held_out import Document, as_read, even, split
from examples.kneser_ney import KneserNey

VOCABULARY, ORDER = 5, 3
texts = st.lists(st.lists(st.integers(1, VOCABULARY - 1), max_size=12), min_size=1, max_size=4)


def arrays(listed: list[list[int]]) -> list[npt.NDArray[np.int64]]:
    return [np.array(values, np.int64) for values in listed]


class Oracle:
    """The same model, in dictionaries and one character at a time."""

    def __init__(self, listed: list[list[int]]) -> None:
        grams: list[set[tuple[int, ...]]] = [set() for _ in range(ORDER + 1)]
        self.counts: dict[tuple[int, ...], int] = Counter()
        for text in listed:
            padded = [0] * (ORDER - 1) + text
            for i in range(ORDER - 1, len(padded)):
                self.counts[tuple(padded[i - ORDER + 1 : i + 1])] += 1
                for n in range(1, ORDER + 1):
                    grams[n].add(tuple(padded[i - n + 1 : i + 1]))
        for n in range(1, ORDER):
            for longer in grams[n + 1]:
                self.counts[longer[1:]] += 1
        self.followers: dict[tuple[int, ...], list[int]] = defaultdict(list)
        by_order: dict[int, list[int]] = defaultdict(list)
        for gram, count in self.counts.items():
            self.followers[gram[:-1]].append(count)
            by_order[len(gram)].append(count)
        self.discount = {
            n: counted.count(1) / (counted.count(1) + 2 * counted.count(2)) if 1 in counted else 0.0
            for n, counted in by_order.items()
        }

    def probability(self, context: tuple[int, ...], value: int) -> float:
        shorter = self.probability(context[1:], value) if context else 1 / VOCABULARY
        counted = self.followers.get(context, [])
        if not counted:
            return shorter
        discount = self.discount[len(context) + 1]
        own = max(self.counts.get((*context, value), 0) - discount, 0)
        return (own + discount * len(counted) * shorter) / sum(counted)


@given(texts, texts)
@settings(max_examples=60)
def test_probabilities_equal_those_of_a_slow_model(learned: list[list[int]], judged: list[list[int]]) -> None:
    oracle = Oracle(learned)
    expected = []
    for text in judged:
        padded = [0] * (ORDER - 1) + text
        expected += [
            oracle.probability(tuple(padded[i - ORDER + 1 : i]), padded[i]) for i in range(ORDER - 1, len(padded))
        ]
    got = KneserNey(VOCABULARY, ORDER).fit(arrays(learned)).probabilities(arrays(judged))
    assert got == pytest.approx(expected)


@given(texts, st.lists(st.integers(1, VOCABULARY - 1), max_size=5))
@settings(max_examples=60)
def test_probabilities_of_what_may_follow_sum_to_one(learned: list[list[int]], context: list[int]) -> None:
    model = KneserNey(VOCABULARY, ORDER).fit(arrays(learned))
    following = [model.probabilities(arrays([[*context, value]]))[-1] for value in range(1, VOCABULARY)]
    padding = 1 - sum(following)  # the number of the padding has the rest, which is never more than its even share
    assert -1e-9 <= padding <= 1 / VOCABULARY + 1e-9


def documents(source: str, sentences: list[str]) -> list[Document]:
    return [Document(f"{source}-{i}", source, text) for i, text in enumerate(sentences)]


NEWS = documents("news", [f"第{i}天，水库的水位是{i * 37}厘米，下游第{i * 11}块田已经浇完了水。" for i in range(200)])
ADVERTS = documents("adverts", ["点击领取优惠券，全场包邮，先到先得，名额有限！" * 3] * 200)


def test_what_is_held_out_leaves_the_pool_with_its_copies() -> None:
    long = (
        "山里的茶农天不亮就出门，沿着石阶走到最高的那片茶园，趁露水还没有干的时候把嫩芽采下来，中午以前送到村口的作坊。"
        * 3
    )
    pool = [*NEWS, Document("copy", "pages", f"转载：{long}")]
    left, held = split(pool, ["news"], {"exam": [Document("exam-0", "exam", long)]})
    assert 0 < len(held["news"]) < len(NEWS)
    assert {d.id for d in left}.isdisjoint(d.id for d in held["news"])
    assert "copy" not in {d.id for d in left}
    assert [d.id for d in held["exam"]] == ["exam-0"]


def test_layout_and_markup_do_not_count() -> None:
    assert even("  第一段。 \n\n\t第二段，x =  1。\n") == "第一段。\n第二段，x = 1。"
    assert as_read("<p>水位 <b>3</b> 米 &amp; 涨<!-- 测 --></p>，a < b") == "水位 3 米 & 涨，a < b"


def test_every_arm_gives_the_characters_it_is_asked_for() -> None:
    kept = [Document(d.id, d.source, d.text.rstrip("。")) for d in NEWS[:150]]
    tested = controls([*NEWS, *ADVERTS], kept)
    assert set(tested) == {"raw", "random", "mixture", "selection"}
    for arm in tested.values():
        assert sum(map(len, arm.drawn(1000, 3))) == pytest.approx(1000, abs=1)
        assert arm.drawn(1000, 3) == arm.drawn(1000, 3) != arm.drawn(1000, 4)
    assert not any("优惠券" in text for name in ("mixture", "selection") for text in tested[name].drawn(1000, 0))


def test_text_without_adverts_teaches_more_of_the_news() -> None:
    tested = {"raw": Arm.of([*NEWS[20:], *ADVERTS]), "clean": Arm.of(NEWS[20:])}
    bits = compare(tested, {"news": NEWS[:20]}, seeds=2, characters=3000, most=500)
    assert (bits["clean"] < bits["raw"]).all()
    shown = table(["news"], bits)
    assert shown.splitlines()[0] == "| domain | raw | clean |"
    assert shown.count("±") == 2
