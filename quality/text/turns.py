"""Who said what: the instruction and the response of a record, as arrays."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import TypedDict

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.compute as pc

from raylib.errors import StageError
from raylib.schema import single_chunk

__all__ = ["Exchange", "Message", "exchanges", "instruction_of", "response_of", "roles_of"]


class Message(TypedDict):
    """One turn of a conversation."""

    role: str
    content: str


def _messages(table: pa.Table) -> pa.Array | None:
    for name in ("messages", "prompt"):
        if name in table.column_names:
            return single_chunk(table[name])
    return None


def _flat(lists: pa.Array) -> tuple[npt.NDArray[np.int64], npt.NDArray[np.object_], pa.Array]:
    """Record of each message, its role and its content."""
    lengths = pc.fill_null(pc.list_value_length(lists), 0).to_numpy(zero_copy_only=False)
    flat = lists.flatten()
    owner = np.repeat(np.arange(len(lists)), lengths)
    roles = flat.field("role").to_numpy(zero_copy_only=False)
    return owner, roles, flat.field("content")


def _joined(owner: npt.NDArray[np.int64], contents: pa.Array, count: int) -> pa.Array:
    """Join the contents of each record (ascending in `owner`) by newlines; empty where there are none."""
    offsets = np.searchsorted(owner, np.arange(count + 1))
    lists = pa.LargeListArray.from_arrays(pa.array(offsets, pa.int64()), contents.cast(pa.large_string()))
    return pc.binary_join(lists, pa.scalar("\n", pa.large_string()))


def _last_answers(owner: npt.NDArray[np.int64], roles: npt.NDArray[np.object_], count: int) -> npt.NDArray[np.int64]:
    """Index of each record's last assistant message; -1 where there is none."""
    last = np.full(count, -1, np.int64)
    answers = np.flatnonzero(roles == "assistant")
    last[owner[answers]] = answers  # the last assignment wins
    return last


def instruction_of(table: pa.Table) -> pa.Array:
    """Join what system and user said before each record's last answer by newlines; empty for documents."""
    lists = _messages(table)
    if lists is None:
        return pa.array([""] * len(table), pa.large_string())
    owner, roles, contents = _flat(lists)
    last = _last_answers(owner, roles, len(lists))
    until = np.where(last < 0, len(owner), last)
    asked = np.flatnonzero((roles != "assistant") & (np.arange(len(owner)) < until[owner]))
    return _joined(owner[asked], contents.take(pa.array(asked)), len(lists))


def response_of(table: pa.Table) -> pa.Array:
    """Find the last answer of each record.

    Args:
        table: Conversations (the last assistant message), preferences (the chosen answer) or documents (the text).

    Returns:
        One string per record; empty where there is no answer.

    Raises:
        StageError: If the table has none of the columns `text`, `messages` and `prompt`.
    """
    if "text" in table.column_names:
        return single_chunk(table["text"])
    if "chosen" in table.column_names:
        return single_chunk(table["chosen"])
    lists = _messages(table)
    if lists is None:
        raise StageError(f"no text in columns {table.column_names}; expected 'text', 'messages' or 'prompt'")
    owner, roles, contents = _flat(lists)
    last = _last_answers(owner, roles, len(lists))
    found = contents.take(pa.array(np.maximum(last, 0), mask=last < 0)) if len(contents) else pa.nulls(len(lists))
    return pc.fill_null(found.cast(pa.large_string()), "")


def roles_of(table: pa.Table) -> pa.Array:
    """Join the roles of each record by blanks, such as `system user assistant`; empty for documents."""
    lists = _messages(table)
    if lists is None:
        return pa.array([""] * len(table), pa.large_string())
    roles = pa.LargeListArray.from_arrays(
        pa.array(np.concatenate([[0], np.cumsum(pc.fill_null(pc.list_value_length(lists), 0))]), pa.int64()),
        lists.flatten().field("role").cast(pa.large_string()),
    )
    return pc.binary_join(roles, pa.scalar(" ", pa.large_string()))


@dataclass(frozen=True)
class Exchange:
    """The messages before the last answer, and that answer.

    Attributes:
        messages: Turns before the answer; empty for a document.
        response: The answer; empty if there is none.
    """

    messages: list[Message]
    response: str

    @property
    def instruction(self) -> str:
        """What was asked, without earlier answers."""
        return "\n".join(m["content"] for m in self.messages if m["role"] != "assistant")


def exchanges(table: pa.Table) -> Iterator[Exchange]:
    """Yield the exchange of each record. A document counts as an answer to nothing."""
    name = next((n for n in ("messages", "prompt") if n in table.column_names), "")
    if not name:
        for text in table["text"].to_pylist():
            yield Exchange([], text or "")
        return
    chosen = table["chosen"].to_pylist() if "chosen" in table.column_names else None
    for i, messages in enumerate(table[name].to_pylist()):
        turns: list[Message] = messages or []
        yield _last_exchange(turns) if chosen is None else Exchange(turns, chosen[i] or "")


def _last_exchange(turns: list[Message]) -> Exchange:
    """Split a conversation at its last answer."""
    last = next((k for k in range(len(turns) - 1, -1, -1) if turns[k]["role"] == "assistant"), None)
    return Exchange(turns, "") if last is None else Exchange(turns[:last], turns[last]["content"] or "")
