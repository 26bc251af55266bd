"""The rule that asks the bundled model whether a text was written by a person for a reader."""

from __future__ import annotations

import functools
from collections.abc import Mapping

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.compute as pc

from cleaning.codepoints import Stretch
from cleaning.declare import reject
from cleaning.protected import prose_texts
from cleaning.textmodel import CLASSES, load_textmodel
from cleaning.texts import evidence
from raylib.stage import Threshold
from raylib.stage.bounds import Share

__all__ = ["text_quality"]

_SPAM = [CLASSES.index(name) for name in ("advert", "page")]


@functools.lru_cache(maxsize=2)
def _probabilities(prose: Stretch) -> npt.NDArray[np.float32]:
    """Probabilities of the classes. The answers for the last two arrays are remembered."""
    return load_textmodel().probabilities(prose.texts)


def _scores(_: pa.Array, texts: pa.Array) -> Mapping[str, pa.Array]:
    found = _probabilities(Stretch.of(prose_texts(texts)))
    return {"quality": pa.array(found[:, 0]), "spam": pa.array(found[:, _SPAM].sum(axis=1))}


@reject(
    "text_quality",
    unit="probability",
    examples=(
        (
            "注册即送体验金，百家乐稳赢打法，提款秒到账，加薇信了解详情。澳门线上娱乐，首存送百分之百，天天返水无上限，信誉第一绝不黑单。",
            "advert",
        ),
        (
            "水库修好以后，下游的农田不再担心春旱。负责灌溉的老周每天骑车沿渠走一遍，看闸门是否漏水，再把各村的用水量记在本子上。",
            "",
        ),
    ),
    adds=_scores,
    thresholds=(Threshold("min_quality", "below", column="quality"),),
)
def text_quality(texts: pa.Array, *, min_quality: Share = 0.18, min_length: int = 60) -> pa.Array:
    """Reject what the bundled model does not take for good text: spam, notices and menus, spun or broken text.

    The model is a linear classifier over hashed character n-grams (0.4 MB, 20 MB/s or more). It tells good text from
    `advert` (spam, offers, stuffed or empty articles, shop fronts of apps), `page` (notices, menus, forms), `spun`
    (synonyms put in by a program, machine translation) and `broken` (bad scans, mojibake, random characters). It does
    not see the script, the width of marks, or spaces beside Chinese. Code, formulas and tables are left out before it
    looks. Adds the columns `quality` (the probability of good text) and `spam` (the probability of `advert` or `page`).
    Called on strings, the rule gives evidence as other rules do.

    Args:
        texts: String array.
        min_quality: Least probability of good text, 0 to 1.
        min_length: Number of characters of prose below which a text stays, because there is too little to judge.
    """
    inside = prose_texts(texts)
    found = _probabilities(Stretch.of(inside))
    lengths = pc.fill_null(pc.utf8_length(inside), 0).to_numpy()
    bad = (found[:, 0] < min_quality) & (lengths >= min_length)
    worst = found.argmax(axis=1)
    return evidence(
        texts, bad, lambda i: f"good {found[i, 0]:.3f} < {min_quality}, {CLASSES[worst[i]]} {found[i, worst[i]]:.2f}"
    )
