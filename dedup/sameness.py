"""What makes records of chats the same, beside their text: reasoning and calls in the same places, tools, labels."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt
import orjson
import pyarrow as pa
import pyarrow.compute as pc

from cleaning.calls import calls_rewritten
from dedup.folding import raw_hashes
from raylib.hashing import text_hashes
from raylib.messages import LISTS, is_messages
from raylib.schema import single_chunk, text_of

__all__ = ["compared_texts", "label_codes", "label_keys", "mark_hashes"]


def compared_texts(table: pa.Table) -> pa.Array:
    """All text of each record, for comparison: calls of tools without their ids, which are drawn at random.

    Args:
        table: N records of any kind.

    Returns:
        N strings; see `text_of`.
    """
    for name in LISTS:
        if name in table.column_names and is_messages(table[name].type):
            old = single_chunk(table[name])
            new = calls_rewritten(old, _without_ids)
            if new is not old:
                table = table.set_column(table.column_names.index(name), name, new)
    return text_of(table)


def _without_ids(calls: pa.Array) -> pa.Array:
    """JSON of calls with their keys in order and without ids."""
    seen: dict[str, str] = {}
    for text in calls.to_pylist():
        if text not in seen:
            seen[text] = _canonical(text)
    return pa.array([seen[text] for text in calls.to_pylist()], calls.type)


def _canonical(text: str) -> str:
    """One text of calls; as it is if it is no JSON."""
    try:
        content = orjson.loads(text)
    except orjson.JSONDecodeError:
        return text
    if isinstance(content, list):
        content = [{k: v for k, v in c.items() if k != "id"} if isinstance(c, dict) else c for c in content]
    return orjson.dumps(content, option=orjson.OPT_SORT_KEYS).decode()


def mark_hashes(table: pa.Table) -> npt.NDArray[np.uint64]:
    """128-bit hashes of what else must be equal where texts are: zeros for records that have nothing of the kind.

    That is which messages reason and which call tools, the tools that are offered, and the label of feedback. Names,
    ids of calls, flags of loss and other keys of messages do not count: the same text would be seen twice.

    Args:
        table: N records of any kind.

    Returns:
        Upper and lower halves, [N, 2].
    """
    parts = [_places(single_chunk(table[n])) for n in LISTS if n in table.column_names and is_messages(table[n].type)]
    if "tools" in table.column_names and "text" not in table.column_names:
        parts.append(_tools(single_chunk(table["tools"])))
    if _has_labels(table):
        parts.append(pc.fill_null(single_chunk(table["label"]).cast(pa.large_string()), "null"))
    out = np.zeros((len(table), 2), np.uint64)
    if not parts:
        return out
    marks = pc.binary_join_element_wise(*parts, pa.scalar("|", pa.large_string()))
    marked = np.flatnonzero(pc.greater(pc.binary_length(marks), len(parts) - 1).to_numpy(zero_copy_only=False))
    if len(marked):
        out[marked] = raw_hashes(marks.take(pa.array(marked)))
    return out


def _places(lists: pa.Array) -> pa.Array:
    """For each record which of its answers reason or call tools, such as `r--rc`; empty where none does."""
    flat = lists.flatten()
    names = [f.name for f in flat.type]
    answers = pc.fill_null(pc.equal(flat.field("role"), "assistant"), False).to_numpy(zero_copy_only=False)
    signs = np.full(len(flat), 0)
    for sign, name in ((1, "reasoning_content"), (2, "tool_calls")):
        if name in names:
            signs += sign * np.asarray(pc.fill_null(pc.greater(pc.binary_length(flat.field(name)), 0), False))
    owner = np.repeat(np.arange(len(lists)), pc.fill_null(pc.list_value_length(lists), 0).to_numpy(False))
    marked = np.zeros(len(lists), np.bool_)
    marked[owner[signs > 0]] = True
    used = np.flatnonzero((answers | (signs > 0)) & marked[owner])
    letters = pa.array(["-", "r", "c", "rc"], pa.large_string()).take(pa.array(signs[used]))
    offsets = np.searchsorted(owner[used], np.arange(len(lists) + 1))
    return pc.binary_join(
        pa.LargeListArray.from_arrays(pa.array(offsets, pa.int64()), letters), pa.scalar(",", pa.large_string())
    )


def _tools(column: pa.Array) -> pa.Array:
    """Tools as JSON with keys in order; empty for none."""
    seen: dict[str, str] = {}
    for text in pc.unique(column.drop_null()).to_pylist():
        found = _canonical(text)
        seen[text] = "" if found in ("[]", "null", "{}") else found
    return pa.array([seen.get(text, "") for text in column.to_pylist()], pa.large_string())


def _has_labels(table: pa.Table) -> bool:
    """Whether the records are feedback; for other kinds a column `label` is what a stage found."""
    return {"answer", "label"} <= set(table.column_names)


def label_keys(table: pa.Table) -> npt.NDArray[np.uint64]:
    """A key for each label of feedback, 0 for records of other kinds: records of different keys are never the same.

    Args:
        table: N records.

    Returns:
        Keys, [N].
    """
    if not _has_labels(table):
        return np.zeros(len(table), np.uint64)
    return text_hashes(["null" if v is None else str(v) for v in table["label"].to_pylist()])


def label_codes(table: pa.Table) -> npt.NDArray[np.int8]:
    """The same as small numbers: 0 without a label, 1 for false, 2 for true.

    Args:
        table: N records.

    Returns:
        Codes, [N].
    """
    if not _has_labels(table):
        return np.zeros(len(table), np.int8)
    return np.array([0 if v is None else 1 + int(v) for v in table["label"].to_pylist()], np.int8)
