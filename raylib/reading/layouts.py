"""The layouts of records that are known, and how they are recognised."""

from __future__ import annotations

import difflib
from collections.abc import Callable, Collection, Iterable
from dataclasses import dataclass
from functools import lru_cache
from typing import NamedTuple

from raylib.errors import RecordError
from raylib.reading.dialogues import belle_turns
from raylib.reading.fields import Fields, alternatives, first_field, listed, named, present
from raylib.reading.turns import truth

__all__ = [
    "ANSWER_FIELDS",
    "CHOSEN_FIELDS",
    "ID_FIELDS",
    "LAYOUTS",
    "QUESTION_FIELDS",
    "REASONING_FIELDS",
    "REJECTED_FIELDS",
    "TEXT_FIELDS",
    "TURN_FIELDS",
    "Layout",
    "conversation_layout",
    "first_fit",
    "guess_kind",
    "label_field",
    "layout",
    "possible",
    "unknown_layout",
]

ID_FIELDS = ("id", "uniqueKey", "uuid", "doc_id")
TEXT_FIELDS = ("text", "content", "raw_content", "body", "document", "正文", "内容")
QUESTION_FIELDS = ("question", "ask", "query", "instruction", "problem", "Question", "问")
ANSWER_FIELDS = ("answer", "std_answer", "output", "response", "solution", "Response", "答")
REASONING_FIELDS = ("reasoning_content", "reasoning", "thinking", "think", "cot", "Complex_CoT")
CHOSEN_FIELDS = ("chosen", "response_chosen", "chosen_response")
REJECTED_FIELDS = ("rejected", "reject", "response_rejected", "rejected_response")
TURN_FIELDS = ("conversations", "conversation", "dialog", "dialogue", "dialogs", "dialogues")


@dataclass(frozen=True)
class Layout:
    """A layout of records.

    Attributes:
        name: Its name, as `raylib inspect` shows it.
        needs: The fields that it is recognised by; of each group, one.
        takes: Other fields that are read where they are there. What is in none of them stays in `meta`.
        becomes: What the fields become.
        fits: Whether the values are such as this layout has; looked at only if the fields are there.
    """

    name: str
    needs: tuple[tuple[str, ...], ...]
    takes: tuple[str, ...]
    becomes: str
    fits: Callable[[Fields], bool] | None = None

    def missing(self, record: Collection[str]) -> list[tuple[str, ...]]:
        """The groups of fields of which a record has none."""
        return [names for names in self.needs if not any(name in record for name in names)]


def _list_in(*names: str) -> Callable[[Fields], bool]:
    """Whether the first of these fields is a list, or the JSON of one."""
    return lambda record: isinstance(listed(record[first_field(record, names) or ""]), list)


def _string_in(*names: str) -> Callable[[Fields], bool]:
    return lambda record: isinstance(record[first_field(record, names) or ""], str)


def _of_belle(record: Fields) -> bool:
    instruction = record["instruction"]
    return isinstance(instruction, str) and "Human" in instruction[:20] and belle_turns(instruction) is not None


_WITH = ("system", "system_prompt", "tools", "functions")
_ASKED = ("question", "instruction", "prompt", "query", "problem", "input", "Question", "问")
_ANSWERED = ("output", "answer", "response", "completion", "content", "solution", "Response", "答")
_CONVERSATIONS = (
    Layout("data", (("data",),), _WITH, "strings that alternate between user and assistant", _list_in("data")),
    Layout(
        "moss",
        (("chat",),),
        ("meta_instruction", *_WITH),
        "the turns of `chat` (`turn_1`, ...): `Human`, `Inner Thoughts`, `Commands`, `Tool Responses`, `MOSS`",
        lambda record: isinstance(record["chat"], dict),
    ),
    Layout("sharegpt", (("conversations",),), _WITH, "messages with `from` and `value`, of any spelling"),
    Layout(
        "sharegpt",
        (TURN_FIELDS[1:],),
        _WITH,
        "messages, or objects of a question and its answer",
        _list_in(*TURN_FIELDS[1:]),
    ),
    Layout("openai", (("messages",),), _WITH, "messages with `role` and `content`"),
    Layout("mnbvc", (("问",), ("答",)), ("来源", "history", *_WITH), "a question and its answer; `来源` is the source"),
    Layout(
        "r1",
        (_ASKED, REASONING_FIELDS, _ANSWERED),
        ("input", "history", *_WITH),
        "a question (with `input`), and an answer with its reasoning",
        _string_in(*REASONING_FIELDS),
    ),
    Layout("firefly", (("input",), ("target",)), ("instruction", "history", *_WITH), "a question and its answer"),
    Layout(
        "belle",
        (("instruction",), ("output",)),
        ("input", "history", *_WITH),
        "the turns `Human:` and `Assistant:` inside the instruction, and the last answer",
        _of_belle,
    ),
    Layout("alpaca", (("instruction",), ("output",)), ("input", "history", *_WITH), "a question and its answer"),
)
_AFTER_DOCUMENTS = (  # text beside these makes a document of a record whose kind is guessed
    Layout(
        "qa",
        (QUESTION_FIELDS, (*ANSWER_FIELDS, "completion")),
        ("title", "context", "history", *_WITH),
        "a question (with the `title` of an `ask`, or the `context` of an `instruction`) and its answer",
    ),
    Layout(
        "prompt",
        (("prompt",), (*ANSWER_FIELDS, "completion")),
        ("history", *_WITH),
        "a prompt and its answer; either may be a list of messages",
    ),
    Layout("pair", (("input",), ("output",)), ("history", *_WITH), "a question and its answer"),
)
_PREFERENCES = (
    Layout(
        "preference",
        (CHOSEN_FIELDS, REJECTED_FIELDS),
        ("prompt", *TURN_FIELDS, "messages", "question", "instruction", "input", "history", *_WITH),
        "two answers, each a string, a message, the messages after the prompt or the whole dialogue",
    ),
    Layout(
        "preference",
        (("messages",), ("rejected_response", "rejected_messages")),
        _WITH,
        "a dialogue, and what might stand in place of its last message",
    ),
)
_DOCUMENT = Layout("document", (TEXT_FIELDS,), (), "the text")
LAYOUTS: dict[str, tuple[Layout, ...]] = {
    "preference": _PREFERENCES,
    "conversation": (*_CONVERSATIONS, *_AFTER_DOCUMENTS),
    "document": (_DOCUMENT,),
}
"""The layouts of each kind, in the order in which they are looked for."""


