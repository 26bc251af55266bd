"""Arguments of calls of tools: texts within JSON, which a rule rewrites value by value so that the JSON stays valid."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Any, TypeAlias

import numpy as np
import orjson
import pyarrow as pa
import pyarrow.compute as pc

from raylib.messages import LISTS, is_messages
from raylib.schema import single_chunk

__all__ = ["calls_rewritten", "map_arguments"]

_Json: TypeAlias = dict[str, object] | list[object]

_FIXED = {"id", "type", "name", "index"}  # what a call is known by
_COLON = "："
_ARGUMENTS = 3  # depth of arguments: below the list of calls, a call, and its function


def calls_rewritten(lists: pa.Array, rewrite: Callable[[pa.Array], pa.Array]) -> pa.Array:
    """Rewrite the JSON of the calls of tools in messages.

    Args:
        lists: Messages of N records.
        rewrite: Gives new JSON for each JSON text of calls; the very array that it was given changes nothing.

    Returns:
        The messages of N records; the very array that came in if nothing changed.
    """
    flat = lists.flatten()
    names = [f.name for f in flat.type]
    if "tool_calls" not in names:
        return lists
    old = flat.field("tool_calls")
    there = old.is_valid()
    if not pc.any(there).as_py():
        return lists
    given = old.filter(there)
    new = rewrite(given)
    if new is given:
        return lists
    children = [flat.field(n) if n != "tool_calls" else pc.replace_with_mask(old, there, new) for n in names]
    structs = pa.StructArray.from_arrays(children, fields=list(flat.type))
    lengths = pc.fill_null(pc.list_value_length(lists), 0).to_numpy(zero_copy_only=False)
    ends = np.concatenate([[0], np.cumsum(lengths)]).astype(np.int32)
    offsets = pa.array(ends, mask=np.append(lists.is_null().to_numpy(zero_copy_only=False), False))
    return pa.ListArray.from_arrays(offsets, structs, type=pa.list_(lists.type.value_field)).cast(lists.type)


def map_arguments(table: pa.Table, rewrite: Callable[[pa.Array], pa.Array]) -> pa.Table:
    """Apply a rewrite of string arrays to the arguments of all calls of tools.

    Each string and each whole number among the arguments comes as `name：value`, so that a rule sees what it is; a
    number that changes becomes a string. Names of tools and ids of calls stay.

    Args:
        table: Records of any kind.
        rewrite: Function that returns an array of the same length.

    Returns:
        The table with the rewritten arguments; the very table that came in if nothing changed.
    """
    for name in LISTS:
        if name in table.column_names and is_messages(table[name].type):
            old = single_chunk(table[name])
            new = calls_rewritten(old, lambda calls: _rewritten(calls, rewrite))
            if new is not old:
                table = table.set_column(table.column_names.index(name), table.schema.field(name), new)
    return table


@dataclass
class _Leaf:
    """A value among arguments: where it stands, and by what name."""

    place: Any  # a dict or a list
    key: str | int
    name: str

    @property
    def value(self) -> str:
        return str(self.place[self.key])

    @property
    def shown(self) -> str:
        """The value behind its name, as a text would have it."""
        return f"{self.name}{_COLON}{self.value}" if self.name else self.value

    def put(self, text: str, rewrite: Callable[[pa.Array], pa.Array]) -> None:
        """Take the value from what was shown and rewritten; a rule that changed the name sees the value alone."""
        start = f"{self.name}{_COLON}" if self.name else ""
        if text.startswith(start):
            self.place[self.key] = text[len(start) :]
        else:
            self.place[self.key] = rewrite(pa.array([self.value], pa.large_string()))[0].as_py()


@dataclass
class _Inner:
    """JSON within a string, such as arguments often are."""

    place: Any
    key: str | int
    content: _Json

    def put(self) -> None:
        """Write it again if it changed."""
        if _parsed(self.place[self.key]) != self.content:
            self.place[self.key] = json.dumps(self.content, ensure_ascii=False)


class _Calls:
    """The calls of one message."""

    def __init__(self, content: _Json) -> None:
        self.content = content
        self.inner: list[_Inner] = []
        self.leaves = list(self._found())

    def _found(self) -> Iterator[_Leaf]:
        """Strings and whole numbers, but for what a call is known by."""
        # a stack in place of recursion: arguments may be nested as deep as the parser allows
        stack: list[tuple[_Json, str, int]] = [(self.content, "", 0)]
        while stack:
            place, name, depth = stack.pop()
            outside = depth < _ARGUMENTS  # in the list of calls, in a call or in its function
            for key, value in _items(place):
                if outside and key in _FIXED:
                    continue
                label = "" if outside else key if isinstance(key, str) else name
                content = _parsed(value) if isinstance(value, str) else value
                if isinstance(content, (dict, list)):
                    if content is not value:
                        self.inner.append(_Inner(place, key, content))
                    stack.append((content, label, _ARGUMENTS if key in ("arguments", "input") else depth + 1))
                elif isinstance(value, str) or (isinstance(value, int) and not isinstance(value, bool)):
                    yield _Leaf(place, key, label)

    def json(self) -> str:
        """The calls as JSON, after their leaves were changed."""
        for part in reversed(self.inner):  # from the inside out
            part.put()
        return json.dumps(self.content, ensure_ascii=False, separators=(",", ":"))


def _items(place: _Json) -> list[tuple[str | int, object]]:
    return list(place.items()) if isinstance(place, dict) else list(enumerate(place))


def _parsed(text: object) -> _Json | None:
    """A JSON object or list; None for anything else."""
    if not isinstance(text, str) or text.lstrip()[:1] not in ("{", "["):
        return None
    try:
        orjson.loads(text)  # quick, and strict about characters that no text can hold
        found: _Json = json.loads(text)  # keeps whole numbers of any length
    except (ValueError, RecursionError):
        return None
    return found


def _rewritten(calls: pa.Array, rewrite: Callable[[pa.Array], pa.Array]) -> pa.Array:
    """JSON texts of calls with rewritten arguments; the very array that came in if none changed."""
    texts = calls.to_pylist()
    read = {row: _Calls(content) for row, text in enumerate(texts) if (content := _parsed(text)) is not None}
    leaves = [(row, leaf) for row, made in read.items() for leaf in made.leaves]
    given = pa.array([leaf.shown for _, leaf in leaves], pa.large_string())
    after = rewrite(given) if leaves else given
    if after is given:
        return calls
    changed = set()
    for (row, leaf), text in zip(leaves, after.to_pylist(), strict=True):
        if text != leaf.shown:
            leaf.put(text, rewrite)
            changed.add(row)
    for row in changed:
        texts[row] = read[row].json()
    return pa.array(texts, calls.type) if changed else calls
