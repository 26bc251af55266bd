"""What a cleaning rule is: a function over Arrow string arrays, plus its recipe stage.

A rewriting rule maps texts to texts. A rejecting rule maps texts to evidence: null keeps the
record, a string says why it goes. The decorators build a frozen dataclass (the stage, whose fields
are the keyword parameters of the function) and register it, and return a `Rule` that a notebook
can call on an array, a table or a single string with no cluster and no recipe.
"""

from __future__ import annotations

import inspect
from collections.abc import Callable
from dataclasses import dataclass, fields, make_dataclass
from dataclasses import field as dataclass_field
from typing import Any, ClassVar, get_type_hints

import pyarrow as pa
import pyarrow.compute as pc

from raylib.schema import map_texts, text_of
from raylib.stage import Outcome, StageInfo, keep_all, register, split_rejected

__all__ = ["Rule", "RuleStage", "evidence", "reject", "rewrite", "rewrite_each"]

Examples = tuple[tuple[str, str], ...]


@dataclass(frozen=True)
class RuleStage:
    """Base of the generated stages: parameters are fields, `rule` is the function they configure."""

    rule: ClassVar[Rule]

    def parameters(self) -> dict[str, Any]:
        return {f.name: getattr(self, f.name) for f in fields(self)}

    def setup(self) -> None:
        """Load lexicons, automata and models before the first table."""
        self.rule.function(pa.array([""], pa.large_string()), **self.parameters())

    def __call__(self, table: pa.Table) -> Outcome:
        if len(table) == 0 and self.rule.adds is None:
            return keep_all(table)
        return self.rule.apply(table, self.parameters())


@dataclass(frozen=True)
class Rule:
    """A registered rule. Call it on a pa.Array of strings, a pa.Table of records, or one string."""

    function: Callable[..., pa.Array]
    info: StageInfo
    adds: Callable[[pa.Array, pa.Array], dict[str, pa.Array]] | None = None

    @property
    def __name__(self) -> str:
        return self.info.name

    @property
    def __doc__(self) -> str | None:  # type: ignore[override]
        return self.function.__doc__

    def stage(self, **parameters: Any) -> Any:
        """The LocalStage with these parameters, as a recipe would build it."""
        return self.info.make(**parameters)

    def apply(self, table: pa.Table, parameters: dict[str, Any]) -> Outcome:
        if self.info.kind in ("rewrite", "cut"):
            changed = map_texts(table, lambda texts: self.function(texts, **parameters))
            if self.adds is not None:
                for name, column in self.adds(text_of(table), text_of(changed)).items():
                    if name in changed.column_names:
                        changed = changed.drop_columns([name])
                    changed = changed.append_column(name, column)
            return keep_all(changed)
        found = self.function(text_of(table), **parameters)
        rejected = pc.is_valid(found)
        if not pc.any(rejected).as_py():
            return keep_all(table)
        return split_rejected(table, rejected, stage=self.info.name, reason=self.info.reason, detail=found)

    def __call__(self, texts: Any, **parameters: Any) -> Any:
        """Apply the rule.

        Args:
            texts: a string array gives an array (rewritten texts, or evidence with null for
                kept); a table gives an Outcome; one string gives a string (or None for kept).
            parameters: the rule's parameters; defaults as documented in docs/rules.md.
        """
        if isinstance(texts, str):
            return self.function(pa.array([texts], pa.large_string()), **parameters)[0].as_py()
        if isinstance(texts, pa.Table):
            return self.apply(texts, parameters)
        if isinstance(texts, pa.ChunkedArray):
            texts = texts.combine_chunks()
        if not isinstance(texts, pa.Array):
            texts = pa.array(texts, pa.large_string())
        return self.function(texts.cast(pa.large_string()), **parameters)


def _build(
    function: Callable[..., Any], *, name: str, kind: str, reason: str, unit: str, examples: Examples, adds: Any = None
) -> Rule:
    hints = get_type_hints(function)
    stage_fields: list[Any] = []
    for parameter in inspect.signature(function).parameters.values():
        if parameter.kind is not inspect.Parameter.KEYWORD_ONLY:
            continue
        if parameter.default is inspect.Parameter.empty:
            default: Any = dataclass_field()
        else:
            default = dataclass_field(default=parameter.default)
        stage_fields.append((parameter.name, hints[parameter.name], default))
    class_name = "".join(part.title() for part in name.split("_")) + "Stage"
    make = make_dataclass(class_name, stage_fields, bases=(RuleStage,), frozen=True, kw_only=True)
    make.__doc__ = function.__doc__
    make.__module__ = function.__module__
    info = StageInfo(
        name=name,
        make=make,
        kind=kind,
        summary=inspect.cleandoc(function.__doc__ or ""),
        reason=reason,
        unit=unit,
        examples=examples,
    )
    rule = Rule(function, info, adds)
    make.rule = rule  # type: ignore[attr-defined]
    register(info)
    return rule


def rewrite(
    *,
    name: str = "",
    cuts: bool = False,
    unit: str = "",
    examples: Examples = (),
    adds: Callable[[pa.Array, pa.Array], dict[str, pa.Array]] | None = None,
) -> Callable[[Callable[..., pa.Array]], Rule]:
    """Declare a rule that changes texts.

    `cuts` marks the ones that take away whole sentences or lines. `adds` computes extra columns
    from the texts before and after.
    """

    def decorate(function: Callable[..., pa.Array]) -> Rule:
        kind = "cut" if cuts else "rewrite"
        return _build(
            function,
            name=name or function.__name__,
            kind=kind,
            reason="",
            unit=unit,
            examples=examples,
            adds=adds,
        )

    return decorate


def reject(
    reason: str, *, name: str = "", unit: str = "", examples: Examples = ()
) -> Callable[[Callable[..., pa.Array]], Rule]:
    """Declare a rule that rejects records; `reason` is what the rejects will show."""

    def decorate(function: Callable[..., pa.Array]) -> Rule:
        return _build(
            function,
            name=name or function.__name__,
            kind="reject",
            reason=reason,
            unit=unit,
            examples=examples,
        )

    return decorate


def rewrite_each(texts: pa.Array, function: Callable[[str], str], where: pa.Array | None = None) -> pa.Array:
    """Apply a Python function to each text, or only to those where the boolean array `where` is true.

    A vectorised `where` is what keeps rules cheap: most texts need nothing, and Python only sees
    the others. Returns the very array that came in when no text changed.
    """
    if where is None:
        picked = texts
    else:
        if not pc.any(where).as_py():
            return texts
        picked = texts.filter(where)
    old = picked.to_pylist()
    new = [None if text is None else function(text) for text in old]
    if new == old:
        return texts
    array = pa.array(new, pa.large_string())
    if where is None or len(array) == len(texts):
        return array
    return pc.replace_with_mask(texts, where, array)


def replaced(texts: pa.Array, pattern: str, replacement: str) -> pa.Array:
    """RE2 replacement over a whole array; returns the same array when nothing matches."""
    hit = pc.match_substring_regex(texts, pattern)
    if not pc.any(hit).as_py():
        return texts
    new = pc.replace_substring_regex(texts.filter(hit), pattern, replacement)
    return pc.replace_with_mask(texts, hit, new) if len(new) != len(texts) else new


def evidence(texts: pa.Array, rejected: Any, explain: Callable[[int], str]) -> pa.Array:
    """Evidence array from a numpy boolean mask: null where kept, `explain(row)` where rejected."""
    out: list[str | None] = [None] * len(texts)
    for row in rejected.nonzero()[0].tolist():
        out[row] = explain(row)
    return pa.array(out, pa.large_string())
