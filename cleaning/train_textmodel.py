"""Trains the bundled model of text quality: `python -m cleaning.train_textmodel GOOD... --adverts ... --spun ...`.

Good text comes from your own files; most bad text is written by `cleaning.badtexts`. The table that is printed leaves
one source of good text, or one kind of bad text, out of the training at a time, and says how much of it is told right.
"""

from __future__ import annotations

import random
from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
import pyarrow as pa
from scipy.sparse import csr_matrix, hstack
from sklearn.linear_model import LogisticRegression

from cleaning.badtexts import SPOILED, WRITTEN
from cleaning.textmodel import BUCKETS, CLASSES, KNOWN, SCALE, Features, TextModel, features

_PER_SOURCE = 2000
_WRITTEN_EACH = 700


@dataclass(frozen=True)
class Sample:
    """A text for training.

    Attributes:
        text: The text.
        label: Its class, an index of CLASSES.
        kind: Its source, or the generator that made it.
    """

    text: str
    label: int
    kind: str


def _windows(texts: list[str], source: random.Random, count: int) -> Iterator[str]:
    """Stretches of texts of 100 to 1,200 characters; half of them begin where their text begins."""
    for _ in range(count):
        text = source.choice(texts)
        length = int(source.triangular(100, 1200, 300))
        begin = 0 if source.random() < 0.5 else source.randint(0, max(0, len(text) - length))
        yield text[begin : begin + length]


def samples_of(good: dict[str, list[str]], bad: dict[str, tuple[str, list[str]]], seed: int) -> list[Sample]:
    """Texts for training.

    Args:
        good: Good texts by source.
        bad: Bad texts by source, each with its class.
        seed: Seed of the windows and of the generators.
    """
    source = random.Random(seed)
    index = {name: i for i, name in enumerate(CLASSES)}
    out = [
        Sample(text, index["good"], kind)
        for kind, texts in good.items()
        for text in _windows(texts, source, min(_PER_SOURCE, 8 * len(texts)))
    ]
    for kind, (label, texts) in bad.items():
        out += [Sample(text, index[label], kind) for text in _windows(texts, source, 2 * _PER_SOURCE)]
    for kind, (label, write) in WRITTEN.items():
        out += [Sample(write(source), index[label], kind) for _ in range(_WRITTEN_EACH)]
    clean = [s.text for s in out if s.label == 0 and _is_prose(s.text)]
    for kind, (label, spoil) in SPOILED.items():
        out += [Sample(spoil(source, source.choice(clean)), index[label], kind) for _ in range(2 * _WRITTEN_EACH)]
    source.shuffle(out)
    return out


def _is_prose(text: str) -> bool:
    return sum("\u4e00" <= c <= "\u9fff" for c in text) > 0.6 * len(text)


def _matrix(seen: Features, unknown: npt.NDArray[np.float64]) -> csr_matrix:
    scale = SCALE / np.maximum(seen.lengths, 1)
    rows = csr_matrix((len(scale), BUCKETS))
    for part in seen.grams:
        rows += csr_matrix((np.repeat(scale, part.lengths), part.values, part.starts), shape=rows.shape)
    dense = np.concatenate([seen.counts, unknown[:, None]], axis=1)
    return hstack([rows, csr_matrix(dense)], format="csr")


def train(samples: list[Sample], known: npt.NDArray[np.uint8], strength: float = 30.0) -> TextModel:
    """Train a model.

    Args:
        samples: Texts with their classes.
        known: Bits of the pairs of characters that good text has.
        strength: Inverse of the regularisation, scikit-learn's C.
    """
    seen = features(pa.array([s.text for s in samples], pa.large_string()))
    labels = np.array([s.label for s in samples])
    blank = TextModel(np.zeros((1, 1), np.int8), *(np.zeros(1, np.float32),) * 3, known)
    matrix = _matrix(seen, blank.unknown(seen))
    model = LogisticRegression(C=strength, max_iter=150, tol=1e-3).fit(matrix, labels)
    weights = model.coef_.T.astype(np.float32)
    step = np.maximum(np.abs(weights[:BUCKETS]).max(axis=0) / 127, 1e-9).astype(np.float32)
    steps = np.rint(weights[:BUCKETS] / step).astype(np.int8)
    return TextModel(steps, step, weights[BUCKETS:], model.intercept_.astype(np.float32), known)


def known_pairs(good: dict[str, list[str]], least: int = 3) -> npt.NDArray[np.uint8]:
    """Bits of the pairs of characters that good texts have.

    Args:
        good: Good texts by source; of each at most 3 million characters count.
        least: Number of times from which a pair counts.
    """
    counts = np.zeros(KNOWN, np.int64)
    for texts in good.values():
        size, taken = 0, []
        for text in texts:
            # windows of the size that `features` takes whole
            taken += [text[i : i + 2000] for i in range(0, len(text), 2000)]
            size += len(text)
            if size > 3_000_000:
                break
        counts += np.bincount(features(pa.array(taken, pa.large_string())).pairs.values, minlength=KNOWN)
    return np.packbits(counts >= least, bitorder="little")