class Possible(NamedTuple):
    """What the names of a record's fields say about it, once for all records that have the same ones.

    Attributes:
        preferences: The layouts of preferences whose fields are all there.
        conversations: Those of conversations.
        labelled: Whether there is a field that may be the label of feedback.
    """

    preferences: tuple[Layout, ...]
    conversations: tuple[Layout, ...]
    labelled: bool


@lru_cache(maxsize=1024)
def possible(fields: frozenset[str]) -> Possible:
    """What a record with these fields may be."""
    kinds = (LAYOUTS["preference"], LAYOUTS["conversation"])
    first, second = (tuple(known for known in kind if not known.missing(fields)) for kind in kinds)
    return Possible(first, second, bool(fields & {"label", "kto_tag"}))


def first_fit(layouts: Iterable[Layout], record: Fields) -> Layout | None:
    """The first of these layouts whose values are as they should be."""
    for known in layouts:
        if known.fits is None or known.fits(record):
            return known
    return None


def layout(record: Fields) -> str:
    """Name the layout of a raw record.

    Args:
        record: The record; null fields count as absent.

    Returns:
        A name from `LAYOUTS`, or `unknown`.
    """
    record = present(record)
    seen = possible(frozenset(record))
    found = first_fit((*seen.preferences, *seen.conversations), record)
    if (found is None or found in _AFTER_DOCUMENTS) and not _DOCUMENT.missing(record):
        return _DOCUMENT.name
    return "unknown" if found is None else found.name


def conversation_layout(record: Fields) -> str:
    """The layout by which a record, null fields left out, holds a conversation; empty if it holds none."""
    found = first_fit(possible(frozenset(record)).conversations, record)
    return "" if found is None else found.name


def label_field(record: Fields) -> str | None:
    """The field that says whether an answer is good, as records of feedback have one.

    A `label` counts if it is true or false; 0 and 1 beside a `completion`, as TRL has it. Others may be classes.

    Args:
        record: The record, null fields left out.
    """
    if "kto_tag" in record and truth(record["kto_tag"]) is not None:
        return "kto_tag"
    if "label" not in record or truth(record["label"]) is None:
        return None
    label = record["label"]
    boolean = isinstance(label, bool) or (isinstance(label, str) and not label.strip().isdecimal())
    return "label" if boolean or "completion" in record else None


def guess_kind(record: Fields) -> str:
    """The kind that a raw record most likely is, by its layout; unknown layouts count as documents.

    Args:
        record: The record; null fields count as absent.
    """
    record = present(record)
    found = layout(record)
    if found == "preference":
        return "preference"
    if found in ("document", "unknown"):
        return "document"
    return "feedback" if label_field(record) else "conversation"


def unknown_layout(record: Fields) -> RecordError:
    """The error for a record that holds no conversation: what was seen, and what the nearest layout would need."""
    nearest = max(LAYOUTS["conversation"], key=lambda known: (_nearness(known, record), known.fits is None))
    needed = " and ".join(alternatives(names) for names in nearest.needs)
    missing = " and ".join(alternatives(names) for names in nearest.missing(record))
    lack = f"{missing} is missing" if missing else "its values are of another type"
    return RecordError(
        "unknown_layout",
        f"no conversation in fields {named(record)}; the nearest layout is {nearest.name}, with {needed}: {lack}",
    )


def _nearness(known: Layout, record: Fields) -> float:
    """How much of a layout a record has; a field with a similar name counts half."""
    names = [str(name) for name in record]
    there = 0.0
    for group in known.needs:
        if first_field(record, group) is not None:
            there += 1.0
        elif any(difflib.get_close_matches(name, names, 1, 0.75) for name in group):
            there += 0.5
    return there / len(known.needs)
