"""fastText classifiers of text: train, evaluate, apply."""

from __future__ import annotations

import itertools
import os
import re
import tempfile
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, Literal

import numpy as np
import orjson

from cleaning.fasttext import fasttext_module
from quality.text.words import STOP_WORDS, segmenter

__all__ = ["TextClassifier", "TrainOptions", "evaluation", "read_labelled", "safe_label", "tune"]


Segmenter = Literal["rjieba", "jieba", "characters"]
_PREFIX = "__label__"


@dataclass(frozen=True)
class TrainOptions:
    """How a classifier is trained. `tune` finds better values of the first few for a set at hand.

    segmenter: rjieba (compiled, default), jieba, or characters. stop_words: keep (default) or drop: pronouns and
    negations tell a lot of offence, 0.8 points of F1 on COLDataset, and of news topics nothing. word_ngrams, dimension, epochs,
    learning_rate: of fastText. subword_min, subword_max: character n-grams inside of words, 0: none. loss:
    softmax, or ova (one logistic loss a label). buckets: of the n-gram table; the model's size is buckets x dimension
    x 4 bytes. max_characters: of a text that are looked at.
    """

    segmenter: Segmenter = "rjieba"
    stop_words: Literal["keep", "drop"] = "keep"
    word_ngrams: int = 3
    dimension: int = 100
    epochs: int = 25
    learning_rate: float = 0.5
    subword_min: int = 1
    subword_max: int = 3
    loss: Literal["softmax", "ova"] = "softmax"
    buckets: int = 300_000
    max_characters: int = 2000


def read_labelled(
    paths: Sequence[str], *, text: str = "text", label: str = "label"
) -> tuple[list[str], list[str], list[str]]:
    """(texts, labels, problems) of labelled records in files of any readable kind.

    Raises ValueError when no record has both fields; `problems` names the records that lack one.
    """
    from raylib.records import tables_of

    texts, labels, problems = [], [], []
    for path in paths:
        for table in tables_of(path, "document"):
            for row in table.select(["id", "text", "meta"]).to_pylist():
                meta = orjson.loads(row["meta"]) if row["meta"] else {}
                given = meta.get(label)
                content = row["text"] if text == "text" else meta.get(text)
                if not isinstance(given, (str, int)) or given == "" or not isinstance(content, str):
                    problems.append(f"{path}: record {row['id']}: no field {label if isinstance(content, str) else text!r}")  # fmt: skip
                    continue
                texts.append(content)
                labels.append(str(given))
    if not texts:
        raise ValueError(f"no record of {', '.join(paths)} has the fields {text!r} and {label!r}")
    return texts, labels, problems


def safe_label(label: str) -> str:
    return re.sub(r"\s+", "_", label.strip())


# (loss, learning rate, epochs): small sets of short texts want many epochs, large ones of long texts few
_GRID: tuple[tuple[Literal["softmax", "ova"], float, int], ...] = (
    ("softmax", 0.5, 25), ("softmax", 0.2, 8), ("softmax", 0.1, 8), ("ova", 0.4, 25), ("ova", 0.2, 12),
)  # fmt: skip


