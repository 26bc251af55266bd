"""Records written back in a known layout, and the stage that rejects what a layout cannot hold."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import cast

import orjson
import pyarrow as pa

from raylib.errors import ParameterError, RecordError
from raylib.messages import Message, rows_of
from raylib.reading.dialogues import belle_turns, moss_turns
from raylib.reading.fields import Fields
from raylib.stage import LocalStage, Outcome, split_rejected

__all__ = ["WRITTEN", "FitsLayout", "json_row", "to_layout"]

_Written = dict[str, object]


def to_layout(row: Fields, target: str) -> dict[str, object]:
    """Write a conversation, a preference or a record of feedback back in another layout.

    Args:
        row: A record in our own columns, as `rows_of` gives it.
        target: A name from `WRITTEN`.

    Returns:
        The fields of the record in this layout.

    Raises:
        RecordError: the layout cannot hold the record (Alpaca holds one turn only).
        ParameterError: there is no such layout.
    """
    if target not in WRITTEN:
        raise ParameterError(f"unknown layout {target!r}; valid: {', '.join(WRITTEN)}")
    kind = "preference" if "chosen" in row else "feedback" if "answer" in row else "conversation"
    write = _WRITERS[kind].get(target)
    if write is None:
        raise RecordError("wrong_value", f"{target!r} holds conversations, not records of kind {kind}")
    source = "来源" if target == "mnbvc" else "source"
    base = {"id": row["id"], source: row.get("source"), "category": row.get("category")}
    return {**{k: v for k, v in base.items() if v is not None or k != "category"}, **write(row)}


def _messages(row: Fields, column: str) -> list[Message]:
    return list(cast("Sequence[Message]", row[column]))


def _tools(row: Fields) -> object:
    """The tools of a record as a list; None if it has none."""
    tools = row.get("tools")
    return orjson.loads(tools) if isinstance(tools, str) else tools


def _check_plain(messages: Sequence[Message], row: Fields, target: str, but: str = "") -> None:
    """Refuse records that have more than roles and texts."""
    if row.get("tools") is not None:
        raise RecordError("wrong_value", f"{target!r} cannot hold tools")
    for i, message in enumerate(messages):
        more = [k for k, v in message.items() if k not in ("role", "content", but) and v is not None]
        if more or not isinstance(message["content"], str):
            raise RecordError("wrong_value", f"{target!r} cannot hold {', '.join(more) or 'no content'} of message {i}")


def _turns(row: Fields, target: str, but: str = "") -> tuple[_Written, list[Message]]:
    """The system message as a field, if there is one, and the messages after it, which have to alternate."""
    messages = _messages(row, "messages")
    _check_plain(messages, row, target, but)
    system: _Written = {}
    if messages and messages[0]["role"] == "system":
        system = {"system": messages[0]["content"]}
        messages = messages[1:]
    roles = [m["role"] for m in messages]
    if not roles or roles != ["user", "assistant"] * (len(roles) // 2):
        raise RecordError("wrong_value", f"roles {roles} do not alternate user/assistant, {target!r} needs that")
    return system, messages


def _one_turn(row: Fields, target: str, but: str = "") -> tuple[_Written, Message, Message]:
    """The system message as a field, the question and its answer."""
    system, messages = _turns(row, target, but)
    if len(messages) != 2:
        raise RecordError("wrong_value", f"{target} holds one turn, the record has {len(messages) // 2}")
    return system, messages[0], messages[1]


def _data(row: Fields) -> _Written:
    system, messages = _turns(row, "data")
    return {**system, "data": [m["content"] for m in messages]}


def _alpaca(row: Fields) -> _Written:
    system, asked, answer = _one_turn(row, "alpaca")
    return {**system, "instruction": asked["content"], "input": "", "output": answer["content"]}


def _belle(row: Fields) -> _Written:
    system, messages = _turns(row, "belle")
    if len(messages) == 2:
        return _alpaca(row)
    names = {"user": "Human:", "assistant": "Assistant:"}
    text = "\n".join(f"{names[str(m['role'])]}{m['content']}" for m in messages[:-1]) + "\nAssistant:"
    if belle_turns(text) != messages[:-1]:
        raise RecordError("wrong_value", "'belle' cannot hold texts that hold its marks or begin or end with spaces")
    return {**system, "instruction": text, "input": "", "output": messages[-1]["content"]}


def _firefly(row: Fields) -> _Written:
    system, asked, answer = _one_turn(row, "firefly")
    return {**system, "input": asked["content"], "target": answer["content"]}


def _mnbvc(row: Fields) -> _Written:
    system, asked, answer = _one_turn(row, "mnbvc")
    return {**system, "问": asked["content"], "答": answer["content"]}


def _r1(row: Fields) -> _Written:
    system, asked, answer = _one_turn(row, "r1", "reasoning_content")
    if not answer.get("reasoning_content") or "reasoning_content" in asked:
        raise RecordError("wrong_value", "'r1' holds an answer with its reasoning, the record has no reasoning_content")
    reasoning = answer["reasoning_content"]
    return {**system, "input": asked["content"], "reasoning_content": reasoning, "content": answer["content"]}


def _moss(row: Fields) -> _Written:
    system, messages = _turns(row, "moss")
    chat = {}
    for i in range(0, len(messages), 2):
        chat[f"turn_{i // 2 + 1}"] = {
            "Human": f"<|Human|>: {messages[i]['content']}<eoh>\n",
            "Inner Thoughts": "<|Inner Thoughts|>: None<eot>\n",
            "Commands": "<|Commands|>: None<eoc>\n",
            "Tool Responses": "<|Results|>: None<eor>\n",
            "MOSS": f"<|MOSS|>: {messages[i + 1]['content']}<eom>\n",
        }
    if moss_turns(chat, "chat") != messages:
        raise RecordError("wrong_value", "'moss' cannot hold texts that hold its marks")
    return {**({"meta_instruction": system["system"]} if system else {}), "num_turns": len(chat), "chat": chat}


def _openai(row: Fields) -> _Written:
    return {"messages": _messages(row, "messages"), **_with_tools(row)}


def _with_tools(row: Fields) -> _Written:
    tools = _tools(row)
    return {} if tools is None else {"tools": tools}


def _sharegpt(row: Fields) -> _Written:
    return {"conversations": [_sharegpt_message(m) for m in _messages(row, "messages")], **_with_tools_as_text(row)}


def _with_tools_as_text(row: Fields) -> _Written:
    tools = _tools(row)
    return {} if tools is None else {"tools": orjson.dumps(tools).decode()}


def _sharegpt_message(message: Message) -> dict[str, object]:
    """A message with `from` and `value`, and whatever else it has under its own name."""
    calls = message.get("tool_calls")
    if isinstance(calls, list) and message["content"] is None and all(_is_bare(c) for c in calls):
        functions = [c["function"] for c in calls]
        value: object = orjson.dumps(functions[0] if len(functions) == 1 else functions).decode()
        others = {k: v for k, v in message.items() if k not in ("role", "content", "tool_calls")}
        return {"from": "function_call", "value": value, **others}
    names = {"user": "human", "assistant": "gpt", "tool": "observation"}
    written: dict[str, object] = {"from": names.get(str(message["role"]), message["role"])}
    if message["content"] is not None:
        written["value"] = message["content"]
    others = {k: v for k, v in message.items() if k not in ("role", "content")}
    moved = {"value": others.pop("value"), "content": message["content"]} if "value" in others else {}
    return {**written, **moved, **others}


def _is_bare(call: object) -> bool:
    """Whether a call is a function with a name alone, as ShareGPT writes it."""
    if not isinstance(call, dict) or call.keys() != {"type", "function"} or call["type"] != "function":
        return False
    return isinstance(call["function"], dict) and "name" in call["function"]


def _openai_pair(row: Fields) -> _Written:
    return {**{name: _messages(row, name) for name in ("prompt", "chosen", "rejected")}, **_with_tools(row)}


def _sharegpt_pair(row: Fields) -> _Written:
    answers: _Written = {}
    for name in ("chosen", "rejected"):
        written = [_sharegpt_message(m) for m in _messages(row, name)]
        answers[name] = written[0] if len(written) == 1 else written
    prompt = [_sharegpt_message(m) for m in _messages(row, "prompt")]
    return {"conversations": prompt, **answers, **_with_tools_as_text(row)}


def _strings(row: Fields, names: Sequence[str], target: str) -> tuple[_Written, list[object]]:
    """The system message as a field, and the only message of each of these columns as a string."""
    system: _Written = {}
    texts: list[object] = []
    for name in names:
        messages = _messages(row, name)
        _check_plain(messages, row, target)
        if name == "prompt" and messages and messages[0]["role"] == "system":
            system = {"system": messages[0]["content"]}
            messages = messages[1:]
        if len(messages) != 1 or messages[0]["role"] not in ("user", "assistant"):
            raise RecordError("wrong_value", f"a {name} with {len(messages)} messages does not fit {target!r}")
        texts.append(messages[0]["content"])
    return system, texts


def _data_pair(row: Fields) -> _Written:
    system, (prompt, chosen, rejected) = _strings(row, ("prompt", "chosen", "rejected"), "data")
    return {**system, "prompt": prompt, "chosen": chosen, "rejected": rejected}


def _alpaca_pair(row: Fields) -> _Written:
    system, (prompt, chosen, rejected) = _strings(row, ("prompt", "chosen", "rejected"), "alpaca")
    return {**system, "instruction": prompt, "input": "", "chosen": chosen, "rejected": rejected}


def _openai_feedback(row: Fields) -> _Written:
    completion = _messages(row, "answer")
    return {"prompt": _messages(row, "prompt"), "completion": completion, "label": row["label"], **_with_tools(row)}


def _sharegpt_feedback(row: Fields) -> _Written:
    prompt = _messages(row, "prompt")
    if prompt and prompt[-1]["role"] in ("assistant", "tool"):
        raise RecordError("wrong_value", "'sharegpt' cannot tell an answer from a tool's result before it")
    turns = [_sharegpt_message(m) for m in (*prompt, *_messages(row, "answer"))]
    return {"conversations": turns, "kto_tag": row["label"], **_with_tools_as_text(row)}


def _data_feedback(row: Fields) -> _Written:
    system, (prompt, answer) = _strings(row, ("prompt", "answer"), "data")
    return {**system, "prompt": prompt, "completion": answer, "label": row["label"]}


def _alpaca_feedback(row: Fields) -> _Written:
    system, (prompt, answer) = _strings(row, ("prompt", "answer"), "alpaca")
    return {**system, "instruction": prompt, "input": "", "output": answer, "kto_tag": row["label"]}


_Writer = Callable[[Fields], _Written]
_WRITERS: Mapping[str, Mapping[str, _Writer]] = {
    "conversation": {
        "data": _data,
        "alpaca": _alpaca,
        "sharegpt": _sharegpt,
        "openai": _openai,
        "firefly": _firefly,
        "r1": _r1,
        "moss": _moss,
        "mnbvc": _mnbvc,
        "belle": _belle,
    },
    "preference": {
        "data": _data_pair,
        "alpaca": _alpaca_pair,
        "sharegpt": _sharegpt_pair,
        "openai": _openai_pair,
    },
    "feedback": {
        "data": _data_feedback,
        "alpaca": _alpaca_feedback,
        "sharegpt": _sharegpt_feedback,
        "openai": _openai_feedback,
    },
}
WRITTEN: dict[str, tuple[str, ...]] = {
    name: tuple(kind for kind, writers in _WRITERS.items() if name in writers) for name in _WRITERS["conversation"]
}
"""The layouts that can be written, and the kinds that each of them holds."""


@dataclass(frozen=True)
class FitsLayout(LocalStage):
    """The last stage of a run that writes another layout: rejects what the layout cannot hold.

    Attributes:
        layout: A name from `WRITTEN`.
    """

    layout: str

    def __call__(self, table: pa.Table) -> Outcome:
        """Reject the records that do not fit."""
        details = pa.array([self._misfit(row) for row in rows_of(table)], pa.large_string())
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
        row: A record in our own columns, as `rows_of` gives it.
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
