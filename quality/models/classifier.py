"""Training and judging text classifiers: labelled data, options to try, precision and recall."""

from __future__ import annotations

import importlib
import itertools
from collections.abc import Iterator, Sequence
from dataclasses import replace
from typing import Literal, TypedDict

import numpy as np
import numpy.typing as npt

from quality.models.labelled import read_labelled, safe_label, split
from quality.models.text_classifier import TextClassifier, TrainOptions

__all__ = [
    "Evaluation",
    "LabelScores",
    "TextClassifier",
    "ThresholdPoint",
    "TrainOptions",
    "Trial",
    "evaluation",
    "lines_of",
    "read_labelled",
    "safe_label",
    "split",
    "tune",
]

# (loss, learning rate, epochs): small sets of short texts want many epochs, large ones of long texts few
_GRID: tuple[tuple[Literal["softmax", "ova"], float, int], ...] = (
    ("softmax", 0.5, 25),
    ("softmax", 0.2, 8),
    ("softmax", 0.1, 8),
    ("ova", 0.4, 25),
    ("ova", 0.2, 12),
)
_THRESHOLDS = (0.1, 0.2, 0.3, 0.4, 0.5, 0.6, 0.7, 0.8, 0.9, 0.95, 0.99)


class LabelScores(TypedDict):
    """Precision, recall, F1 and number of records of one label."""

    precision: float
    recall: float
    f1: float
    support: int


class ThresholdPoint(TypedDict):
    """Precision, recall and share of texts taken for a label when its probability is at least `threshold`."""

    threshold: float
    precision: float
    recall: float
    share: float


class Evaluation(TypedDict):
    """How good a classifier is; means are over labels (macro)."""

    records: int
    accuracy: float
    macro_precision: float
    macro_recall: float
    macro_f1: float
    by_label: dict[str, LabelScores]
    labels: list[str]
    confusion: list[list[int]]  # rows: true, columns: predicted, both as in `labels`
    thresholds: dict[str, list[ThresholdPoint]]


class Trial(TypedDict):
    """Options that were tried, and the macro F1 that they gave."""

    loss: str
    learning_rate: float
    epochs: int
    word_ngrams: int
    macro_f1: float


def tune(
    texts: Sequence[str], labels: Sequence[str], options: TrainOptions, *, seed: int = 0, threads: int = 0
) -> tuple[TrainOptions, list[Trial]]:
    """Try options that differ in what matters most, on a held-out eighth of the data.

    Args:
        texts: N texts.
        labels: Their N labels.
        options: Options that all trials share.
        seed: Seed of the split.
        threads: Number of threads; 0 means all cores.

    Returns:
        The options with the best macro F1, and all trials.

    Raises:
        ParameterError: If there are fewer than two labels, or if a training diverges.
    """
    train, test = split(len(texts), 0.125, seed)
    tried: list[TrainOptions] = []
    trials: list[Trial] = []
    for (loss, rate, epochs), ngrams in itertools.product(_GRID, (2, 3)):
        trial = replace(options, loss=loss, learning_rate=rate, epochs=epochs, word_ngrams=ngrams)
        model = TextClassifier.train([texts[i] for i in train], [labels[i] for i in train], trial, threads=threads)
        found = evaluation(model, [texts[i] for i in test], [labels[i] for i in test])
        tried.append(trial)
        trials.append(
            {
                "loss": loss,
                "learning_rate": rate,
                "epochs": epochs,
                "word_ngrams": ngrams,
                "macro_f1": found["macro_f1"],
            }
        )
    best = max(range(len(trials)), key=lambda i: trials[i]["macro_f1"])
    return tried[best], trials


def evaluation(model: TextClassifier, texts: Sequence[str], labels: Sequence[str]) -> Evaluation:
    """Compare a classifier with true labels.

    Args:
        model: The classifier.
        texts: N texts.
        labels: Their N true labels.

    Returns:
        Scores by label and their macro means, the confusion matrix, and for each label a threshold curve.
    """
    metrics = importlib.import_module("sklearn.metrics")  # loads in a second
    table = model.probabilities(texts)
    predicted = [model.labels[i] for i in table.argmax(axis=1)]
    true = [safe_label(label) for label in labels]
    names = sorted({*model.labels, *true})
    scores = metrics.precision_recall_fscore_support(true, predicted, labels=names, zero_division=0)
    precision, recall, f1, support = (np.asarray(part) for part in scores)
    present = support > 0
    return {
        "records": len(true),
        "accuracy": round(float(np.mean([a == b for a, b in zip(true, predicted, strict=True)])), 4),
        "macro_precision": round(float(np.mean(precision[present])), 4),
        "macro_recall": round(float(np.mean(recall[present])), 4),
        "macro_f1": round(float(np.mean(f1[present])), 4),
        "by_label": {
            name: {
                "precision": round(float(precision[i]), 4),
                "recall": round(float(recall[i]), 4),
                "f1": round(float(f1[i]), 4),
                "support": int(support[i]),
            }
            for i, name in enumerate(names)
        },
        "labels": names,
        "confusion": metrics.confusion_matrix(true, predicted, labels=names).tolist(),
        "thresholds": {
            name: _curve(table[:, i], np.array([t == name for t in true])) for i, name in enumerate(model.labels)
        },
    }


def _curve(probability: npt.NDArray[np.float64], positive: npt.NDArray[np.bool_]) -> list[ThresholdPoint]:
    """Precision and recall of one label at several thresholds."""
    out: list[ThresholdPoint] = []
    for threshold in _THRESHOLDS:
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


def lines_of(evaluated: Evaluation) -> Iterator[str]:
    """Describe an evaluation in lines of text."""
    means = f"precision {evaluated['macro_precision']:.4f}, recall {evaluated['macro_recall']:.4f}"
    accuracy = f"{evaluated['records']:,} records, accuracy {evaluated['accuracy']:.4f}"
    yield f"{accuracy}, macro {means}, F1 {evaluated['macro_f1']:.4f}"
    width = max(len(n) for n in evaluated["labels"]) + 2
    yield f"{'label':<{width}}{'precision':>10}{'recall':>10}{'F1':>10}{'records':>10}"
    for name, found in evaluated["by_label"].items():
        shares = f"{found['precision']:>10.4f}{found['recall']:>10.4f}{found['f1']:>10.4f}"
        yield f"{name:<{width}}{shares}{found['support']:>10,}"
    yield "confusion (rows: true, columns: predicted)"
    yield " " * width + "".join(f"{n[:9]:>10}" for n in evaluated["labels"])
    for name, row in zip(evaluated["labels"], evaluated["confusion"], strict=True):
        yield f"{name:<{width}}" + "".join(f"{v:>10,}" for v in row)
    for name, curve in evaluated["thresholds"].items():
        points = (
            f"p >= {c['threshold']}: precision {c['precision']:.3f}, recall {c['recall']:.3f}" for c in curve[4::2]
        )
        yield f"{name}: " + "; ".join(points)
