"""The rules of a run that can be reviewed, and what is asked about each."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from typing import Literal

from raylib.errors import ParameterError, SourceError, nearest
from raylib.recipe import Recipe, StageSpec
from raylib.recipe.stages import stage_labels
from raylib.report.decisions import Decisions
from raylib.stage import StageInfo, Threshold, stage_info
from raylib.storage.names import RunFiles
from raylib.storage.store import Store
from raylib.storage.summary import Summary

__all__ = ["FinishedRun", "ReviewedRule"]


@dataclass(frozen=True)
class ReviewedRule:
    """A stage of the run, and what is asked about it.

    Attributes:
        label: Label of the stage.
        spec: The stage with its parameters.
        info: Its registry entry.
        asks: What is judged: `records` that it rejects and keeps, or `edits` of texts.
    """

    label: str
    spec: StageSpec
    info: StageInfo
    asks: Literal["records", "edits"]

    def thresholds(self) -> Iterator[Threshold]:
        """Thresholds that are in use: their parameter has a number."""
        common = self.spec.common
        for threshold in self.info.thresholds:
            if isinstance(common.get(threshold.parameter), (int, float)):
                yield threshold

    def current(self, threshold: Threshold, source: str = "") -> float:
        """The threshold with which the run decided about the records of a source."""
        values = {**self.spec.common, **self.spec.per_source.get(source, {})}
        value = values[threshold.parameter]
        return float(value) if isinstance(value, (int, float)) else threshold.loosest


@dataclass(frozen=True)
class FinishedRun:
    """The folder of a finished run.

    Attributes:
        store: The folder.
        recipe: Its recipe, with all parameters.
        summary: Its numbers.
        decisions: Single edits and rejects that were drawn while it ran.
    """

    store: Store
    recipe: Recipe
    summary: Summary
    decisions: Decisions

    @classmethod
    def open(cls, root: str) -> FinishedRun:
        """Open the output folder of a run.

        Args:
            root: The folder, or a URI.

        Raises:
            SourceError: the folder does not hold a finished run, or one of a version that drew no decisions.
        """
        store = Store(root)
        for name in (RunFiles.RECIPE, RunFiles.SUMMARY):
            if not store.exists(name):
                raise SourceError(f"{root!r} is not the folder of a finished run: it has no {name}")
        if not store.exists(RunFiles.DECISIONS):
            raise SourceError(
                f"{root!r} has no {RunFiles.DECISIONS}, because an older version of raylib made the run; run the "
                "recipe again"
            )
        recipe = Recipe.from_text(store.read(RunFiles.RECIPE).decode(), f"{root}/{RunFiles.RECIPE}")
        return cls(store, recipe, Summary.read(store), store.read_json(RunFiles.DECISIONS, Decisions))

    @property
    def name(self) -> str:
        """Which run this is, for files that belong to it: the beginning of its fingerprint."""
        return self.summary.fingerprint[:12]

    def rules(self, names: Iterable[str] = ()) -> list[ReviewedRule]:
        """The rules to review, in the order of the recipe.

        Args:
            names: Labels of stages, or names of stages in recipes. Empty for every rule that changed or rejected
                something.

        Raises:
            ParameterError: the run has no such stage, or it cannot be reviewed.
        """
        asked = list(names)
        labels = stage_labels(self.recipe.stages)
        found = []
        for label, spec in zip(labels, self.recipe.stages, strict=True):
            rule = _reviewed(label, spec)
            if asked and label in asked and rule is None:
                raise ParameterError(
                    f"--rule {label}: {label} cannot be reviewed, because it looks at all records or only adds columns"
                )
            if rule is not None and (label in asked or (not asked and self._did_something(rule))):
                found.append(rule)
        for name in asked:
            if name not in labels:
                raise ParameterError(f"--rule {name}: the run has no such stage{nearest(name, labels)}")
        return found

    def _did_something(self, rule: ReviewedRule) -> bool:
        totals = self.summary.by_stage.get(rule.label)
        return totals is not None and bool(totals.rejected if rule.asks == "records" else totals.changed)

    def stages_before(self, label: str) -> list[StageSpec]:
        """The stages that rewrite texts before the stage with this label."""
        labels = stage_labels(self.recipe.stages)
        before = self.recipe.stages[: labels.index(label)]
        return [spec for spec in before if spec.object is None and stage_info(spec.name).kind in ("rewrite", "cut")]


def _reviewed(label: str, spec: StageSpec) -> ReviewedRule | None:
    """The stage as a rule to review; None if its decisions cannot be judged one by one."""
    if spec.object is not None:
        return None
    info = stage_info(spec.name)
    if info.kind == "reject":
        return ReviewedRule(label, spec, info, "records")
    return ReviewedRule(label, spec, info, "edits") if info.kind in ("rewrite", "cut") else None
