"""How a rule is declared: a decorator makes a frozen dataclass of a function's keyword parameters, and registers it."""

from __future__ import annotations

import inspect
from collections.abc import Callable
from dataclasses import make_dataclass, replace
from typing import TypeAlias, TypeVar, cast, get_type_hints

import pyarrow as pa

from cleaning.rule import AddedColumns, Facts, RejectingRule, RewritingRule, Rule, RuleFunction, RuleStage
from raylib.stage import StageInfo, StageKind, Threshold, register

__all__ = ["reject", "rewrite"]

Examples: TypeAlias = tuple[tuple[str, str], ...]


def rewrite(
    *,
    name: str = "",
    cuts: bool = False,
    unit: str = "",
    examples: Examples = (),
    adds: AddedColumns | None = None,
    tells: Facts | None = None,
    arguments: bool = False,
) -> Callable[[RuleFunction], RewritingRule]:
    """Declare a rule that changes texts.

    Args:
        name: Name in recipes; by default the function's name.
        cuts: Whether the rule takes away whole sentences or lines.
        unit: Unit of its threshold, for the references.
        examples: Texts before and after.
        adds: Function that computes additional columns from the texts before and after.
        tells: Function of the texts before that gives facts about them, by position; they go into `meta`.
        arguments: Whether it rewrites the arguments of calls of tools, too, value by value.

    Returns:
        A decorator of a function of a string array that returns the rewritten array.
    """

    def decorate(function: RuleFunction) -> RewritingRule:
        info = _info(function, name, "cut" if cuts else "rewrite", unit=unit, examples=examples)
        return _registered(RewritingRule(function, info, adds, tells, arguments))

    return decorate


def reject(
    reason: str,
    *,
    name: str = "",
    unit: str = "",
    examples: Examples = (),
    answers: Callable[[pa.Array], pa.Array] | None = None,
    adds: AddedColumns | None = None,
    thresholds: tuple[Threshold, ...] = (),
) -> Callable[[RuleFunction], RejectingRule]:
    """Declare a rule that rejects records.

    Args:
        reason: Reason that the rejects show.
        name: Name in recipes; by default the function's name.
        unit: Unit of its threshold, for the references.
        examples: Texts and a part of the evidence against them; "" for a text that is kept.
        answers: Function of texts that gives what the rule decides by, for calls on strings.
        adds: Function that computes additional columns from the texts.
        thresholds: Parameters by which it rejects texts, the most important one first.

    Returns:
        A decorator of a function of a string array that returns evidence: null for a text that is kept.
    """

    def decorate(function: RuleFunction) -> RejectingRule:
        info = _info(function, name, "reject", reason=reason, unit=unit, examples=examples)
        info = replace(info, thresholds=thresholds)
        return _registered(RejectingRule(function, info, answers, adds))

    return decorate


def _info(
    function: RuleFunction, name: str, kind: StageKind, *, reason: str = "", unit: str = "", examples: Examples = ()
) -> StageInfo:
    """The registry entry of a rule, with a stage class made from the signature of its function."""
    name = name or function.__name__
    hints = get_type_hints(function, include_extras=True)
    stage_fields = [
        (p.name, hints[p.name]) if p.default is p.empty else (p.name, hints[p.name], p.default)
        for p in inspect.signature(function).parameters.values()
        if p.kind is p.KEYWORD_ONLY
    ]
    class_name = "".join(part.title() for part in name.split("_")) + "Stage"
    make = make_dataclass(class_name, stage_fields, bases=(RuleStage,), frozen=True, kw_only=True)
    make.__doc__ = function.__doc__
    make.__module__ = function.__module__
    return StageInfo(
        name=name, make=make, kind=kind, summary=function.__doc__ or "", reason=reason, unit=unit, examples=examples
    )


AnyRule = TypeVar("AnyRule", bound=Rule)


def _registered(rule: AnyRule) -> AnyRule:
    cast("type[RuleStage]", rule.info.make).rule = rule
    register(rule.info)
    return rule
