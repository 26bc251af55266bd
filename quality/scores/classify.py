"""The stage `classify`: labels and probabilities of a fastText classifier."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Literal

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from quality.models.labelled import safe_label
from quality.models.stage import ModelStage
from quality.models.text_classifier import TextClassifier
from quality.text.turns import instruction_of, response_of
from raylib.errors import ParameterError, StageError
from raylib.extras import require
from raylib.paths import PathName
from raylib.schema import text_of
from raylib.stage import Outcome, keep_all, stage, with_columns

__all__ = ["Classify"]

_TEXT_OF = {"all": text_of, "instruction": instruction_of, "response": response_of}


@stage("classify", kind="score")
@dataclass(frozen=True)
class Classify(ModelStage[TextClassifier]):
    """Add the most probable label of each record's text and its probability, by a fastText classifier.

    Adds `column` (the label) and `column`_probability. If `label` is set, adds the probability of that label alone,
    as the number `column`.

    Attributes:
        model: Folder that `raylib classifier train` wrote, or a plain fastText .bin file.
        column: Name of the new column.
        label: Label whose probability is wanted; empty means the most probable label.
        part: Part of a record that is looked at: `all` of it; its `instruction`, without what tools returned; or its
            `response`, without reasoning.
    """

    model: PathName
    column: str = "label"
    label: str = ""
    part: Literal["all", "instruction", "response"] = "all"

    @property
    def model_based(self) -> bool:
        """Always false: a fastText model is as light as a rule."""
        return False

    def check(self) -> None:
        """Check that the model is there. Raises ParameterError, or MissingExtraError without fastText."""
        require("fasttext", purpose="the stage classify")
        if not Path(self.model).exists():
            raise ParameterError(f"model: no file or folder {self.model!r}; `raylib classifier train` makes one")

    def load(self) -> TextClassifier:
        """Load the model. Raises ParameterError if it does not know `label`."""
        model = TextClassifier.load(self.model)
        if self.label and safe_label(self.label) not in model.labels:
            raise ParameterError(f"classify: label: {self.label!r} is none of {', '.join(model.labels)}")
        return model

    def __call__(self, table: pa.Table) -> Outcome:
        """Add the columns. Raises StageError if one of them would take the place of what a record says itself."""
        if self.column == "label" and "answer" in table.column_names:
            raise StageError("classify: column: feedback has a column 'label' of its own; give another name")
        texts: list[str] = pc.fill_null(_TEXT_OF[self.part](table), "").to_pylist() if len(table) else []
        if self.label:
            values = np.zeros(0)
            if texts:
                values = self.loaded.probabilities(texts)[:, self.loaded.labels.index(safe_label(self.label))]
            return keep_all(with_columns(table, {self.column: pa.array(np.round(values, 5))}))
        names, best = self.loaded.best(texts) if texts else ([], np.zeros(0))
        columns = {self.column: pa.array(names, pa.string()), f"{self.column}_probability": pa.array(np.round(best, 5))}
        return keep_all(with_columns(table, columns))
