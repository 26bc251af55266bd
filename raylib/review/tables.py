"""Findings as a table in a terminal, and in words what follows from them."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from rich.table import Table

from raylib.review.estimates import Estimate
from raylib.review.findings import Figures, RuleFindings
from raylib.review.recipe_change import Change

__all__ = ["findings_table", "remarks"]


_MOST_IDS = 5  # of decisions without an answer


def findings_table(findings: Sequence[RuleFindings]) -> Table:
    """A row for each rule, and one for each of its sources where there are several."""
    table = Table(box=None, pad_edge=False)
    table.add_column("rule")
    for name in ("answered", "precision", "recall", "lost characters", "threshold", "proposed", "F1"):
        table.add_column(name, justify="right")
    for found in findings:
        name = f"{found.rule.label}.{found.parameter}" if found.parameter else found.rule.label
        table.add_row(name, *_cells(found.figures))
        for source, figures in found.sources.items() if len(found.sources) > 1 else ():
            table.add_row(f"  {source or '(none)'}", *_cells(figures), style="dim")
    return table


def _cells(figures: Figures) -> Iterator[str]:
    yield f"{figures.answered} of {figures.decisions}"
    yield _percent(figures.precision)
    yield _percent(figures.recall)
    lost = figures.lost_characters
    yield "" if lost is None else f"{lost.estimate:,.0f} ({lost.low:,.0f} to {lost.high:,.0f})"
    yield "" if figures.threshold is None else f"{figures.threshold:g}"
    proposed = figures.proposed
    yield "" if proposed is None else f"{proposed.threshold:g} ({proposed.low:g} to {proposed.high:g})"
    yield "" if proposed is None else f"{proposed.f1_of_current:.2f} → {proposed.f1:.2f}"


def _percent(estimate: Estimate | None) -> str:
    if estimate is None:
        return ""
    return f"{100 * estimate.estimate:.0f} % ({100 * estimate.low:.0f} to {100 * estimate.high:.0f})"


def remarks(findings: Sequence[RuleFindings], changes: Sequence[Change]) -> Iterator[str]:
    """What a reader of the table should know: answers that are missing, and the change of the recipe."""
    for found in findings:
        missing = found.unanswered
        if missing:
            named = ", ".join(missing[:_MOST_IDS]) + (", ..." if len(missing) > _MOST_IDS else "")
            yield f"{found.rule.label}: {len(missing)} decisions have no answer: {named}"
        if found.parameter and found.no_proposal:
            yield f"{found.rule.label}: no threshold is proposed: {found.no_proposal}"
    for change in changes:
        others = "".join(f", {value:g} for source {source}" for source, value in change.sources.items())
        yield f"{change.label}: change {change.parameter} from {change.old:g} to {change.new:g}{others}"
    if not changes:
        yield "no change of a threshold is worth making"
