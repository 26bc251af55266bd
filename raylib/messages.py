"""Messages of conversations: one Arrow type for every layout, and the same messages as Python data.

A message keeps every key that it was read with. `role`, `content` and what chat templates know have columns of their
own; anything else is JSON in `extra`. In Python a message holds only the keys that it has, as `apply_chat_template` of
transformers takes it.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from itertools import accumulate

import pyarrow as pa
import pyarrow.compute as pc

from raylib.exact import dumps, loads

__all__ = [
    "LISTS",
    "MESSAGES",
    "AnyMessage",
    "Message",
    "is_messages",
    "message_lists",
    "messages_array",
    "rows_of",
    "said",
    "stored_message",
]

Message = dict[str, object]
"""One turn of a conversation: `role`, `content` (a string, or None), and what else it has."""
AnyMessage = Mapping[str, object]
"""A message that is only read."""

_FIELDS = pa.struct(
    [
        ("role", pa.string()),
        ("content", pa.large_string()),
        ("reasoning_content", pa.large_string()),
        ("tool_calls", pa.large_string()),
        ("tool_call_id", pa.string()),
        ("name", pa.string()),
        ("loss", pa.bool_()),
        ("extra", pa.large_string()),
    ]
)
MESSAGES = pa.list_(_FIELDS)
"""Messages as a column. `tool_calls` and `extra` are JSON; `loss` says whether a turn is learnt."""

LISTS = ("messages", "prompt", "chosen", "rejected", "answer")
"""Columns of `MESSAGES` in records of any kind."""

_NAMES = tuple(f.name for f in _FIELDS)
_PLAIN = frozenset(("role", "content"))
_JSON = ("tool_calls", "extra")


def stored_message(message: Mapping[str, object]) -> Message:
    """A message as a column holds it.

    Args:
        message: Role, content and any other keys.

    Returns:
        The fields of `MESSAGES` that the message has; keys that have no field of their own are JSON in `extra`.
    """
    stored = {k: v for k, v in message.items() if k in _NAMES and v is not None}
    others = {k: v for k, v in message.items() if k not in _NAMES}
    given = stored.get("extra")
    if others or isinstance(given, Mapping):
        stored["extra"] = {**(given if isinstance(given, Mapping) else {}), **others}
    for name in _JSON:
        if name in stored and not isinstance(stored[name], str):
            stored[name] = dumps(stored[name])
    return stored


def messages_array(lists: Sequence[Sequence[Mapping[str, object]] | None]) -> pa.Array:
    """Lists of messages as an array of `MESSAGES`.

    Args:
        lists: The messages of each record; None for none.
    """
    offsets = [0, *accumulate(0 if m is None else len(m) for m in lists)]
    flat = [m for messages in lists if messages for m in messages]
    names = frozenset[str]().union(*flat)
    if not names <= _PLAIN:
        flat = [stored_message(m) for m in flat]
        names = names.union(*flat)
    children = [
        pa.array([m.get(f.name) for m in flat], f.type) if f.name in names else pa.nulls(len(flat), f.type)
        for f in _FIELDS
    ]
    missing = pa.array([m is None for m in lists]) if None in lists else None
    structs = pa.StructArray.from_arrays(children, fields=list(_FIELDS))
    return pa.ListArray.from_arrays(pa.array(offsets, pa.int32()), structs, type=MESSAGES, mask=missing)


def message_lists(column: pa.Array | pa.ChunkedArray) -> list[list[Message]]:
    """The messages of each record as Python data; an empty list where there are none.

    Args:
        column: A column of messages; one that an earlier version wrote, with role and content alone, too.

    Returns:
        For each record its messages, each with the keys that it has: `content` may be None, `tool_calls` is a list,
        and the keys in `extra` are keys of the message.
    """
    if isinstance(column, pa.ChunkedArray):
        return [m for chunk in column.chunks for m in message_lists(chunk)]
    flat = column.flatten()
    names = [f.name for f in flat.type]
    roles = flat.field("role").to_pylist()
    contents = flat.field("content").to_pylist()
    messages: list[Message] = [{"role": r, "content": c} for r, c in zip(roles, contents, strict=True)]
    for name in names:
        child = flat.field(name)
        if name in ("role", "content") or child.null_count == len(child):
            continue
        for message, value in zip(messages, child.to_pylist(), strict=True):
            if value is not None:
                _put(message, name, value)
    lists: list[list[Message]] = []
    begin = 0
    for length in pc.fill_null(pc.list_value_length(column), 0).to_pylist():
        lists.append(messages[begin : begin + length])
        begin += length
    return lists


def _put(message: Message, name: str, value: object) -> None:
    """Add a field of a message to its Python form."""
    if name in _JSON and isinstance(value, str):
        value = loads(value)
    if name == "extra" and isinstance(value, dict):
        message.update({k: v for k, v in value.items() if k not in message})
    else:
        message[name] = value


def rows_of(table: pa.Table) -> list[dict[str, object]]:
    """The records of a table as Python data, messages with the keys that they have, `tools` as a list.

    Args:
        table: Records of any kind, with any other columns.
    """
    columns: dict[str, list[object]] = {}
    for name in table.column_names:
        column = table[name]
        if name in LISTS and is_messages(column.type):
            present = column.is_valid().to_pylist()
            values: list[object] = list(message_lists(column))
            columns[name] = [v if there else None for v, there in zip(values, present, strict=True)]
        elif name == "tools" and pa.types.is_large_string(column.type):
            columns[name] = [None if v is None else loads(v) for v in column.to_pylist()]
        else:
            columns[name] = column.to_pylist()
    names = list(columns)
    return [dict(zip(names, values, strict=True)) for values in zip(*columns.values(), strict=True)]


def said(message: Mapping[str, object]) -> str:
    """A message in readable lines: its role, what it thinks, says and calls.

    Args:
        message: A message in its Python form.
    """
    parts = []
    if message.get("reasoning_content"):
        parts.append(f"<think>{message['reasoning_content']}</think>")
    if message.get("content"):
        parts.append(str(message["content"]))
    calls = message.get("tool_calls")
    for call in calls if isinstance(calls, list) else []:
        function = call.get("function") if isinstance(call, Mapping) else None
        parts.append(_called(function if isinstance(function, Mapping) else {"name": call}))
    return f"[{message['role']}] " + "\n".join(parts)


def _called(function: Mapping[str, object]) -> str:
    arguments = function.get("arguments", "")
    shown = arguments if isinstance(arguments, str) else dumps(arguments)
    return f"{function.get('name')}({shown})"


def is_messages(kind: pa.DataType) -> bool:
    """Whether a type is a list of structs with role and content."""
    if not (pa.types.is_list(kind) or pa.types.is_large_list(kind)) or not pa.types.is_struct(kind.value_type):
        return False
    return {"role", "content"} <= {f.name for f in kind.value_type}
