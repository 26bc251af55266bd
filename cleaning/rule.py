"""What a cleaning rule is: a function over Arrow string arrays, plus its recipe stage.

A rewriting rule maps texts to texts. A rejecting rule maps texts to evidence: null keeps the record, a string says why
it is rejected. A notebook can call a rule on an array, a table or a single string without a cluster or a recipe.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, fields
from typing import ClassVar, TypeAlias, cast, overload

import orjson
import pyarrow as pa
import pyarrow.compute as pc

from cleaning.calls import map_arguments
from raylib.errors import ParameterError
from raylib.schema import map_texts, text_of
from raylib.stage import LocalStage, Outcome, StageInfo, keep_all, split_rejected, with_columns

__all__ = ["AddedColumns", "Facts", "RejectingRule", "RewritingRule", "Rule", "RuleFunction", "RuleStage"]

RuleFunction: TypeAlias = Callable[..., pa.Array]
"""A function of a string array; its keyword-only parameters are those of the rule."""

AddedColumns: TypeAlias = Callable[[pa.Array, pa.Array], Mapping[str, pa.Array]]
Facts: TypeAlias = Callable[[pa.Array], Mapping[int, Mapping[str, str]]]
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

    def _called(self, texts: pa.Array, parameters: Mapping[str, object]) -> pa.Array:
        """What an array is answered with."""
        return self.function(texts, **parameters)

    def _result(
        self,
        texts: str | pa.Table | pa.ChunkedArray | pa.Array | Iterable[str | None],
        parameters: Mapping[str, object],
    ) -> str | pa.Array | Outcome | None:
        if isinstance(texts, str):
            result: str | None = self._called(pa.array([texts], pa.large_string()), parameters)[0].as_py()
            return result
        if isinstance(texts, pa.Table):
            return self.apply(texts, parameters)
        if isinstance(texts, pa.ChunkedArray):
            texts = texts.combine_chunks()
        if not isinstance(texts, pa.Array):
            texts = pa.array(texts, pa.large_string())
        return self._called(texts.cast(pa.large_string()), parameters)


def _with_facts(table: pa.Table, facts: Mapping[int, Mapping[str, str]]) -> pa.Table:
    """The records with facts in their `meta`; what a record says itself stays."""
    if not facts:
        return table
    meta = table["meta"].to_pylist()
    for row, found in facts.items():
        meta[row] = orjson.dumps({**found, **_as_object(meta[row])}).decode()
    at = table.column_names.index("meta")
    return table.set_column(at, table.schema.field("meta"), pa.array(meta, table.schema.field("meta").type))


def _as_object(meta: str | None) -> dict[str, object]:
    """`meta` as an object; whatever else a user put there becomes its field `meta`."""
    try:
        own = orjson.loads(meta) if meta else {}
    except orjson.JSONDecodeError:
        own = meta
    return own if isinstance(own, dict) else {"meta": own}


@dataclass(frozen=True)
class RewritingRule(Rule):
    """A rule that changes texts.

    Attributes:
        function: The function behind it, from texts to texts.
        info: Its registry entry.
        adds: Function that computes additional columns from the texts before and after.
        tells: Function of the texts before that gives facts about them, by position; they go into `meta`.
        arguments: Whether the rule rewrites the arguments of calls of tools, too; most would break what they mean.
    """

    adds: AddedColumns | None = None
    tells: Facts | None = None
    arguments: bool = False

    def apply(self, table: pa.Table, parameters: Mapping[str, object]) -> Outcome:
        """Rewrite every text of the records and add the columns of `adds`; no record is rejected."""
        if len(table) == 0 and self.adds is None:
            return keep_all(table)
        changed = map_texts(table, lambda texts: self.function(texts, **parameters))
        if self.arguments:
            changed = map_arguments(changed, lambda texts: self.function(texts, **parameters))
        if self.adds is not None:
            changed = with_columns(changed, self.adds(text_of(table), text_of(changed)))
        if self.tells is not None and "meta" in changed.column_names:
            changed = _with_facts(changed, self.tells(text_of(table)))
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
        answers: Function of texts that gives what the rule decides by: the answer to a string or an array that comes
            without parameters.
        adds: Function that computes additional columns from the texts, before and after, which do not differ.
    """

    answers: Callable[[pa.Array], pa.Array] | None = None
    adds: AddedColumns | None = None

    def apply(self, table: pa.Table, parameters: Mapping[str, object]) -> Outcome:
        """Reject the records with evidence against their text.

        Args:
            table: Records of one kind.
            parameters: Parameters of the rule by name.

        Returns:
            Kept records, and rejected ones with their evidence.
        """
        if self.adds is not None:
            table = with_columns(table, self.adds(text_of(table), text_of(table)))
        if len(table) == 0:
            return keep_all(table)
        found = self.function(text_of(table), **parameters)
        rejected = pc.is_valid(found)
        if not pc.any(rejected).as_py():
            return keep_all(table)
        return split_rejected(table, rejected, stage=self.info.name, reason=self.info.reason, detail=found)

    def _called(self, texts: pa.Array, parameters: Mapping[str, object]) -> pa.Array:
        if self.answers is None or parameters:
            return self.function(texts, **parameters)
        return self.answers(texts)

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
            Evidence against the string (None: kept) or against each string of the array (null: kept), or what the
            rule's page names instead; for a table an outcome with kept and rejected records.
        """
        return self._result(texts, parameters)
