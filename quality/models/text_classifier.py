"""A fastText classifier of text: training, files, probabilities."""

from __future__ import annotations

import os
import tempfile
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Literal, Protocol, cast

import numpy as np
import numpy.typing as npt
import orjson

from cleaning.fasttext import FastTextModel, fasttext_module, label_probabilities, read_model
from quality.models.labelled import safe_label
from quality.text.words import STOP_WORDS, segmenter
from raylib import machine
from raylib.errors import ParameterError
from raylib.foreign_json import fault_in, read_json

__all__ = ["TextClassifier", "TrainOptions"]

_PREFIX = "__label__"


class TrainedModel(FastTextModel, Protocol):
    """The part of a fastText model that a classifier uses."""

    def get_labels(self) -> list[str]:
        """All labels, with fastText's prefix."""
        ...

    def save_model(self, path: str) -> None:
        """Write the model to a file."""
        ...


@dataclass(frozen=True)
class TrainOptions:
    """Options of training a classifier. `tune` finds better values of the first few for given data.

    Attributes:
        segmenter: How texts are cut into words: `rjieba` (compiled), `jieba`, or `characters`.
        stop_words: Whether pronouns, negations and the like are kept or dropped. They say a lot about offence
            (0.8 points of F1 on COLDataset) and nothing about news topics.
        word_ngrams: Number of words of fastText's longest n-gram.
        dimension: Length of fastText's word vectors.
        epochs: Number of passes over the data.
        learning_rate: Learning rate at the start.
        subword_min: Length of the shortest character n-gram inside words; 0 means none.
        subword_max: Length of the longest character n-gram inside words; 0 means none.
        loss: `softmax`, or `ova`, one logistic loss per label.
        buckets: Size of the table of n-grams. A model takes buckets x dimension x 4 bytes.
        max_characters: Number of characters of a text that are looked at.
    """

    segmenter: Literal["rjieba", "jieba", "characters"] = "rjieba"
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

    def line(self, text: str) -> str:
        """Cut a text into words on one line, since fastText takes a newline for the end of an example."""
        words = segmenter(self.segmenter)(text[: self.max_characters].lower())
        stop = STOP_WORDS if self.stop_words == "drop" else frozenset()
        return " ".join(w for w in words if not w.isspace() and w not in stop) or "▁"


class TextClassifier:
    """A trained model and how texts are cut for it. Saved as `model.bin` and `classifier.json` in a folder.

    Attributes:
        model: The fastText model.
        options: Options it was trained with.
        facts: What is known of its training: number of records, records of each label, an evaluation.
        labels: Labels in ascending order.
    """

    def __init__(self, model: TrainedModel, options: TrainOptions, facts: Mapping[str, object]) -> None:
        self.model, self.options, self.facts = model, options, dict(facts)
        self.labels = sorted(label.removeprefix(_PREFIX) for label in model.get_labels())

    @classmethod
    def train(
        cls, texts: Sequence[str], labels: Sequence[str], options: TrainOptions | None = None, *, threads: int = 0
    ) -> TextClassifier:
        """Train on labelled texts.

        Args:
            texts: N texts.
            labels: Their N labels.
            options: Options of training; by default those of `TrainOptions()`.
            threads: Number of threads; 0 means all cores. With one thread the same data gives the same model.

        Returns:
            The classifier.

        Raises:
            ParameterError: If there are fewer than two labels, or if the training diverges.
        """
        options = options or TrainOptions()
        counts = {name: list(labels).count(name) for name in sorted(set(labels))}
        if len(counts) < 2:
            raise ParameterError(f"a classifier needs two labels or more; found {list(counts)}")
        with tempfile.NamedTemporaryFile("w", suffix=".txt", encoding="utf-8", delete=False) as stream:
            for text, label in zip(texts, labels, strict=True):
                stream.write(f"{_PREFIX}{safe_label(label)} {options.line(text)}\n")
        try:
            model = _fitted(stream.name, options, threads)
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
        """Read a classifier.

        Args:
            path: Folder that `save` wrote, or a plain fastText .bin file.

        Returns:
            The classifier.

        Raises:
            ParameterError: If there is no model, or if fastText cannot read it.
        """
        place = Path(path)
        file = place / "model.bin" if place.is_dir() else place
        if not file.is_file():
            raise ParameterError(f"no fastText model at {path!r}; `raylib classifier train` makes one")
        facts: dict[str, object] = {}
        options = TrainOptions()
        if place.is_dir() and (place / "classifier.json").is_file():
            saved = read_json(place / "classifier.json", dict[str, object], ParameterError)
            given = saved.pop("options", None)
            wrong = fault_in(given, TrainOptions, "options")
            if wrong or not isinstance(given, dict):
                raise ParameterError(f"{place / 'classifier.json'} is damaged, or made by another program: {wrong}")
            options = TrainOptions(**{name: given[name] for name in given if name in TrainOptions.__dataclass_fields__})
            facts = saved
        return cls(cast("TrainedModel", read_model(str(file))), options, facts)

    # ---- use ----------------------------------------------------------------------------------

    def line(self, text: str) -> str:
        """The text as the model takes it: words on one line."""
        return self.options.line(text)

    def probabilities(self, texts: Sequence[str]) -> npt.NDArray[np.float64]:
        """Probabilities of all L labels (columns, in the order of `labels`) for each of N texts, `[N, L]`."""
        column = {f"{_PREFIX}{name}": i for i, name in enumerate(self.labels)}
        out = np.zeros((len(texts), len(self.labels)))
        for row, text in enumerate(texts):
            for label, probability in label_probabilities(self.model, self.line(text)).items():
                out[row, column[label]] = probability
        return np.asarray(out / np.maximum(out.sum(axis=1, keepdims=True), 1e-12))

    def best(self, texts: Sequence[str]) -> tuple[list[str], npt.NDArray[np.float64]]:
        """The most probable label of each of N texts, and its probability, `[N]`."""
        table = self.probabilities(texts)
        at = table.argmax(axis=1)
        return [self.labels[i] for i in at], table[np.arange(len(at)), at]


def _fitted(file: str, options: TrainOptions, threads: int) -> TrainedModel:
    """A model trained on a file of lines. Raises ParameterError if the training diverges."""
    try:
        model: TrainedModel = fasttext_module().train_supervised(
            file,
            dim=options.dimension,
            epoch=options.epochs,
            lr=options.learning_rate,
            wordNgrams=options.word_ngrams,
            minn=options.subword_min,
            maxn=options.subword_max,
            bucket=options.buckets,
            loss=options.loss,
            thread=threads or machine.cpus(),
            verbose=0,
        )
    except RuntimeError as error:
        raise ParameterError(f"training failed: {error}; try a lower learning_rate") from None
    return model
