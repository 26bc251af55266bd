"""Trains the bundled model of text quality from files of your own, and says how it does on sources that it never saw.

    python -m cleaning.train_textmodel pages.jsonl.gz books.jsonl.gz --bad shop=advert --out textmodel.npz --table

A file has a JSON object with `text` and `source` on each line. Sources are good text unless `--bad` names their class;
most bad text is written by `cleaning.badtexts`. The table leaves one source, or one kind of written text, out of the
training at a time, and says how much of it is told right.
"""

from __future__ import annotations

import argparse
import gzip
import random
import sys
import warnings
from collections import defaultdict
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import numpy.typing as npt
import orjson
import pyarrow as pa
from scipy.sparse import csr_matrix, hstack
from sklearn.exceptions import ConvergenceWarning
from sklearn.linear_model import LogisticRegression

from cleaning.badtexts import SPOILED, WRITTEN
from cleaning.textmodel import BUCKETS, CLASSES, KNOWN, SCALE, Features, TextModel, features

_PER_SOURCE = 1000
_PER_BAD_SOURCE = 3000  # there are few sources of bad text, and each of their records is unlike the next
_WRITTEN_EACH = 400
_SPOILED_EACH = {"scanned": 5 * _WRITTEN_EACH}  # scans differ most
_LEAST_GOOD = 0.18  # the cut of the ready chains
_MOST = np.iinfo(np.uint16).max


@dataclass(frozen=True)
class Sample:
    """A text for training.

    Attributes:
        text: The text.
        label: Its class, an index of CLASSES.
        kind: Its source, or the generator that made it.
        origin: Its source, or that of the good text that was spoiled.
    """

    text: str
    label: int
    kind: str
    origin: str


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
        Sample(text, index["good"], kind, kind)
        for kind, texts in good.items()
        for text in _windows(texts, source, min(_PER_SOURCE, 8 * len(texts)))
    ]
    for kind, (label, texts) in bad.items():
        out += [Sample(text, index[label], kind, kind) for text in _windows(texts, source, _PER_BAD_SOURCE)]
    for kind, (label, write) in WRITTEN.items():
        out += [Sample(write(source), index[label], kind, kind) for _ in range(_WRITTEN_EACH)]
    clean = [s for s in out if s.label == 0 and _is_prose(s.text)]
    for kind, (label, spoil) in SPOILED.items():
        for found in source.choices(clean, k=_SPOILED_EACH.get(kind, 2 * _WRITTEN_EACH)):
            out.append(Sample(spoil(source, found.text), index[label], kind, found.kind))
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


def train(samples: list[Sample], known: npt.NDArray[np.uint8], strength: float = 39.0) -> TextModel:
    """Train a model.

    Args:
        samples: Texts with their classes.
        known: Bits of the pairs of characters that good text has.
        strength: Inverse of the regularisation: scikit-learn's C for a thousand texts. More texts make C smaller, so
            that they do not free the weights to learn sources by heart: in a trial at 6 times the strength, three of
            22 sources that were left out lost a third of their text or more.
    """
    seen = features(pa.array([s.text for s in samples], pa.large_string()))
    labels = np.array([s.label for s in samples])
    blank = TextModel(np.zeros((1, 1), np.int8), *(np.zeros(1, np.float32),) * 3, known)
    matrix = _matrix(seen, blank.unknown(seen))
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", ConvergenceWarning)  # to stop early holds the weights back, too
        model = LogisticRegression(C=1000 * strength / len(samples), max_iter=80, tol=1e-4).fit(matrix, labels)
    weights = model.coef_.T.astype(np.float32)
    step = np.maximum(np.abs(weights[:BUCKETS]).max(axis=0) / 127, 1e-9).astype(np.float32)
    steps = np.rint(weights[:BUCKETS] / step).astype(np.int8)
    return TextModel(steps, step, weights[BUCKETS:], model.intercept_.astype(np.float32), known)


def pairs_of(good: dict[str, list[str]]) -> dict[str, npt.NDArray[np.uint16]]:
    """How often each pair of characters occurs in good texts, by source.

    Args:
        good: Good texts by source; of each at most 3 million characters count.
    """
    out = {}
    for kind, texts in good.items():
        size, taken = 0, []
        for text in texts:
            # windows of the size that `features` takes whole
            taken += [text[i : i + 2000] for i in range(0, len(text), 2000)]
            size += len(text)
            if size > 3_000_000:
                break
        pairs = features(pa.array(taken, pa.large_string())).pairs.values
        out[kind] = np.minimum(np.bincount(pairs, minlength=KNOWN), _MOST).astype(np.uint16)
    return out


