"""The proposals as a change of the recipe: thresholds of stages, and other ones for sources that need them."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field

import yaml

from raylib.recipe.stages import PER_SOURCE, stage_labels
from raylib.review.findings import RuleFindings
from raylib.review.rules import FinishedRun

__all__ = ["Change", "changed_recipe", "changes_of"]


_GAIN = 0.005  # of F1, below which a threshold stays as it is


@dataclass(frozen=True)
class Change:
    """A change of a stage's threshold.

    Attributes:
        label: Label of the stage.
        stage: Its name in recipes.
        parameter: The parameter.
        old: Its value in the run.
        new: The value that is proposed.
        sources: Values that are proposed for some sources.
    """

    label: str
    stage: str
    parameter: str
    old: float
    new: float
    sources: dict[str, float] = field(default_factory=dict)

    @property
    def parameters(self) -> dict[str, object]:
        """The parameters that change, as a recipe gives them."""
        others = {source: {self.parameter: value} for source, value in self.sources.items()}
        return {self.parameter: self.new, **({PER_SOURCE: others} if others else {})}

    def to_json(self) -> dict[str, object]:
        """The change as JSON."""
        return {
            "label": self.label,
            "stage": {self.stage: self.parameters},
            "parameter": self.parameter,
            "old": self.old,
        }


def changes_of(findings: Sequence[RuleFindings]) -> list[Change]:
    """The changes that are worth making.

    A threshold stays if the one that is proposed gains less than half a point of F1; a source gets its own only if
    that gains as much over what all sources get.

    Args:
        findings: What was found out about rules.

    Returns:
        The changes, in the order of the rules.
    """
    made = []
    for found in findings:
        proposed, old = found.figures.proposed, found.figures.threshold
        if proposed is None or old is None:
            continue
        whole = any(t.whole for t in found.rule.info.thresholds if t.parameter == found.parameter)
        new = proposed.threshold if proposed.f1 - proposed.f1_of_current >= _GAIN else old
        sources = {
            source: _number(own.threshold, whole=whole)
            for source, figures in found.sources.items()
            if (own := figures.proposed) is not None
            and source
            and own.f1 - own.f1_of_current >= _GAIN
            and own.threshold != new
            and not own.low <= new <= own.high
        }
        if new != old or sources:
            change = Change(
                found.rule.label, found.rule.spec.name, found.parameter, old, _number(new, whole=whole), sources
            )
            made.append(change)
    return made


def _number(value: float, *, whole: bool) -> float:
    return round(value) if whole else value


def changed_recipe(run: FinishedRun, changes: Sequence[Change]) -> str:
    """The recipe of the run with the changes, as YAML.

    Args:
        run: The run.
        changes: What to change.

    Returns:
        A whole recipe, which begins with a comment for each change.
    """
    described = run.recipe.describe()
    by_label = {change.label: change for change in changes}
    stages = []
    for label, spec in zip(stage_labels(run.recipe.stages), run.recipe.stages, strict=True):
        (name, parameters), *_ = spec.describe().items()
        change = by_label.get(label)
        if change is not None:
            others = {source: dict(values) for source, values in spec.per_source.items()}
            for values in others.values():  # what a source had before gives way to what is proposed for all
                values.pop(change.parameter, None)
            for source, value in change.sources.items():
                others.setdefault(source, {})[change.parameter] = value
            others = {source: values for source, values in others.items() if values}
            parameters = {**parameters, change.parameter: change.new}
            parameters.pop(PER_SOURCE, None)
            parameters |= {PER_SOURCE: others} if others else {}
        stages.append({name: parameters})
    head = [f"# raylib review: {c.label}: {c.parameter} from {c.old:g} to {_shown(c)}" for c in changes]
    body = yaml.safe_dump({**described, "stages": stages}, allow_unicode=True, sort_keys=False)
    return "\n".join([*(head or ["# raylib review: no change is worth making"]), body])


def _shown(change: Change) -> str:
    others = "".join(f", {value:g} for {source}" for source, value in change.sources.items())
    return f"{change.new:g}{others}"
