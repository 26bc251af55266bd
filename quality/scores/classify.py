"""The stage `classify`: labels and probabilities of a fastText classifier."""

from __future__ import annotations

from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Literal

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from quality.models.classifier import TextClassifier, safe_label
from raylib.schema import text_of
from raylib.stage import Outcome, StageInfo, keep_all, register
from raylib.stage.outcome import with_columns

__all__ = ["Classify"]


@dataclass(frozen=True)
class Classify:
    """Add the most probable label of each record's text and its probability, by a fastText classifier.

    `model`: a folder that `raylib classifier train` wrote, or a plain fastText .bin file. Adds `column` (the label) and
    `column`_probability; with `label` set instead the probability of that label alone, as the number `column`.
    `part`: look at the whole record, or at its instruction or response alone.
    """

    model: str
    column: str = "label"
    label: str = ""
    part: Literal["all", "instruction", "response"] = "all"
    _loaded: dict[str, Any] = field(default_factory=dict, init=False, repr=False, compare=False, hash=False)

    def check(self) -> None:
        """Raise ValueError when there is no such model."""
        if not Path(self.model).exists():
            raise ValueError(f"model: no file or folder {self.model!r}; `raylib classifier train` makes one")

    def setup(self) -> None:
        """Load the model."""
        model = TextClassifier.load(self.model)
        if self.label and safe_label(self.label) not in model.labels:
            raise ValueError(f"classify: label: {self.label!r} is none of {', '.join(model.labels)}")
        self._loaded["model"] = model

    def __call__(self, table: pa.Table) -> Outcome:
        texts: list[str] = []
        if len(table):
            if not self._loaded:
                self.setup()
            texts = pc.fill_null(self._texts(table), "").to_pylist()
        if self.label:
            values = np.zeros(0)
            if texts:
                model = self._loaded["model"]
                values = model.probabilities(texts)[:, model.labels.index(safe_label(self.label))]
            return keep_all(with_columns(table, {self.column: pa.array(np.round(values, 5))}))
        names, best = self._loaded["model"].best(texts) if texts else ([], np.zeros(0))
        columns = {self.column: pa.array(names, pa.string()), f"{self.column}_probability": pa.array(np.round(best, 5))}
        return keep_all(with_columns(table, columns))

    def _texts(self, table: pa.Table) -> pa.Array:
        from quality.text.turns import instruction_of, response_of

        if self.part == "all":
            return text_of(table)
        return instruction_of(table) if self.part == "instruction" else response_of(table)


register(StageInfo(name="classify", make=Classify, kind="score", summary=Classify.__doc__ or ""))