def known_pairs(pairs: dict[str, npt.NDArray[np.uint16]], without: str = "", least: int = 3) -> npt.NDArray[np.uint8]:
    """Bits of the pairs of characters that good texts have.

    Args:
        pairs: Counts of pairs by source.
        without: A source whose pairs do not count.
        least: Number of times from which a pair counts.
    """
    counts = np.zeros(KNOWN, np.int64)
    for kind, found in pairs.items():
        if kind != without:
            counts += found
    return np.packbits(counts >= least, bitorder="little")


def read(paths: Iterable[Path], least: int = 60) -> dict[str, list[str]]:
    """Texts of files by source.

    Args:
        paths: JSON lines, plain or gzip, with `text` and `source`.
        least: Length of the shortest text that is taken, in characters.
    """
    out: dict[str, list[str]] = defaultdict(list)
    for path in paths:
        opened = gzip.open if path.suffix == ".gz" else open
        with opened(path, "rb") as lines:
            for line in lines:
                record = orjson.loads(line)
                if len(record["text"]) >= least:
                    out[str(record.get("source") or path.stem)].append(record["text"])
    return dict(out)


def table(
    samples: list[Sample], pairs: dict[str, npt.NDArray[np.uint16]], kinds: Iterable[str]
) -> Iterator[tuple[str, int, float]]:
    """How much of each kind is told right by a model that was trained without it.

    What was made of a source goes with it: its pairs of characters, and its texts that a generator spoiled. Else the
    only texts about its subjects would be bad ones.

    Args:
        samples: Texts with their classes.
        pairs: Counts of pairs of characters by source.
        kinds: Kinds to leave out, one at a time.

    Yields:
        The kind, its number of texts, and the share of them told right: good text is good with the probability of the
        ready chains' cut or more, bad text with less.
    """
    for kind in kinds:
        held = [s for s in samples if s.kind == kind]
        model = train([s for s in samples if kind not in {s.kind, s.origin}], known_pairs(pairs, kind))
        good = model.probabilities(pa.array([s.text for s in held], pa.large_string()))[:, 0] >= _LEAST_GOOD
        right = good == np.array([s.label == 0 for s in held])
        yield kind, len(held), float(right.mean())


def main() -> None:
    """Train a model and print the table."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").split("\n", maxsplit=1)[0])
    parser.add_argument("files", nargs="+", type=Path, help="Files with texts and their sources")
    parser.add_argument("--bad", action="append", default=[], help="SOURCE=CLASS of a source that is bad text")
    parser.add_argument("--out", type=Path, help="File that the model is written to")
    parser.add_argument("--seed", type=int, default=1, help="Seed of the windows and of the written texts")
    parser.add_argument("--table", action="store_true", help="Print how sources are told that the model never saw")
    parser.add_argument("--share", type=float, default=1.0, help="Share of the texts that the table trains on, 0 to 1")
    options = parser.parse_args()
    classes = dict(pair.split("=", 1) for pair in options.bad)
    texts = read(options.files)
    good = {source: found for source, found in texts.items() if source not in classes}
    bad = {source: (label, texts[source]) for source, label in classes.items()}
    pairs = pairs_of(good)
    samples = samples_of(good, bad, options.seed)
    if options.out is not None:
        model = train(samples, known_pairs(pairs))
        parts = {name: getattr(model, name) for name in ("weights", "step", "dense", "bias", "known")}
        np.savez_compressed(options.out, **parts)
        sys.stdout.write(f"{options.out}: {options.out.stat().st_size:,} bytes, {len(samples):,} texts\n")
    if options.table:
        few = random.Random(options.seed).sample(samples, int(len(samples) * options.share))
        for kind, count, right in table(few, pairs, sorted({s.kind for s in few})):
            sys.stdout.write(f"{kind:24s} {count:6,d} texts, {right:.1%} told right\n")
            sys.stdout.flush()


if __name__ == "__main__":
    main()
