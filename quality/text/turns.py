"""Who said what: the instruction and the response of a record, as arrays."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from raylib.schema import single_chunk

__all__ = ["Exchange", "exchanges", "instruction_of", "response_of", "roles_of"]


def _messages(table: pa.Table) -> pa.Array | None:
    for name in ("messages", "prompt"):
        if name in table.column_names:
            return single_chunk(table[name])
    return None


def _flat(lists: pa.Array) -> tuple[np.ndarray[Any, Any], np.ndarray[Any, Any], pa.Array]:
    """Owner of each message, roles, contents."""
    lengths = pc.fill_null(pc.list_value_length(lists), 0).to_numpy(zero_copy_only=False)
    flat = lists.flatten()
    owner = np.repeat(np.arange(len(lists)), lengths)
    roles = flat.field("role").to_numpy(zero_copy_only=False)
    return owner, roles, flat.field("content")


def _joined(owner: np.ndarray[Any, Any], contents: pa.Array, count: int) -> pa.Array:
    """Contents of each owner (ascending) joined by newlines; empty where there are none."""
    offsets = np.searchsorted(owner, np.arange(count + 1))
    lists = pa.LargeListArray.from_arrays(pa.array(offsets, pa.int64()), contents.cast(pa.large_string()))
    return pc.binary_join(lists, pa.scalar("\n", pa.large_string()))


def _last_answers(owner: np.ndarray[Any, Any], roles: np.ndarray[Any, Any], count: int) -> np.ndarray[Any, Any]:
    """Index of each record's last assistant message, -1 where there is none."""
    last = np.full(count, -1, np.int64)
    answers = np.flatnonzero(roles == "assistant")
    last[owner[answers]] = answers  # the last assignment wins
    return last


def instruction_of(table: pa.Table) -> pa.Array:
    """What came from system and user before the last answer, joined by newlines; empty for documents."""
    lists = _messages(table)
    if lists is None:
        return pa.array([""] * len(table), pa.large_string())
    owner, roles, contents = _flat(lists)
    last = _last_answers(owner, roles, len(lists))
    until = np.where(last < 0, len(owner), last)
    asked = np.flatnonzero((roles != "assistant") & (np.arange(len(owner)) < until[owner]))
    return _joined(owner[asked], contents.take(pa.array(asked)), len(lists))


def response_of(table: pa.Table) -> pa.Array:
    """The last answer: of a conversation its last assistant message, of a preference the chosen one, of a document its text."""
    if "text" in table.column_names:
        return single_chunk(table["text"])
    if "chosen" in table.column_names:
        return single_chunk(table["chosen"])
    lists = _messages(table)
    if lists is None:
        raise ValueError(f"no text in columns {table.column_names}; expected 'text', 'messages' or 'prompt'")
    owner, roles, contents = _flat(lists)
    last = _last_answers(owner, roles, len(lists))
    found = contents.take(pa.array(np.maximum(last, 0), mask=last < 0)) if len(contents) else pa.nulls(len(lists))
    return pc.fill_null(found.cast(pa.large_string()), "")


def roles_of(table: pa.Table) -> pa.Array:
    """Roles of each record joined by blanks, such as `system user assistant`; empty for documents."""
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
    """The messages before the last answer, and that answer."""

    messages: list[dict[str, str]]
    response: str

    @property
    def instruction(self) -> str:
        """What was asked, without earlier answers."""
        return "\n".join(m["content"] for m in self.messages if m["role"] != "assistant")


def exchanges(table: pa.Table) -> Iterator[Exchange]:
    """One a record. A document is a response to nothing."""
    name = "messages" if "messages" in table.column_names else "prompt" if "prompt" in table.column_names else ""
    if not name:
        for text in table["text"].to_pylist():
            yield Exchange([], text or "")
        return
    chosen = table["chosen"].to_pylist() if "chosen" in table.column_names else None
    for i, messages in enumerate(table[name].to_pylist()):
        turns = messages or []
        if chosen is not None:
            yield Exchange(turns, chosen[i] or "")
            continue
        last = next((k for k in range(len(turns) - 1, -1, -1) if turns[k]["role"] == "assistant"), None)
        if last is None:
            yield Exchange(turns, "")
        else:
            yield Exchange(turns[:last], turns[last]["content"] or "")
