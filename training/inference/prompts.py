"""Prompts to answer, and answers read back."""

from __future__ import annotations

import logging
import re
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import TypedDict, cast

from raylib.errors import RaylibError, SourceError
from raylib.foreign_json import parsed
from raylib.messages import Message, rows_of
from raylib.records import tables_of

__all__ = ["AnswerRecord", "Prompt", "answers_of", "prompts_of", "read_answers", "split_answer"]

_log = logging.getLogger("raylib")
_OPENING = re.compile(r"\A\s*(?:<[^<>\s/]*think[^<>\s]*>|\[THINK\])")
_CLOSING = re.compile(r"</[^<>\s]*think[^<>\s]*>|\[/THINK\]")


@dataclass(frozen=True)
class Prompt:
    """A prompt to answer.

    Attributes:
        id: Id of its record.
        messages: Messages up to the last question.
        category: Category of a safety record.
        tools: Tools that the model may call; None if there are none.
    """

    id: str
    messages: list[Message]
    category: str | None = None
    tools: list[object] | None = None

    @property
    def question(self) -> str:
        """What the last message asks."""
        return str(self.messages[-1].get("content") or "")


class _Answered(TypedDict):
    """What every line of answers holds."""

    id: str
    prompt: list[Message]
    response: str


class AnswerRecord(TypedDict, total=False):
    """A line that `raylib generate` writes.

    `response` is the answer without its reasoning, which is in `reasoning_content`. That, `tools`, `category` and
    `score` are there only if there are any.
    """

    id: str
    prompt: list[Message]
    response: str
    reasoning_content: str
    tools: list[object]
    model: str
    sample: int
    category: str
    score: float | None


def prompts_of(path: str, limit: int = 0) -> list[Prompt]:
    """The prompts of conversations, preferences, documents or safety records.

    Args:
        path: Files, a folder of a run, a glob or a URI.
        limit: Largest number of prompts; 0 takes all.

    Raises:
        RaylibError: if there are none.
    """
    for kind in ("auto", "safety"):  # records that hold nothing but a prompt are of no other kind
        found = _prompts(path, kind, limit)
        if found:
            return found
    raise RaylibError(f"{path}: no prompts")


def _prompts(path: str, kind: str, limit: int) -> list[Prompt]:
    out: list[Prompt] = []
    unread: Counter[str] = Counter()
    for table in tables_of(path, kind, rejected=lambda t: unread.update(t["reason"].to_pylist())):
        for row in rows_of(table):
            prompt = _prompt(row)
            if prompt is None:
                unread["no_question"] += 1
            else:
                out.append(prompt)
            if limit and len(out) >= limit:
                break
    if out and unread:
        reasons = ", ".join(f"{count:,} {reason}" for reason, count in unread.most_common())
        _log.warning("%s: no prompt in %s records (%s)", path, f"{unread.total():,}", reasons)
    return out


def _prompt(row: Mapping[str, object]) -> Prompt | None:
    """The prompt of a record; None if nothing is asked."""
    messages = row.get("prompt") or row.get("messages")
    if messages is None:
        messages = [{"role": "user", "content": row["text"]}]
    assert isinstance(messages, list)
    while messages and messages[-1]["role"] == "assistant":
        messages = messages[:-1]
    if not messages:
        return None
    tools, category = row.get("tools"), row.get("category")
    return Prompt(
        str(row["id"]),
        messages,
        category if isinstance(category, str) else None,
        tools if isinstance(tools, list) else None,
    )


def split_answer(text: str) -> tuple[str, str]:
    """Reasoning and answer of what a model has written.

    Args:
        text: What it has written after the generation prompt, which may have opened the reasoning.

    Returns:
        The reasoning, empty if there is none, and the answer.
    """
    found = _CLOSING.search(text)
    if found is None:
        return "", text.strip("\n")
    reasoning = _OPENING.sub("", text[: found.start()], count=1)
    return reasoning.strip(), text[found.end() :].strip("\n")


def answers_of(path: str) -> dict[str, AnswerRecord]:
    """Records of `raylib generate` by id; of several samples the first.

    Raises:
        RaylibError: if a line is not such a record, if its prompt is empty, or if there are none.
    """
    found: dict[str, AnswerRecord] = {}
    for where, record in _records(path):
        if not record["prompt"]:
            raise RaylibError(f"{where}: the prompt of this record is empty")
        found.setdefault(str(record["id"]), record)
    if not found:
        raise RaylibError(f"{path}: no answers")
    return found


def read_answers(paths: Sequence[str], *, empty: bool = False) -> list[AnswerRecord]:
    """All records of files of `raylib generate`.

    Args:
        paths: The files.
        empty: Whether there may be none.

    Raises:
        RaylibError: if a file cannot be read, if a line is not such a record, or if there are none.
    """
    records = [record for path in paths for _, record in _records(path)]
    if not records and not empty:
        raise RaylibError(f"{', '.join(paths)}: no answers")
    return records


def _records(path: str) -> Iterator[tuple[str, AnswerRecord]]:
    """The records of a file, each with its place for messages."""
    try:
        stream = open(path, "rb")  # noqa: SIM115 - closed below
    except OSError as error:
        raise SourceError(f"cannot read answers {path}: {error.strerror}") from None
    with stream:
        for number, line in enumerate(stream, 1):
            if line.strip():
                where = f"{path}:{number}"
                yield where, _record(line, where)


def _record(line: bytes, where: str) -> AnswerRecord:
    try:
        return cast(AnswerRecord, parsed(line, where, _Answered, RaylibError))
    except RaylibError as error:
        raise RaylibError(f"{error}; not a record written by `raylib generate` (id, prompt, response)") from None
