"""What a cleaning rule is: a function over Arrow string arrays, plus its recipe stage.

A rewriting rule maps texts to texts. A rejecting rule maps texts to evidence: null keeps the record, a string says why
it is rejected. The decorators build a frozen dataclass (the stage, whose fields are the keyword parameters of the
function), register it, and return a `Rule` that a notebook can call on an array, a table or a single string without a
cluster or a recipe.
"""

from __future__ import annotations

import inspect
from abc import ABC, abstractmethod
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, fields, make_dataclass
from typing import ClassVar, TypeAlias, TypeVar, cast, get_type_hints, overload

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.compute as pc

from raylib.errors import ParameterError
from raylib.schema import map_texts, text_of
from raylib.stage import LocalStage, Outcome, StageInfo, StageKind, keep_all, register, split_rejected, with_columns

__all__ = [
    "RejectingRule",
    "RewritingRule",
    "Rule",
    "RuleStage",
    "evidence",
    "reject",
    "replaced",
    "rewrite",
    "rewrite_each",
]

Examples: TypeAlias = tuple[tuple[str, str], ...]
RuleFunction: TypeAlias = Callable[..., pa.Array]
"""A function of a string array; its keyword-only parameters are those of the rule."""

AddedColumns: TypeAlias = Callable[[pa.Array, pa.Array], Mapping[str, pa.Array]]
"""A function of the texts before and after that gives new columns by name."""


@dataclass(frozen=True)
class RuleStage(LocalStage):
    """Base of the generated stages: their fields are parameters, and `rule` is the rule that takes them."""

    rule: ClassVar[Rule]

    def __post_init__(self) -> None:
        least, most = getattr(self, "min", None), getattr(self, "max", None)
        if least is not None and most is not None and least > most:
            raise ParameterError(f"min = {least} is greater than max = {most}")

    def parameters(self) -> dict[str, object]:
        """Parameters by name."""
        return {f.name: getattr(self, f.name) for f in fields(self)}

    def check(self) -> None:
        """Load them where the command runs: a missing or empty lexicon is found before any work."""
        self.setup()

    def setup(self) -> None:
        """Load lexicons, automata and models before the first table."""
        self.rule.function(pa.array([""], pa.large_string()), **self.parameters())

    def __call__(self, table: pa.Table) -> Outcome:
        """Rewrite the texts of all records, or reject some records."""
        return self.rule.apply(table, self.parameters())


@dataclass(frozen=True)
class Rule(ABC):
    """A registered rule. Call it on a string array, a table of records, or one string.

    Attributes:
        function: The function behind it.
        info: Its registry entry.
    """

    function: RuleFunction
    info: StageInfo

    def __post_init__(self) -> None:
        object.__setattr__(self, "__name__", self.info.name)
        # `help(rules.length)` shows the function's docstring
        object.__setattr__(self, "__doc__", self.function.__doc__)

    def stage(self, **parameters: object) -> RuleStage:
        """The stage with these parameters, as a recipe would build it.

        Args:
            parameters: Parameters of the rule by name.

        Returns:
            The stage.
        """
        return cast(RuleStage, self.info.make(**parameters))

    @abstractmethod
    def apply(self, table: pa.Table, parameters: Mapping[str, object]) -> Outcome:
        """Apply the rule to the records of a table.

        Args:
            table: Records of one kind.
            parameters: Parameters of the rule by name.
        """

    def _result(
        self,
        texts: str | pa.Table | pa.ChunkedArray | pa.Array | Iterable[str | None],
        parameters: Mapping[str, object],
    ) -> str | pa.Array | Outcome | None:
        if isinstance(texts, str):
            result: str | None = self.function(pa.array([texts], pa.large_string()), **parameters)[0].as_py()
            return result
        if isinstance(texts, pa.Table):
            return self.apply(texts, parameters)
        if isinstance(texts, pa.ChunkedArray):
            texts = texts.combine_chunks()
        if not isinstance(texts, pa.Array):
            texts = pa.array(texts, pa.large_string())
        return self.function(texts.cast(pa.large_string()), **parameters)


@dataclass(frozen=True)
class RewritingRule(Rule):
    """A rule that changes texts.

    Attributes:
        function: The function behind it, from texts to texts.
        info: Its registry entry.
        adds: Function that computes additional columns from the texts before and after.
    """

    adds: AddedColumns | None = None

    def apply(self, table: pa.Table, parameters: Mapping[str, object]) -> Outcome:
        """Rewrite every text of the records and add the columns of `adds`; no record is rejected."""
        if len(table) == 0 and self.adds is None:
            return keep_all(table)
        changed = map_texts(table, lambda texts: self.function(texts, **parameters))
        if self.adds is not None:
            changed = with_columns(changed, self.adds(text_of(table), text_of(changed)))
        return keep_all(changed)

    @overload
    def __call__(self, texts: str, **parameters: object) -> str: ...
    @overload
    def __call__(self, texts: Iterable[str | None], **parameters: object) -> pa.Array: ...
    @overload
    def __call__(self, texts: pa.Table, **parameters: object) -> Outcome: ...
    def __call__(
        self, texts: str | pa.Table | Iterable[str | None], **parameters: object
    ) -> str | Outcome | pa.Array | None:
        """Apply the rule.

        Args:
            texts: A string, a string array (or anything that makes one), or a table of records.
            parameters: Parameters of the rule by name; docs/rules.md has their defaults.

        Returns:
            The rewritten string or array; for a table an outcome that keeps all records.
        """
        return self._result(texts, parameters)


