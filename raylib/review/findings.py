"""What the answers say about each rule: precision, recall and lost characters, the curve, and better thresholds."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field

import numpy as np
import numpy.typing as npt

from raylib.review.decisions import Decision
from raylib.review.estimates import Estimate, amount, ratio_of_parts, share
from raylib.review.population import Population
from raylib.review.proposal import POOLED, Judged, Point, Proposal, curve, proposals
from raylib.review.rules import FinishedRun, ReviewedRule
from raylib.review.values import Floats

__all__ = ["Figures", "RuleFindings", "find", "findings_json"]


_OWN_THRESHOLD = 12  # answers about a source, from which it may get a threshold of its own


@dataclass(frozen=True)
class Figures:
    """What was found out about the decisions of a rule, for one source or for all.

    Attributes:
        decisions: Number of decisions that were drawn.
        answered: Number of them that were answered.
        unsure: Number of answers that are neither for nor against.
        precision: Share of good decisions: bad texts among rejects, or edits that did good among those that did good
            or harm.
        recall: Share of the bad texts that were rejected; None if no kept texts were judged.
        lost_characters: Characters of good texts that were rejected, or that harmful edits took away.
        lost_share: Their share of the characters that the rule saw.
        threshold: The threshold that the run had; None for a rule without one.
        proposed: The threshold that is proposed, if any.
    """

    decisions: int
    answered: int
    unsure: int
    precision: Estimate | None
    recall: Estimate | None
    lost_characters: Estimate | None
    lost_share: Estimate | None
    threshold: float | None = None
    proposed: Proposal | None = None

    def to_json(self) -> dict[str, object]:
        """The figures as JSON."""
        estimates = {
            "precision": self.precision,
            "recall": self.recall,
            "lost_characters": self.lost_characters,
            "lost_share": self.lost_share,
        }
        return {
            "decisions": self.decisions,
            "answered": self.answered,
            "unanswered": self.decisions - self.answered,
            "unsure": self.unsure,
            **{name: None if e is None else e.to_json() for name, e in estimates.items()},
            "threshold": self.threshold,
            "proposed": None if self.proposed is None else self.proposed.to_json(),
        }


@dataclass(frozen=True)
class RuleFindings:
    """What was found out about a rule.

    Attributes:
        rule: The rule.
        parameter: Its threshold's parameter; empty if it has none.
        figures: Figures of all sources.
        sources: Figures by source.
        curve: Precision, recall and F1 over the threshold.
        unanswered: Ids of records about which there is no answer.
    """

    rule: ReviewedRule
    parameter: str
    figures: Figures
    sources: Mapping[str, Figures] = field(default_factory=dict)
    curve: Sequence[Point] = ()
    unanswered: Sequence[str] = ()

    @property
    def no_proposal(self) -> str:
        """Why no threshold is proposed; empty if one is."""
        if self.figures.proposed is not None:
            return ""
        if not self.parameter:
            return "the rule has no threshold"
        return "at least 5 good and 5 bad texts have to be found"

    def to_json(self) -> dict[str, object]:
        """The findings as JSON."""
        return {
            "asks": self.rule.asks,
            "parameter": self.parameter,
            **self.figures.to_json(),
            "no_proposal": self.no_proposal,
            "unanswered_ids": list(self.unanswered),
            "curve": [point.to_json() for point in self.curve],
            "sources": {source: figures.to_json() for source, figures in self.sources.items()},
        }


def find(
    run: FinishedRun,
    rules: Sequence[ReviewedRule],
    found: Mapping[str, Population],
    decisions: Sequence[Decision],
) -> list[RuleFindings]:
    """Turn answers into figures.

    Args:
        run: The run.
        rules: Rules that the decisions are about.
        found: Populations of those that reject records, by label.
        decisions: The decisions with their answers.

    Returns:
        The findings, rule by rule.
    """
    made = []
    for rule in rules:
        asked = [d for d in decisions if d.rule == rule.label]
        made.append(_of_edits(run, rule, asked) if rule.asks == "edits" else _of_records(found[rule.label], asked))
    return made


def findings_json(
    run: FinishedRun, findings: Sequence[RuleFindings], changes: Sequence[Mapping[str, object]]
) -> dict[str, object]:
    """Findings as JSON.

    Args:
        run: The run.
        findings: Findings about its rules.
        changes: Changes of the recipe that follow from them.

    Returns:
        Totals, findings by rule, and the changes.
    """
    figures = [found.figures for found in findings]
    return {
        "run": run.name,
        "recipe": run.recipe.name,
        "decisions": sum(f.decisions for f in figures),
        "answered": sum(f.answered for f in figures),
        "unanswered": sum(f.decisions - f.answered for f in figures),
        "rules": {found.rule.label: found.to_json() for found in findings},
        "recipe_change": list(changes),
    }


def _by_source(decisions: Sequence[Decision]) -> Iterator[tuple[str, list[Decision]]]:
    for source in sorted({d.source for d in decisions}):
        yield source, [d for d in decisions if d.source == source]


def _unanswered(decisions: Sequence[Decision]) -> list[str]:
    return [d.id for d in decisions if not d.answer]


def _numbers(decisions: Sequence[Decision], name: str) -> Floats:
    return np.array([getattr(d, name) for d in decisions], np.float64)


def _of_edits(run: FinishedRun, rule: ReviewedRule, decisions: Sequence[Decision]) -> RuleFindings:
    totals = run.summary.by_stage[rule.label]
    figures = {source: _edit_figures(part, totals.characters_in) for source, part in _by_source(decisions)}
    return RuleFindings(rule, "", _edit_figures(decisions, totals.characters_in), figures, (), _unanswered(decisions))


def _edit_figures(decisions: Sequence[Decision], characters: int) -> Figures:
    answered = [d for d in decisions if d.answer]
    clear = [d for d in answered if d.answer != "neutral"]
    good = np.array([d.answer == "good" for d in clear], np.bool_)
    harmful = np.array([d.answer == "harmful" for d in answered], np.bool_)
    total = float((_numbers(decisions, "weight") * _numbers(decisions, "characters")).sum())
    lost = amount(harmful, _numbers(answered, "weight"), _numbers(answered, "characters"), total)
    return Figures(
        decisions=len(decisions),
        answered=len(answered),
        unsure=len(answered) - len(clear),
        precision=share(good, _numbers(clear, "weight")),
        recall=None,
        lost_characters=lost,
        lost_share=None if lost is None else lost.times(1 / max(characters, 1)),
    )


def _of_records(population: Population, decisions: Sequence[Decision]) -> RuleFindings:
    clear = [d for d in decisions if d.answer in ("good", "bad")]
    names = zip(population.sources.tolist(), population.ids, strict=True)
    place = {name: row for row, name in enumerate(names)}
    known = [d for d in clear if (d.source, d.id) in place]
    rows = np.array([place[d.source, d.id] for d in known], np.int64)
    judged = Judged(
        population.keys[rows], np.array([d.answer == "bad" for d in known], np.float64), population.sources[rows]
    )
    own = [source for source, part in _by_source(known) if len(part) >= _OWN_THRESHOLD]
    proposed = proposals(population, judged, own if len(set(population.sources.tolist())) > 1 else [])
    everything = np.ones(len(population.ids), np.bool_)
    sources = {
        source: _record_figures(population, population.sources == source, part, source, proposed.get(source))
        for source, part in _by_source(decisions)
    }
    return RuleFindings(
        rule=population.rule,
        parameter=population.threshold.parameter if population.threshold else "",
        figures=_record_figures(population, everything, decisions, POOLED, proposed.get(POOLED)),
        sources=sources,
        curve=curve(population, judged),
        unanswered=_unanswered(decisions),
    )


def _record_figures(
    population: Population,
    rows: npt.NDArray[np.bool_],
    decisions: Sequence[Decision],
    source: str,
    proposed: Proposal | None,
) -> Figures:
    answered = [d for d in decisions if d.answer]
    clear = [d for d in answered if d.answer != "unsure"]
    bad = np.array([d.answer == "bad" for d in clear], np.bool_)
    out = np.array([d.decision == "rejected" for d in clear], np.bool_)
    weights, characters = _numbers(clear, "weight"), _numbers(clear, "characters")
    here, gone = population.weights * rows, population.rejected
    sizes = float(here[gone].sum()), float(here[~gone].sum())
    lengths = here * population.characters
    lost = amount(~bad[out], weights[out], characters[out], float(lengths[gone].sum()))
    threshold = population.threshold
    return Figures(
        decisions=len(decisions),
        answered=len(answered),
        unsure=len(answered) - len(clear),
        precision=share(bad[out], weights[out]),
        recall=None
        if threshold is None
        else ratio_of_parts((bad[out], weights[out]), (bad[~out], weights[~out]), sizes),
        lost_characters=lost,
        lost_share=None if lost is None else lost.times(1 / max(float(lengths.sum()), 1.0)),
        threshold=None if threshold is None else population.rule.current(threshold, source),
        proposed=proposed,
    )
