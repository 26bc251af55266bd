"""What a chain does to records, and what each of its rules decides: for the good, to the harm, or neither."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field

import pyarrow as pa

from cleaning import rules
from cleaning.rule import RejectingRule, Rule
from raylib.recipe import StageSpec
from tests.quality_of_text.records import Record

__all__ = ["Verdict", "judge"]


@dataclass
class Verdict:
    """Counts over records.

    Attributes:
        perfect: Good records that came out whole and clean.
        left: Good records in which residue was left.
        damaged: Good records that lost something.
        rejected: Good records that were rejected, with the rule and its evidence.
        caught: Bad records that were rejected.
        missed: Bad records that came out.
        good: Good decisions of each rule.
        harmful: Harmful decisions of each rule.
        neutral: Decisions of each rule that are neither.
    """

    perfect: list[str] = field(default_factory=list)
    left: dict[str, list[str]] = field(default_factory=dict)
    damaged: dict[str, list[str]] = field(default_factory=dict)
    rejected: dict[str, str] = field(default_factory=dict)
    caught: list[str] = field(default_factory=list)
    missed: list[str] = field(default_factory=list)
    good: Counter[str] = field(default_factory=Counter)
    harmful: Counter[str] = field(default_factory=Counter)
    neutral: Counter[str] = field(default_factory=Counter)

    def precision(self, rule: str) -> float | None:
        """Share of good decisions of a rule among those that are good or harmful; None if there are none."""
        decided = self.good[rule] + self.harmful[rule]
        return self.good[rule] / decided if decided else None


def _rule_of(spec: StageSpec) -> Rule:
    found: Rule = getattr(rules, spec.name)
    return found


def _follow(record: Record, chain: Sequence[StageSpec], verdict: Verdict) -> None:
    text = record.text
    for spec in chain:
        rule = _rule_of(spec)
        result = rule.function(pa.array([text], pa.large_string()), **spec.parameters)[0].as_py()
        if isinstance(rule, RejectingRule):
            if result is None:
                continue
            (verdict.harmful if record.keep else verdict.good)[spec.name] += 1
            if record.keep:
                verdict.rejected[record.name] = f"{spec.name}: {result}"
            else:
                verdict.caught.append(record.name)
            return
        if result != text and record.keep:
            lost = any(m in text and m not in result for m in record.must)
            won = any(m in text and m not in result for m in record.must_not)
            won = won or any(m not in text and m in result for m in record.must)
            (verdict.harmful if lost else verdict.good if won else verdict.neutral)[spec.name] += 1
        text = result
    if not record.keep:
        verdict.missed.append(record.name)
    elif missing := [m for m in record.must if m not in text]:
        verdict.damaged[record.name] = missing
    elif left := [m for m in record.must_not if m in text]:
        verdict.left[record.name] = left
    else:
        verdict.perfect.append(record.name)


def judge(records: Iterable[Record], chain: Sequence[StageSpec]) -> Verdict:
    """Run records through the rules of a chain, one at a time.

    Args:
        records: The records.
        chain: Stages; those that are no cleaning rule are left out.
    """
    verdict = Verdict()
    working = [spec for spec in chain if hasattr(rules, spec.name)]
    for record in records:
        _follow(record, working, verdict)
    return verdict
