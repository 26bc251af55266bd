"""Values of texts: the thresholds at which a stage changes its mind."""

from __future__ import annotations

import numpy as np
import pyarrow as pa
import pytest

from raylib.review.values import values_of
from raylib.stage import Threshold, stage_info, stage_names
from tests.texts import ARTICLE, CODE, ENGLISH, POEM


def table(*texts: str) -> pa.Table:
    return pa.table(
        {
            "id": [f"d{i}" for i in range(len(texts))],
            "text": pa.array(texts, pa.large_string()),
            "source": pa.array(["网页"] * len(texts), pa.string()),
            "meta": pa.nulls(len(texts), pa.large_string()),
        }
    )


def values(name: str, *texts: str, parameter: str = "", **parameters: object) -> list[float]:
    info = stage_info(name)
    threshold = next(t for t in info.thresholds if t.parameter == parameter or not parameter)
    given = {**info.parameters, **parameters}
    return [float(v) for v in values_of(name, given, threshold, table(*texts))]


def test_a_share_is_found_although_the_rule_never_tells_it() -> None:
    found = values("digit_ratio", "甲" * 75 + "1" * 25, "甲" * 90 + "2" * 10, "甲乙丙丁")
    assert found[:2] == pytest.approx([0.25, 0.1], abs=0.005)
    assert found[2] == -np.inf, "no digit: kept at every threshold"


def test_a_length_is_found() -> None:
    assert values("length", "甲" * 100, "乙" * 300, parameter="min") == pytest.approx([100, 300], rel=0.1)


def test_two_thresholds_of_a_rule_do_not_hinder_each_other() -> None:
    assert values("length", "甲" * 300, "乙" * 1200, parameter="max", min=256, max=1000) == pytest.approx(
        [300, 1200], rel=0.15
    )


def test_a_text_that_is_rejected_for_another_reason_has_no_finite_value() -> None:
    below, above = values("length", "甲" * 100, "乙" * 300, parameter="max", min=256, max=1000)
    assert below == np.inf
    assert np.isfinite(above)


def test_a_column_that_the_stage_adds_is_the_value() -> None:
    article, spam = values("text_quality", ARTICLE, "加微信领取体验金，百家乐稳赢打法，提款秒到账。" * 4)
    assert article > 0.5 > spam


def test_no_texts_have_no_values() -> None:
    assert values("digit_ratio") == []


WITH_THRESHOLDS = [
    (name, threshold)
    for name in stage_names()
    for threshold in stage_info(name).thresholds
    if name != "ad_classifier"  # needs a model that a user trained
]


@pytest.mark.parametrize(("name", "threshold"), WITH_THRESHOLDS, ids=lambda v: getattr(v, "parameter", v))
def test_values_agree_with_the_decisions_of_every_rule(name: str, threshold: Threshold) -> None:
    info = stage_info(name)
    texts = [ARTICLE, CODE, ENGLISH, POEM, "短文。", "1234567890" * 30, "- 一\n- 二\n- 三…\n" * 10, "★☆※" * 50]
    texts += [ARTICLE[:k] + "2024年" * k for k in range(1, 60, 7)]
    parameters = dict(info.parameters)
    if parameters[threshold.parameter] is None:
        parameters[threshold.parameter] = 1000
    found = values_of(name, parameters, threshold, table(*texts))
    rejected = info.make(**parameters)(table(*texts)).rejected["id"].to_pylist()
    current = parameters[threshold.parameter]
    assert isinstance(current, (int, float))
    decided = found < current if threshold.rejects == "below" else found > current
    assert [f"d{i}" for i in np.flatnonzero(decided)] == sorted(rejected, key=lambda i: int(i[1:]))