@dataclass(frozen=True)
class RejectingRule(Rule):
    """A rule that rejects records.

    Attributes:
        function: The function behind it, from texts to evidence: null for kept.
        info: Its registry entry.
    """

    def apply(self, table: pa.Table, parameters: Mapping[str, object]) -> Outcome:
        """Reject the records with evidence against their text.

        Args:
            table: Records of one kind.
            parameters: Parameters of the rule by name.

        Returns:
            Kept records, and rejected ones with their evidence.
        """
        if len(table) == 0:
            return keep_all(table)
        found = self.function(text_of(table), **parameters)
        rejected = pc.is_valid(found)
        if not pc.any(rejected).as_py():
            return keep_all(table)
        return split_rejected(table, rejected, stage=self.info.name, reason=self.info.reason, detail=found)

    @overload
    def __call__(self, texts: str, **parameters: object) -> str | None: ...
    @overload
    def __call__(self, texts: Iterable[str | None], **parameters: object) -> pa.Array: ...
    @overload
    def __call__(self, texts: pa.Table, **parameters: object) -> Outcome: ...
    def __call__(
        self, texts: str | pa.Table | Iterable[str | None], **parameters: object
    ) -> str | Outcome | pa.Array | None:
        """Apply the rule.

        Args:
            texts: A string, a string array (or anything that makes one), or a table of records.
            parameters: Parameters of the rule by name; docs/rules.md has their defaults.

        Returns:
            Evidence against the string (None: kept) or against each string of the array (null: kept); for a table
            an outcome with kept and rejected records.
        """
        return self._result(texts, parameters)


def rewrite(
    *, name: str = "", cuts: bool = False, unit: str = "", examples: Examples = (), adds: AddedColumns | None = None
) -> Callable[[RuleFunction], RewritingRule]:
    """Declare a rule that changes texts.

    Args:
        name: Name in recipes; by default the function's name.
        cuts: Whether the rule takes away whole sentences or lines.
        unit: Unit of its threshold, for the references.
        examples: Texts before and after.
        adds: Function that computes additional columns from the texts before and after.

    Returns:
        A decorator of a function of a string array that returns the rewritten array.
    """

    def decorate(function: RuleFunction) -> RewritingRule:
        info = _info(function, name, "cut" if cuts else "rewrite", unit=unit, examples=examples)
        return _registered(RewritingRule(function, info, adds))

    return decorate


def reject(
    reason: str, *, name: str = "", unit: str = "", examples: Examples = ()
) -> Callable[[RuleFunction], RejectingRule]:
    """Declare a rule that rejects records.

    Args:
        reason: Reason that the rejects show.
        name: Name in recipes; by default the function's name.
        unit: Unit of its threshold, for the references.
        examples: Texts and a part of the evidence against them; "" for a text that is kept.

    Returns:
        A decorator of a function of a string array that returns evidence: null for a text that is kept.
    """

    def decorate(function: RuleFunction) -> RejectingRule:
        return _registered(
            RejectingRule(function, _info(function, name, "reject", reason=reason, unit=unit, examples=examples))
        )

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


def rewrite_each(texts: pa.Array, function: Callable[[str], str], where: pa.Array | None = None) -> pa.Array:
    """Apply a Python function to texts.

    Args:
        texts: String array, N texts; nulls stay null.
        function: Gives the new text.
        where: Texts to apply it to, boolean, [N]; by default all. A vectorised `where` keeps rules fast: most texts
            need nothing, and Python only sees the others.

    Returns:
        N texts; the very array that came in if none changed.
    """
    if where is not None and not pc.any(where).as_py():
        return texts
    picked = texts if where is None else texts.filter(where)
    old = picked.to_pylist()
    new = [None if text is None else function(text) for text in old]
    if new == old:
        return texts
    array = pa.array(new, pa.large_string())
    all_of_them = where is None or len(array) == len(texts)
    return array if all_of_them else pc.replace_with_mask(texts, where, array)


def replaced(texts: pa.Array, pattern: str, replacement: str) -> pa.Array:
    """Replace all matches of an RE2 pattern.

    Args:
        texts: String array, N texts.
        pattern: RE2 pattern.
        replacement: Replacement, which may refer to groups.

    Returns:
        N texts; the very array that came in if nothing matched.
    """
    hit = pc.match_substring_regex(texts, pattern)
    if not pc.any(hit).as_py():
        return texts
    new = pc.replace_substring_regex(texts.filter(hit), pattern, replacement)
    return pc.replace_with_mask(texts, hit, new) if len(new) != len(texts) else new


def evidence(texts: pa.Array, rejected: npt.NDArray[np.bool_], explain: Callable[[int], str]) -> pa.Array:
    """Evidence against texts.

    Args:
        texts: String array, N texts.
        rejected: Texts that are rejected, [N].
        explain: Function of a rejected text's position that gives the evidence.

    Returns:
        String array, N entries; null where a text is kept.
    """
    out: list[str | None] = [None] * len(texts)
    for row in rejected.nonzero()[0].tolist():
        out[row] = explain(row)
    return pa.array(out, pa.large_string())
