"""Who said what: the instruction and the response of a record, as arrays and as Python data.

Conversations, preferences and feedback are looked at in one way: all messages, the answer's behind those of the prompt.
Of a preference the chosen answer counts.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
import orjson
import pyarrow as pa
import pyarrow.compute as pc

from quality.text.shown import answer_text, asked_of, transcript
from raylib.errors import StageError
from raylib.messages import MESSAGES, Message, is_messages, message_lists
from raylib.schema import single_chunk

__all__ = [
    "Exchange",
    "Message",
    "exchanges",
    "instruction_of",
    "messages_of",
    "reasoning_of_answers",
    "response_of",
    "roles_of",
]

_ANSWERS = ("chosen", "answer")


def _columns(table: pa.Table) -> tuple[str, str]:
    """Names of the column of messages, and of that of the answer; empty where there is none."""
    names = table.column_names
    return next((n for n in ("messages", "prompt") if n in names), ""), next((n for n in _ANSWERS if n in names), "")


@dataclass(frozen=True)
class _Whole:
    """All messages of N records, one after the other.

    Attributes:
        owner: Record of each message, ascending, `[M]`.
        roles: Role of each message, `[M]`.
        flat: The messages, `[M]`.
        last: Position of each record's last answer, -1 where there is none, `[N]`.
    """

    owner: npt.NDArray[np.int64]
    roles: npt.NDArray[np.object_]
    flat: pa.StructArray
    last: npt.NDArray[np.int64]


def _lengths(lists: pa.Array) -> npt.NDArray[np.int64]:
    """Number of messages of each record."""
    lengths = pc.fill_null(pc.list_value_length(lists), 0)
    return np.asarray(lengths.to_numpy(zero_copy_only=False), np.int64)


def _whole(table: pa.Table) -> _Whole | None:
    """All messages of the records; None for documents."""
    name, answer = _columns(table)
    if not name:
        return None
    lists = single_chunk(table[name])
    asked = _lengths(lists)
    owner = np.repeat(np.arange(len(table)), asked)
    flat = lists.flatten()
    may_answer = np.ones(len(owner), np.bool_)
    if answer:
        replies = _reply_lists(single_chunk(table[answer]))
        owner = np.concatenate([owner, np.repeat(np.arange(len(table)), _lengths(replies))])
        may_answer = np.arange(len(owner)) >= len(flat)
        order = np.argsort(owner, kind="stable")
        owner, may_answer = owner[order], may_answer[order]
        flat = pa.concat_arrays([_of_one_type(flat), _of_one_type(replies.flatten())]).take(pa.array(order))
    roles = flat.field("role").to_numpy(zero_copy_only=False)
    last = np.full(len(table), -1, np.int64)
    answers = np.flatnonzero((roles == "assistant") & may_answer)
    last[owner[answers]] = answers  # the last assignment wins
    return _Whole(owner, roles, flat, last)


def _reply_lists(column: pa.Array) -> pa.Array:
    """Answers as lists of messages; an earlier version wrote them as strings."""
    if is_messages(column.type):
        return column
    contents = pc.fill_null(column.cast(pa.large_string()), "")
    roles = pa.repeat(pa.scalar("assistant", pa.string()), len(contents))
    messages = _of_one_type(pa.StructArray.from_arrays([roles, contents], ["role", "content"]))
    return pa.ListArray.from_arrays(pa.array(np.arange(len(contents) + 1), pa.int32()), messages)


def _of_one_type(flat: pa.StructArray) -> pa.StructArray:
    """Messages with all the fields that messages have now."""
    wanted = MESSAGES.value_type
    if flat.type == wanted:
        return flat
    names = {f.name for f in flat.type}
    children = [flat.field(f.name).cast(f.type) if f.name in names else pa.nulls(len(flat), f.type) for f in wanted]
    return pa.StructArray.from_arrays(children, fields=list(wanted))


def instruction_of(table: pa.Table) -> pa.Array:
    """Join what system, developer and user said before each record's last answer by newlines.

    What assistants said and what tools returned was not asked. Empty for documents.
    """
    whole = _whole(table)
    if whole is None:
        return pa.array([""] * len(table), pa.large_string())
    until = np.where(whole.last < 0, len(whole.owner), whole.last)
    before = np.arange(len(whole.owner)) < until[whole.owner]
    asked = np.flatnonzero((whole.roles != "assistant") & (whole.roles != "tool") & before)
    contents = pc.fill_null(whole.flat.field("content").take(pa.array(asked)).cast(pa.large_string()), "")
    offsets = np.searchsorted(whole.owner[asked], np.arange(len(table) + 1))
    return pc.binary_join(
        pa.LargeListArray.from_arrays(pa.array(offsets, pa.int64()), contents), pa.scalar("\n", pa.large_string())
    )


def response_of(table: pa.Table) -> pa.Array:
    """Find the last answer of each record, as a reader would be shown it.

    That is its content, and any calls of tools as `[tool call] weather({"city": "杭州"})`. Its reasoning is left out,
    unless there is nothing else.

    Args:
        table: Conversations (the last assistant message), preferences (the chosen answer), feedback (the answer) or
            documents (the text).

    Returns:
        One string per record; empty where there is no answer.

    Raises:
        StageError: If the table has none of the columns `text`, `messages` and `prompt`.
    """
    if "text" in table.column_names:
        return single_chunk(table["text"])
    whole = _whole(table)
    if whole is None:
        raise StageError(f"no text in columns {table.column_names}; expected 'text', 'messages' or 'prompt'")
    if not len(whole.flat):
        return pa.array([""] * len(table), pa.large_string())
    at = pa.array(np.maximum(whole.last, 0), mask=whole.last < 0)
    contents = pc.fill_null(whole.flat.field("content").take(at).cast(pa.large_string()), "")
    rows = np.flatnonzero(_needs_reading(whole, contents))
    if not len(rows):
        return contents
    # few answers are more than their content: only these are read as Python data
    messages = message_lists(pa.ListArray.from_arrays([0, len(rows)], whole.flat.take(pa.array(whole.last[rows]))))[0]
    new = pa.array([answer_text(m) for m in messages], pa.large_string())
    mask = np.zeros(len(table), np.bool_)
    mask[rows] = True
    return pc.replace_with_mask(contents, pa.array(mask), new)


def reasoning_of_answers(table: pa.Table) -> list[str]:
    """The reasoning of the last answer of each record; empty where there is none."""
    whole = _whole(table)
    if whole is None or not any(f.name == "reasoning_content" for f in whole.flat.type) or not len(whole.flat):
        return [""] * len(table)
    at = pa.array(np.maximum(whole.last, 0), mask=whole.last < 0)
    found: list[str] = pc.fill_null(whole.flat.field("reasoning_content").take(at), "").to_pylist()
    return found


def _needs_reading(whole: _Whole, contents: pa.Array) -> npt.NDArray[np.bool_]:
    """Whether the last answer of each record is blank, or calls tools."""
    blank = pc.equal(pc.utf8_trim_whitespace(contents), "").to_numpy(zero_copy_only=False)
    calls = np.zeros(len(contents), np.bool_)
    if any(f.name == "tool_calls" for f in whole.flat.type):
        calling = whole.flat.field("tool_calls").is_valid().to_numpy(zero_copy_only=False)
        calls = calling[np.maximum(whole.last, 0)]
    return np.asarray((blank | calls) & (whole.last >= 0))


def roles_of(table: pa.Table) -> pa.Array:
    """Join the roles of each record by blanks, such as `system user assistant`; empty for documents."""
    whole = _whole(table)
    if whole is None:
        return pa.array([""] * len(table), pa.large_string())
    offsets = np.searchsorted(whole.owner, np.arange(len(table) + 1))
    roles = pc.fill_null(whole.flat.field("role").cast(pa.large_string()), "")
    return pc.binary_join(
        pa.LargeListArray.from_arrays(pa.array(offsets, pa.int64()), roles), pa.scalar(" ", pa.large_string())
    )


def messages_of(table: pa.Table) -> list[list[Message]]:
    """All messages of each record, those of the answer behind those of the prompt; none for documents."""
    name, answer = _columns(table)
    if not name:
        return [[] for _ in range(len(table))]
    asked = message_lists(single_chunk(table[name]))
    if not answer:
        return asked
    replies = message_lists(_reply_lists(single_chunk(table[answer])))
    return [[*a, *b] for a, b in zip(asked, replies, strict=True)]


@dataclass(frozen=True)
class Exchange:
    """The messages before the last answer, and that answer.

    Attributes:
        messages: Turns before the answer; empty for a document.
        answer: The answer with all its keys; None if there is none.
        tools: Descriptions of the tools that the record offers.
    """

    messages: list[Message]
    answer: Message | None
    tools: list[object] | None = None

    @property
    def response(self) -> str:
        """The answer as a reader would be shown it, without its reasoning; empty if there is none."""
        return "" if self.answer is None else answer_text(self.answer)

    @property
    def instruction(self) -> str:
        """What system, developer and user asked, without earlier answers and without what tools returned."""
        return asked_of(self.messages)

    @property
    def question(self) -> str:
        """What a judge needs to know: the instruction, or all turns by role if there are others, or tools."""
        return transcript(self.messages, self.tools)


def exchanges(table: pa.Table) -> Iterator[Exchange]:
    """Yield the exchange of each record. A document counts as an answer to nothing."""
    whole = _whole(table)
    if whole is None:
        for text in table["text"].to_pylist():
            yield Exchange([], {"role": "assistant", "content": text or ""})
        return
    begins = np.searchsorted(whole.owner, np.arange(len(table)))
    places = np.where(whole.last < 0, -1, whole.last - begins).tolist()
    for turns, place, tools in zip(messages_of(table), places, _tools_of(table), strict=True):
        if place >= 0:
            yield Exchange(turns[:place], turns[place], tools)
        else:
            yield Exchange(turns, None, tools)


def _tools_of(table: pa.Table) -> Iterator[list[object] | None]:
    """The tools of each record. Many records share one description, which is read once."""
    if "tools" not in table.column_names:
        yield from (None for _ in range(len(table)))
        return
    read: dict[str, list[object] | None] = {}
    for text in table["tools"].to_pylist():
        if text and text not in read:
            found = orjson.loads(text)
            read[text] = found if isinstance(found, list) and found else None
        yield read[text] if text else None
