"""Records written back in a known layout, and the stage that rejects what a layout cannot hold."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import orjson
import pyarrow as pa

from raylib.errors import RecordError
from raylib.reading.layouts import Fields, Message
from raylib.stage import Outcome, split_rejected

__all__ = ["FitsLayout", "json_row", "to_layout"]


def to_layout(row: Fields, target: str) -> dict[str, Any]:
    """Write a conversation or preference row back as `data`, `alpaca`, `sharegpt` or `openai`.

    Raises RecordError when the layout cannot hold the record (Alpaca holds one turn only).
    """
    base: dict[str, Any] = {"id": row["id"], "source": row.get("source")}
    if "chosen" in row:
        if target == "sharegpt":
            turns = [_sharegpt(m) for m in row["prompt"]]
            pair = {k: {"from": "gpt", "value": row[k]} for k in ("chosen", "rejected")}
            return {**base, "conversations": turns, **pair}
        if target == "openai":
            return {**base, "prompt": list(row["prompt"]), "chosen": row["chosen"], "rejected": row["rejected"]}
        if target == "data" and len(row["prompt"]) == 1:
            prompt = row["prompt"][0]["content"]
            return {**base, "prompt": prompt, "chosen": row["chosen"], "rejected": row["rejected"]}
        raise RecordError(
            "wrong_value", f"a preference with {len(row['prompt'])} prompt messages does not fit {target!r}"
        )
    messages: list[Message] = list(row["messages"])
    if target == "openai":
        return {**base, "messages": messages}
    if target == "sharegpt":
        return {**base, "conversations": [_sharegpt(m) for m in messages]}
    roles = [m["role"] for m in messages]
    if roles[:1] == ["system"]:
        base["system"] = messages[0]["content"]
        messages, roles = messages[1:], roles[1:]
    if roles != ["user", "assistant"] * (len(roles) // 2):
        raise RecordError("wrong_value", f"roles {roles} do not alternate user/assistant, {target!r} needs that")
    if target == "data":
        return {**base, "data": [m["content"] for m in messages]}
    if target == "alpaca":
        if len(messages) != 2:
            raise RecordError("wrong_value", f"alpaca holds one turn, the record has {len(messages) // 2}")
        return {**base, "instruction": messages[0]["content"], "input": "", "output": messages[1]["content"]}
    raise ValueError(f"unknown layout {target!r}; valid: data, alpaca, sharegpt, openai")


def _sharegpt(message: Message) -> dict[str, str]:
    names = {"user": "human", "assistant": "gpt"}
    return {"from": names.get(message["role"], message["role"]), "value": message["content"]}


@dataclass(frozen=True)
class FitsLayout:
    """The last stage of a run that writes another layout: what it cannot hold is rejected, not lost in the writer."""

    layout: str

    def __call__(self, table: pa.Table) -> Outcome:
        details = pa.array([self._misfit(row) for row in table.to_pylist()], pa.large_string())
        return split_rejected(table, details.is_valid(), stage="layout", reason="wrong_layout", detail=details)

    def _misfit(self, row: dict[str, Any]) -> str | None:
        try:
            to_layout(row, self.layout)
        except RecordError as error:
            return error.detail
        return None


def json_row(row: dict[str, Any], layout: str) -> dict[str, Any]:
    if layout:
        shown = to_layout(row, layout)
    else:
        shown = {k: v for k, v in row.items() if v is not None}
    meta = row.get("meta")
    if meta:
        extra = orjson.loads(meta)
        shown.pop("meta", None)
        shown = {**(extra if isinstance(extra, dict) else {"meta": extra}), **shown}
    return {k: v for k, v in shown.items() if v is not None}
