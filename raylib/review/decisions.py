"""Decisions to be judged, one a line of a file: what the rule did, the text, and a place for the answer."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import asdict, dataclass, fields, replace
from pathlib import Path

import orjson

from raylib.atomic import write_atomically
from raylib.errors import ParameterError, SourceError, nearest

__all__ = ["ANSWERS", "Decision", "read_decisions", "write_decisions"]


ANSWERS = {"records": ("good", "bad", "unsure"), "edits": ("good", "harmful", "neutral")}
"""What may be answered: of a text whether it is good, of an edit whether it did good."""

_QUESTIONS = {
    "records": "Is this text good (it should be kept) or bad (it should be rejected)?",
    "edits": "Did this edit do good, or harm, or neither?",
}


@dataclass(frozen=True)
class Decision:
    """A decision of a rule. The fields are the keys of a line of the file.

    Attributes:
        answer: The answer; empty until somebody gives one.
        question: What is asked.
        choices: What may be answered.
        rule: Label of the stage.
        parameter: Parameter that the review is about; empty for a rule without a threshold.
        source: Source of the record.
        id: Id of the record.
        decision: What the rule did: `rejected`, `kept` or `edited`.
        value: The text's value, which is compared with the threshold; None for none.
        threshold: The threshold that was used; None for none.
        evidence: What the rule said against a text that it rejected.
        text: The text, without the middle if it is long. For an edit, the text before it.
        removed: What the edit took away.
        added: What the edit put in.
        right: The text after the edit.
        characters: Characters of the record; of an edit, how many it took away.
        weight: Number of records, or edits, of the run for which this decision stands.
        run: Beginning of the run's fingerprint.
    """

    answer: str
    question: str
    choices: tuple[str, ...]
    rule: str
    parameter: str
    source: str
    id: str
    decision: str
    value: float | None
    threshold: float | None
    evidence: str
    text: str
    removed: str
    added: str
    right: str
    characters: int
    weight: float
    run: str

    @staticmethod
    def asking(asks: str) -> tuple[str, tuple[str, ...]]:
        """The question about `records` or `edits`, and its choices."""
        return _QUESTIONS[asks], ANSWERS[asks]

    @property
    def asks(self) -> str:
        """What is judged: `records` or `edits`."""
        return "edits" if self.decision == "edited" else "records"

    def answered(self, answer: str) -> Decision:
        """The same decision with an answer; an empty one takes the answer back.

        Raises:
            ParameterError: the question has no such answer.
        """
        choices = ANSWERS[self.asks]
        if answer and answer not in choices:
            named = f"'answer': {answer!r} is none of {', '.join(choices)}"
            raise ParameterError(named + _hint(answer, choices))
        return replace(self, answer=answer)


def _hint(answer: str, choices: Sequence[str]) -> str:
    found = nearest(answer, choices)
    return found if "did you mean" in found else ""


def write_decisions(path: Path, decisions: Iterable[Decision]) -> None:
    """Write decisions as JSON lines; the file appears whole or not at all."""
    write_atomically(path, b"".join(orjson.dumps(asdict(d)) + b"\n" for d in decisions))


def read_decisions(path: Path, run: str) -> list[Decision]:
    """Read decisions with their answers.

    Args:
        path: The file.
        run: Beginning of the fingerprint of the run that they belong to.

    Returns:
        The decisions, in the order of the file.

    Raises:
        SourceError: the file cannot be read, or holds no decisions.
        ParameterError: a line is wrong, or belongs to another run; names file, line and field.
    """
    try:
        lines = path.read_bytes().splitlines()
    except OSError as error:
        raise SourceError(f"--answers {str(path)!r}: cannot be read: {error.strerror}") from None
    found = [_read(line, f"{path}:{number}") for number, line in enumerate(lines, 1) if line.strip()]
    if not found:
        raise SourceError(f"--answers {str(path)!r}: the file holds no decisions")
    for number, decision in enumerate(found, 1):
        if decision.run != run:
            raise ParameterError(
                f"{path}:{number}: field 'run' is {decision.run!r}, but this is run {run!r}: the decisions were drawn "
                "from another run, or the run was repeated since; draw new ones"
            )
    return found


_TEXTS = {f.name for f in fields(Decision) if f.type == "str"}
_NUMBERS = {"characters", "weight"}


def _read(line: bytes, place: str) -> Decision:
    try:
        data = orjson.loads(line)
    except orjson.JSONDecodeError as error:
        raise ParameterError(f"{place}: is not JSON: {error}") from None
    if not isinstance(data, dict):
        raise ParameterError(f"{place}: a decision is a mapping, not {type(data).__name__}")
    names = [f.name for f in fields(Decision)]
    for name in names:
        if name not in data:
            raise ParameterError(f"{place}: field {name!r} is missing; change nothing but 'answer'")
        _check_field(name, data[name], place)
    decision = Decision(**{**{name: data[name] for name in names}, "choices": tuple(data["choices"]), "answer": ""})
    try:
        return decision.answered(data["answer"].strip().lower())
    except ParameterError as error:
        raise ParameterError(f"{place}: field {error}") from None


def _check_field(name: str, value: object, place: str) -> None:
    """Refuse a value of the wrong type."""
    if name in _TEXTS and not isinstance(value, str):
        raise ParameterError(f"{place}: field {name!r} should be a text, is {value!r}")
    number = isinstance(value, (int, float)) and not isinstance(value, bool)
    if name in _NUMBERS and not number:
        raise ParameterError(f"{place}: field {name!r} should be a number, is {value!r}")
    if name in ("value", "threshold") and value is not None and not number:
        raise ParameterError(f"{place}: field {name!r} should be a number or null, is {value!r}")
    if name == "choices" and not isinstance(value, list):
        raise ParameterError(f"{place}: field {name!r} should be a list, is {value!r}")
    if name == "decision" and value not in ("rejected", "kept", "edited"):
        raise ParameterError(f"{place}: field {name!r} should be rejected, kept or edited, is {value!r}")