class TextClassifier:
    """A trained model, and how texts are to be cut for it. Saved as `model.bin` and `classifier.json` in a folder."""

    def __init__(self, model: Any, options: TrainOptions, facts: Mapping[str, Any]) -> None:
        self.model, self.options, self.facts = model, options, dict(facts)
        self._cut = segmenter(options.segmenter)
        self._stop = STOP_WORDS if options.stop_words == "drop" else frozenset()
        self.labels = sorted(label.removeprefix(_PREFIX) for label in model.get_labels())

    @classmethod
    def train(
        cls, texts: Sequence[str], labels: Sequence[str], options: TrainOptions | None = None, *, threads: int = 0
    ) -> TextClassifier:
        """Train on labelled texts.

        threads: 0: all cores. With one thread the same data gives the same model. Raises ValueError for fewer than
        two labels, or when the training diverges.
        """
        options = options or TrainOptions()
        counts = {name: list(labels).count(name) for name in sorted(set(labels))}
        if len(counts) < 2:
            raise ValueError(f"a classifier needs two labels or more; found {list(counts)}")
        fasttext = fasttext_module()
        blank = cls.__new__(cls)
        blank.options, blank._cut = options, segmenter(options.segmenter)
        blank._stop = STOP_WORDS if options.stop_words == "drop" else frozenset()
        with tempfile.NamedTemporaryFile("w", suffix=".txt", encoding="utf-8", delete=False) as stream:
            for text, label in zip(texts, labels, strict=True):
                stream.write(f"{_PREFIX}{safe_label(label)} {blank.line(text)}\n")
        try:
            model = fasttext.train_supervised(
                stream.name,
                dim=options.dimension,
                epoch=options.epochs,
                lr=options.learning_rate,
                wordNgrams=options.word_ngrams,
                minn=options.subword_min,
                maxn=options.subword_max,
                bucket=options.buckets,
                loss=options.loss,
                thread=threads or os.cpu_count() or 1,
                verbose=0,
            )
        except RuntimeError as error:
            raise ValueError(f"training failed: {error}; try a lower learning_rate") from None
        finally:
            os.unlink(stream.name)
        return cls(model, options, {"records": len(texts), "labels": counts})

    # ---- files --------------------------------------------------------------------------------

    def save(self, folder: str) -> None:
        """Write `model.bin` and `classifier.json`."""
        place = Path(folder)
        place.mkdir(parents=True, exist_ok=True)
        self.model.save_model(str(place / "model.bin"))
        facts = {"format": 1, "options": vars(self.options), **self.facts}
        (place / "classifier.json").write_bytes(orjson.dumps(facts, option=orjson.OPT_INDENT_2))

    @classmethod
    def load(cls, path: str) -> TextClassifier:
        """From a folder that `save` wrote, or a plain fastText .bin file. Raises ValueError for anything else."""
        place = Path(path)
        file = place / "model.bin" if place.is_dir() else place
        if not file.is_file():
            raise ValueError(f"no fastText model at {path!r}; `raylib classifier train` makes one")
        facts: dict[str, Any] = {}
        options = TrainOptions()
        if place.is_dir() and (place / "classifier.json").is_file():
            facts = orjson.loads((place / "classifier.json").read_bytes())
            options = TrainOptions(**facts.pop("options"))
        try:
            return cls(fasttext_module().load_model(str(file)), options, facts)
        except ValueError as error:
            raise ValueError(f"{file} is no fastText model: {error}") from None

    # ---- use ----------------------------------------------------------------------------------

    def line(self, text: str) -> str:
        """The segmented text on one line: fastText takes a newline for the end of an example."""
        words = self._cut(text[: self.options.max_characters].lower())
        return " ".join(w for w in words if not w.isspace() and w not in self._stop) or "▁"

    def probabilities(self, texts: Sequence[str]) -> np.ndarray[Any, Any]:
        """Shape (n, labels), rows in the order of the texts, columns in that of `labels`; rows sum to 1."""
        column = {f"{_PREFIX}{name}": i for i, name in enumerate(self.labels)}
        out = np.zeros((len(texts), len(self.labels)))
        # the binding below `predict`: with NumPy 2 that gives every label the probability of the first
        predict = self.model.f.predict
        for row, text in enumerate(texts):
            for probability, label in predict(self.line(text) + "\n", -1, 0.0, "strict"):
                out[row, column[label]] = probability
        return np.asarray(out / np.maximum(out.sum(axis=1, keepdims=True), 1e-12))

    def best(self, texts: Sequence[str]) -> tuple[list[str], np.ndarray[Any, Any]]:
        """The most probable label of each text, and its probability."""
        table = self.probabilities(texts)
        at = table.argmax(axis=1)
        return [self.labels[i] for i in at], table[np.arange(len(at)), at]


def tune(
    texts: Sequence[str], labels: Sequence[str], options: TrainOptions, *, seed: int = 0, threads: int = 0
) -> tuple[TrainOptions, list[dict[str, Any]]]:
    """The options with the best macro F1 on a held-out eighth, among a few that differ in what matters most.

    Returns them and all trials.
    """
    train, test = split(len(texts), 0.125, seed)
    trials = []
    for (loss, rate, epochs), ngrams in itertools.product(_GRID, (2, 3)):
        trial = replace(options, loss=loss, learning_rate=rate, epochs=epochs, word_ngrams=ngrams)
        model = TextClassifier.train([texts[i] for i in train], [labels[i] for i in train], trial, threads=threads)
        found = evaluation(model, [texts[i] for i in test], [labels[i] for i in test])
        trials.append(_Trial(trial, float(found["macro_f1"])))
    best = max(trials, key=lambda t: t.macro_f1)
    shown = [
        {"loss": t.options.loss, "learning_rate": t.options.learning_rate, "epochs": t.options.epochs, "word_ngrams": t.options.word_ngrams, "macro_f1": t.macro_f1}
        for t in trials
    ]  # fmt: skip
    return best.options, shown


