"""Prompts to answer, and answers read back."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import TypedDict

import orjson

from raylib.errors import RaylibError, SourceError
from raylib.records import tables_of
from training.data.tokenizer import Message

__all__ = ["AnswerRecord", "Prompt", "answers_of", "prompts_of", "read_answers"]


@dataclass(frozen=True)
class Prompt:
    """A prompt to answer.

    Attributes:
        id: Id of its record.
        messages: Messages up to the last question.
        category: Category of a safety record.
    """

    id: str
    messages: list[Message]
    category: str | None = None


class AnswerRecord(TypedDict, total=False):
    """A line that `raylib generate` writes. `category` and `score` are there only if they are known."""

    id: str
    prompt: list[Message]
    response: str
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
    for table in tables_of(path, kind):
        for row in table.to_pylist():
            messages = row.get("prompt") or row.get("messages")
            if messages is None:
                messages = [{"role": "user", "content": row["text"]}]
            while messages and messages[-1]["role"] == "assistant":
                messages = messages[:-1]
            if messages:
                out.append(Prompt(row["id"], messages, row.get("category")))
            if limit and len(out) >= limit:
                return out
    return out


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
    wrong = RaylibError(f"{where}: not a record written by `raylib generate` (id, prompt, response)")
    try:
        record: AnswerRecord = orjson.loads(line)
        complete = {"id", "prompt", "response"} <= set(record)
    except (orjson.JSONDecodeError, TypeError):
        raise wrong from None
    if not complete:
        raise wrong
    return record
