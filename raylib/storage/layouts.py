"""Records written back in a known layout, and the stage that rejects what a layout cannot hold."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import TypedDict, cast

import orjson
import pyarrow as pa

from raylib.errors import ParameterError, RecordError
from raylib.reading.layouts import Fields, Message
from raylib.stage import LocalStage, Outcome, split_rejected

__all__ = ["FitsLayout", "json_row", "to_layout"]


class _Row(TypedDict):
    """Columns of conversations and preferences; a record has those of its kind."""

    messages: list[Message]
    prompt: list[Message]
    chosen: str
    rejected: str


def to_layout(row: Fields, target: str) -> dict[str, object]:
    """Write a conversation or a preference back in another layout.

    Args:
        row: A record in our own columns.
        target: `data`, `alpaca`, `sharegpt` or `openai`.

    Returns:
        The fields of the record in this layout.

    Raises:
        RecordError: the layout cannot hold the record (Alpaca holds one turn only).
        ParameterError: there is no such layout.
    """
    base: dict[str, object] = {"id": row["id"], "source": row.get("source")}
    record = cast("_Row", row)
    writers = _PREFERENCES if "chosen" in row else _CONVERSATIONS
    if target not in writers:
        raise ParameterError(f"unknown layout {target!r}; valid: data, alpaca, sharegpt, openai")
    return {**base, **writers[target](record)}


def _alpaca_pair(row: _Row) -> dict[str, object]:
    raise RecordError("wrong_value", f"a preference with {len(row['prompt'])} prompt messages does not fit 'alpaca'")


def _data_pair(row: _Row) -> dict[str, object]:
    if len(row["prompt"]) != 1:
        raise RecordError("wrong_value", f"a preference with {len(row['prompt'])} prompt messages does not fit 'data'")
    return {"prompt": row["prompt"][0]["content"], "chosen": row["chosen"], "rejected": row["rejected"]}


def _openai_pair(row: _Row) -> dict[str, object]:
    return {"prompt": list(row["prompt"]), "chosen": row["chosen"], "rejected": row["rejected"]}


def _sharegpt_pair(row: _Row) -> dict[str, object]:
    pair = {key: {"from": "gpt", "value": row[key]} for key in ("chosen", "rejected")}
    return {"conversations": [_sharegpt_message(m) for m in row["prompt"]], **pair}


def _openai(row: _Row) -> dict[str, object]:
    return {"messages": list(row["messages"])}


def _sharegpt(row: _Row) -> dict[str, object]:
    return {"conversations": [_sharegpt_message(m) for m in row["messages"]]}


def _data(row: _Row) -> dict[str, object]:
    system, messages = _turns(row, "data")
    return {**system, "data": [m["content"] for m in messages]}


def _alpaca(row: _Row) -> dict[str, object]:
    system, messages = _turns(row, "alpaca")
    if len(messages) != 2:
        raise RecordError("wrong_value", f"alpaca holds one turn, the record has {len(messages) // 2}")
    return {**system, "instruction": messages[0]["content"], "input": "", "output": messages[1]["content"]}


def _turns(row: _Row, target: str) -> tuple[dict[str, object], list[Message]]:
    """The system message as a field, if there is one, and the messages after it, which have to alternate."""
    messages = list(row["messages"])
    system: dict[str, object] = {}
    if messages and messages[0]["role"] == "system":
        system = {"system": messages[0]["content"]}
        messages = messages[1:]
    roles = [m["role"] for m in messages]
    if roles != ["user", "assistant"] * (len(roles) // 2):
        raise RecordError("wrong_value", f"roles {roles} do not alternate user/assistant, {target!r} needs that")
    return system, messages


def _sharegpt_message(message: Message) -> dict[str, str]:
    names = {"user": "human", "assistant": "gpt"}
    return {"from": names.get(message["role"], message["role"]), "value": message["content"]}


_Writer = Callable[[_Row], dict[str, object]]
_CONVERSATIONS: Mapping[str, _Writer] = {"data": _data, "alpaca": _alpaca, "sharegpt": _sharegpt, "openai": _openai}
_PREFERENCES: Mapping[str, _Writer] = {
    "data": _data_pair,
    "alpaca": _alpaca_pair,
    "sharegpt": _sharegpt_pair,
    "openai": _openai_pair,
}


@dataclass(frozen=True)
class FitsLayout(LocalStage):
    """The last stage of a run that writes another layout: rejects what the layout cannot hold.

    Attributes:
        layout: `data`, `alpaca`, `sharegpt` or `openai`.
    """

    layout: str

    def __call__(self, table: pa.Table) -> Outcome:
        """Reject the records that do not fit."""
        details = pa.array([self._misfit(row) for row in table.to_pylist()], pa.large_string())
        return split_rejected(table, details.is_valid(), stage="layout", reason="wrong_layout", detail=details)

    def _misfit(self, row: Fields) -> str | None:
        try:
            to_layout(row, self.layout)
        except RecordError as error:
            return error.detail
        return None


def json_row(row: Fields, layout: str) -> dict[str, object]:
    """A record as a line of JSON shows it.

    Args:
        row: A record in our own columns.
        layout: Layout to write it in; empty for our own columns.

    Returns:
        Its fields without nulls, with those that `meta` holds among them.
    """
    shown = to_layout(row, layout) if layout else {k: v for k, v in row.items() if v is not None}
    meta = row.get("meta")
    if isinstance(meta, str) and meta:
        extra = orjson.loads(meta)
        shown.pop("meta", None)
        shown = {**(extra if isinstance(extra, dict) else {"meta": extra}), **shown}
    return {k: v for k, v in shown.items() if v is not None}