@dataclass(frozen=True)
class _Trial:
    options: TrainOptions
    macro_f1: float


def split(count: int, share: float, seed: int) -> tuple[list[int], list[int]]:
    """Positions for training and for testing: `share` of them, drawn at random, for the latter."""
    order = np.random.default_rng(seed).permutation(count)
    held = round(share * count)
    return sorted(order[held:].tolist()), sorted(order[:held].tolist())


def evaluation(model: TextClassifier, texts: Sequence[str], labels: Sequence[str]) -> dict[str, Any]:
    """Precision, recall and F1 a label, their macro means, accuracy, confusion, and for each label a threshold curve.

    The confusion has rows of true and columns of predicted labels; the curve gives precision and recall of taking a
    text for the label when its probability is at least the threshold.
    """
    from sklearn.metrics import confusion_matrix, precision_recall_fscore_support

    table = model.probabilities(texts)
    predicted = [model.labels[i] for i in table.argmax(axis=1)]
    true = [safe_label(label) for label in labels]
    names = sorted({*model.labels, *true})
    precision, recall, f1, support = precision_recall_fscore_support(true, predicted, labels=names, zero_division=0)
    by_label = {
        name: {"precision": round(float(p), 4), "recall": round(float(r), 4), "f1": round(float(f), 4), "support": int(s)}
        for name, p, r, f, s in zip(names, precision, recall, f1, support, strict=True)
    }  # fmt: skip
    present = np.asarray(support) > 0
    curves = {name: _curve(table[:, i], np.array([t == name for t in true])) for i, name in enumerate(model.labels)}
    return {
        "records": len(true),
        "accuracy": round(float(np.mean([a == b for a, b in zip(true, predicted, strict=True)])), 4),
        "macro_precision": round(float(np.mean(np.asarray(precision)[present])), 4),
        "macro_recall": round(float(np.mean(np.asarray(recall)[present])), 4),
        "macro_f1": round(float(np.mean(np.asarray(f1)[present])), 4),
        "by_label": by_label,
        "labels": names,
        "confusion": confusion_matrix(true, predicted, labels=names).tolist(),
        "thresholds": curves,
    }


def _curve(probability: np.ndarray[Any, Any], positive: np.ndarray[Any, Any]) -> list[dict[str, float]]:
    out = []
    for threshold in (0.1, 0.2, 0.3, 0.4, 0.5, 0.6, 0.7, 0.8, 0.9, 0.95, 0.99):
        taken = probability >= threshold
        hits = int((taken & positive).sum())
        out.append(
            {
                "threshold": threshold,
                "precision": round(hits / max(int(taken.sum()), 1), 4),
                "recall": round(hits / max(int(positive.sum()), 1), 4),
                "share": round(float(taken.mean()), 4),
            }
        )
    return out


def lines_of(evaluated: Mapping[str, Any]) -> Iterable[str]:
    """An evaluation as lines of text."""
    yield f"{evaluated['records']:,} records, accuracy {evaluated['accuracy']:.4f}, macro precision {evaluated['macro_precision']:.4f}, recall {evaluated['macro_recall']:.4f}, F1 {evaluated['macro_f1']:.4f}"  # fmt: skip
    width = max(len(n) for n in evaluated["labels"]) + 2
    yield f"{'label':<{width}}{'precision':>10}{'recall':>10}{'F1':>10}{'records':>10}"
    for name, found in evaluated["by_label"].items():
        yield f"{name:<{width}}{found['precision']:>10.4f}{found['recall']:>10.4f}{found['f1']:>10.4f}{found['support']:>10,}"
    yield "confusion (rows: true, columns: predicted)"
    yield " " * width + "".join(f"{n[:9]:>10}" for n in evaluated["labels"])
    for name, row in zip(evaluated["labels"], evaluated["confusion"], strict=True):
        yield f"{name:<{width}}" + "".join(f"{v:>10,}" for v in row)
    for name, curve in evaluated["thresholds"].items():
        yield f"{name}: " + "; ".join(f"p >= {c['threshold']}: precision {c['precision']:.3f}, recall {c['recall']:.3f}" for c in curve[4::2])  # fmt: skip
