"""Coercion of records from the layouts that data sets really come in, and back into these."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import orjson

from raylib.errors import RecordError

__all__ = ["coerce", "guess_kind", "layout", "plain_document", "to_layout"]

_ROLES = {
    "human": "user",
    "user": "user",
    "prompter": "user",
    "question": "user",
    "gpt": "assistant",
    "assistant": "assistant",
    "bot": "assistant",
    "chatgpt": "assistant",
    "model": "assistant",
    "answer": "assistant",
    "system": "system",
    "tool": "tool",
    "function": "tool",
    "observation": "tool",
    "function_call": "assistant",
}
_TEXT_FIELDS = ("text", "content", "raw_content", "body", "document", "正文", "内容")
_QUESTION_FIELDS = ("question", "ask", "query", "instruction", "问")
_ANSWER_FIELDS = ("answer", "std_answer", "output", "response", "答")
_ID_FIELDS = ("id", "uniqueKey", "uuid", "doc_id")
_REJECTED_FIELDS = ("rejected", "reject")
Fields = Mapping[str, Any]
Message = dict[str, str]


def _text(record: Fields, name: str, used: set[str]) -> str:
    value = record[name]
    used.add(name)
    if not isinstance(value, str):
        raise RecordError("wrong_type", f"field {name!r} should be a string, is {_type_name(value)}")
    return value


def _optional_text(record: Fields, name: str, used: set[str]) -> str:
    if record.get(name) is None:
        used.add(name)
        return ""
    return _text(record, name, used)


def _first(record: Fields, names: tuple[str, ...]) -> str | None:
    return next((n for n in names if n in record), None)


def _type_name(value: Any) -> str:
    if value is None:
        return "null"
    return {dict: "an object", list: "a list", bool: "a boolean", int: "a number", float: "a number"}.get(
        type(value), type(value).__name__
    )


def _message(role: Any, content: Any, where: str) -> Message:
    if role not in _ROLES:
        raise RecordError("wrong_value", f"{where}: unknown role {role!r}")
    if isinstance(content, list):  # OpenAI content parts: only text can be kept
        parts: list[Any] = [p.get("text") for p in content if isinstance(p, dict) and p.get("type") == "text"]
        if len(parts) != len(content) or not all(isinstance(p, str) for p in parts):
            raise RecordError("wrong_type", f"{where}: only text content parts are supported")
        content = "".join(parts)
    if not isinstance(content, str):
        raise RecordError("wrong_type", f"{where}: content should be a string, is {_type_name(content)}")
    return {"role": _ROLES[role], "content": content}


def _turns(value: Any, field: str) -> list[Message]:
    """Messages from an OpenAI list, a ShareGPT list or alternating strings."""
    if not isinstance(value, list):
        raise RecordError("wrong_type", f"field {field!r} should be a list, is {_type_name(value)}")
    messages: list[Message] = []
    for i, turn in enumerate(value):
        where = f"{field}[{i}]"
        if isinstance(turn, str):
            messages.append({"role": "user" if i % 2 == 0 else "assistant", "content": turn})
        elif isinstance(turn, dict) and "role" in turn:
            messages.append(_message(turn["role"], turn.get("content"), where))
        elif isinstance(turn, dict) and "from" in turn:
            messages.append(_message(turn["from"], turn.get("value"), where))
        else:
            raise RecordError("wrong_type", f"{where} is neither a string nor a message with role/from")
    return messages


def layout(record: Fields) -> str:
    """Name the layout of a raw record: data, sharegpt, openai, alpaca, qa, preference, document or unknown."""
    if "chosen" in record and _first(record, _REJECTED_FIELDS):
        return "preference"
    if isinstance(record.get("data"), list):
        return "data"
    if "conversations" in record:
        return "sharegpt"
    if "messages" in record:
        return "openai"
    if "instruction" in record and "output" in record:
        return "alpaca"
    if _first(record, _TEXT_FIELDS):
        return "document"
    if _first(record, _QUESTION_FIELDS) and _first(record, _ANSWER_FIELDS):
        return "qa"
    if "prompt" in record and _first(record, (*_ANSWER_FIELDS, "completion")):
        return "prompt"
    return "unknown"


def guess_kind(record: Fields) -> str:
    """The kind that a raw record most likely is, by its layout; unknown layouts count as documents."""
    found = layout(record)
    if found == "preference":
        return "preference"
    if found in ("data", "sharegpt", "openai", "alpaca", "qa", "prompt"):
        return "conversation"
    return "document"


def _conversation(record: Fields, used: set[str]) -> list[Message]:
    found = layout(record)
    if found in ("data", "sharegpt", "openai"):
        field = {"data": "data", "sharegpt": "conversations", "openai": "messages"}[found]
        used.add(field)
        messages = _turns(record[field], field)
        system = record.get("system")
        if isinstance(system, str) and system and not (messages and messages[0]["role"] == "system"):
            messages.insert(0, {"role": "system", "content": system})
        used.add("system")
    elif found in ("alpaca", "qa", "prompt"):
        question = "prompt" if found == "prompt" else _first(record, _QUESTION_FIELDS)
        answer = _first(record, (*_ANSWER_FIELDS, "completion"))
        assert question is not None and answer is not None
        asked = _text(record, question, used)
        if found == "alpaca":
            extra = _optional_text(record, "input", used)
            asked = f"{asked}\n{extra}" if extra else asked
        elif question == "ask" and isinstance(record.get("title"), str) and record["title"] not in asked:
            asked = f"{_text(record, 'title', used)}\n{asked}"
        messages = _history(record, used)
        messages += [
            {"role": "user", "content": asked},
            {"role": "assistant", "content": _text(record, answer, used)},
        ]
        if isinstance(record.get("system"), str) and record["system"]:
            messages.insert(0, {"role": "system", "content": _text(record, "system", used)})
    else:
        raise RecordError(
            "unknown_layout",
            f"no conversation in fields {sorted(map(str, record))[:12]}; expected messages, conversations, "
            "data, instruction+output, prompt+response or question+answer",
        )
    if not any(m["content"].strip() for m in messages):
        raise RecordError("empty_text", "the conversation has no text")
    return messages


def _history(record: Fields, used: set[str]) -> list[Message]:
    history = record.get("history")
    if history is None:
        return []
    used.add("history")
    messages: list[Message] = []
    for i, pair in enumerate(history if isinstance(history, list) else [history]):
        if not (isinstance(pair, list) and len(pair) == 2 and all(isinstance(p, str) for p in pair)):
            raise RecordError("wrong_type", f"history[{i}] should be [question, answer]")
        messages += [{"role": "user", "content": pair[0]}, {"role": "assistant", "content": pair[1]}]
    return messages


def _document_text(record: Fields, used: set[str], text_fields: tuple[str, ...]) -> str:
    names = text_fields or ()
    if not names:
        found = _first(record, _TEXT_FIELDS)
        if found:
            names = (found,)
        else:
            question, answer = _first(record, _QUESTION_FIELDS), _first(record, _ANSWER_FIELDS)
            names = tuple(n for n in ("title", question, answer) if n is not None and n in record)
            if not (question or answer):
                names = ()
    missing = [n for n in names if n not in record]
    if not names or missing:
        wanted = missing[0] if missing else "text"
        raise RecordError("missing_field", f"no field {wanted!r} among {sorted(map(str, record))[:12]}")
    parts = [_text(record, n, used) for n in names]
    text = "\n".join(p for p in parts if p)
    if not text.strip():
        raise RecordError("empty_text", f"field {'+'.join(names)} is empty")
    return text


def _answer(value: Any, field: str) -> str:
    if isinstance(value, str):
        return value
    if isinstance(value, dict):
        return _turns([value], field)[0]["content"]
    if isinstance(value, list):
        turns = _turns(value, field)
        if turns and isinstance(value[0], dict):  # the whole dialogue: the answer is its last turn
            return turns[-1]["content"]
        if len(value) == 1:
            return turns[0]["content"]
    raise RecordError("wrong_type", f"field {field!r} should be a string or a message, is {_type_name(value)}")


def _preference(record: Fields, used: set[str]) -> dict[str, Any]:
    rejected_field = _first(record, _REJECTED_FIELDS)
    if "chosen" not in record or rejected_field is None:
        raise RecordError("missing_field", "a preference needs 'chosen' and 'rejected' (or 'reject')")
    used.update(("chosen", rejected_field))
    prompt_field = _first(record, ("prompt", "conversations", "messages", "question", "instruction"))
    if prompt_field is None:
        chosen = record["chosen"]
        if not (isinstance(chosen, list) and len(chosen) > 1):
            raise RecordError("missing_field", "a preference needs 'prompt' or 'conversations'")
        prompt = _turns(chosen, "chosen")[:-1]
    else:
        used.add(prompt_field)
        value = record[prompt_field]
        if isinstance(value, str):
            extra = _optional_text(record, "input", used) if prompt_field == "instruction" else ""
            prompt = [{"role": "user", "content": f"{value}\n{extra}" if extra else value}]
        else:
            prompt = _turns(value, prompt_field)
    if isinstance(record.get("system"), str) and record["system"]:
        used.add("system")
        prompt.insert(0, {"role": "system", "content": record["system"]})
    return {
        "prompt": prompt,
        "chosen": _answer(record["chosen"], "chosen"),
        "rejected": _answer(record[rejected_field], rejected_field),
    }


def _check_characters(value: Any) -> None:
    """Refuse NUL bytes and lone surrogates: neither survives a tokenizer or a Parquet file unharmed."""
    if isinstance(value, str):
        if "\x00" in value:
            raise RecordError("nul_byte", f"NUL at character {value.index(chr(0))}")
        try:
            value.encode()
        except UnicodeEncodeError as error:
            raise RecordError("lone_surrogate", f"lone surrogate at character {error.start}") from None
    elif isinstance(value, list):
        for item in value:
            _check_characters(item)
    elif isinstance(value, dict):
        for item in value.values():
            _check_characters(item)


def coerce(
    record: Any, kind: str, *, default_id: str = "", default_source: str = "", text_fields: tuple[str, ...] = ()
) -> dict[str, Any]:
    """Turn one parsed record into a row of `SCHEMAS[kind]`.

    Args:
        record: a mapping as parsed from a file, in any known layout (see `layout`).
        kind: one of `KINDS`.
        default_id: id for a record that has none (the readers give `file:line`).
        default_source: source for a record that has none.
        text_fields: for documents, the fields whose values, joined by newlines, are the text;
            by default the first of text, content, raw_content, body, ..., or title+question+answer.

    Raises:
        RecordError: with a short `reason` (missing_field, wrong_type, unknown_layout, empty_text,
            nul_byte, lone_surrogate, not_an_object) and the field in `detail`.
    """
    if not isinstance(record, dict):
        raise RecordError("not_an_object", f"expected an object, got {_type_name(record)}")
    used: set[str] = {"meta", "source"}
    if kind == "document":
        row: dict[str, Any] = {"text": _document_text(record, used, text_fields)}
    elif kind == "conversation":
        row = {"messages": _conversation(record, used)}
    elif kind == "preference":
        row = _preference(record, used)
    else:
        row = {"messages": _safety(record, used), "category": _category(record, used)}
    for value in row.values():
        _check_characters(value)
    row["id"] = _identifier(record, used) or default_id
    source = record.get("source")
    row["source"] = source if isinstance(source, str) and source else default_source
    if source is not None and not isinstance(source, str):
        used.discard("source")
    row["meta"] = _meta(record, used)
    return row


_PLAIN = ({"id", "text", "source"}, {"id", "text"}, {"text", "source"}, {"text"})


def plain_document(record: Any) -> bool:
    """True for `{id, source, text}` of non-empty strings as orjson gives them: nothing to coerce or to check.

    Nine in ten documents look like this; the short cut reads them four times faster.
    """
    if type(record) is not dict or record.keys() not in _PLAIN:
        return False
    if any(type(v) is not str for v in record.values()):
        return False
    text = record["text"]
    return not (not text or text.isspace() or "\x00" in text or not record.get("id", "x"))


def _safety(record: Fields, used: set[str]) -> list[Message]:
    if layout(record) in ("unknown", "document"):
        field = _first(record, ("prompt", *_TEXT_FIELDS, *_QUESTION_FIELDS))
        if field is None:
            raise RecordError("missing_field", "a safety record needs a conversation or a prompt")
        return [{"role": "user", "content": _text(record, field, used)}]
    return _conversation(record, used)


def _category(record: Fields, used: set[str]) -> str | None:
    field = _first(record, ("category", "type", "typical", "label"))
    if field is None or record[field] is None:
        return None
    used.add(field)
    return str(record[field])


def _identifier(record: Fields, used: set[str]) -> str:
    field = _first(record, _ID_FIELDS)
    value = record.get(field) if field else None
    if value is None or isinstance(value, (dict, list, float)):
        return ""
    used.add(str(field))
    identifier = str(value)
    _check_characters(identifier)
    return identifier


def _meta(record: Fields, used: set[str]) -> str | None:
    extra = {k: v for k, v in record.items() if k not in used}
    meta = record.get("meta")
    if isinstance(meta, str) and not extra:
        return meta
    if meta is not None:
        parsed = meta
        if isinstance(meta, str):
            try:
                parsed = orjson.loads(meta)
            except orjson.JSONDecodeError:
                parsed = meta
        if not extra and isinstance(parsed, dict):
            return orjson.dumps(parsed, option=orjson.OPT_SORT_KEYS).decode()
        extra = {**(parsed if isinstance(parsed, dict) else {"meta": parsed}), **extra}
    if not extra:
        return None
    try:
        return orjson.dumps(extra, default=str).decode()
    except TypeError as error:  # integers over 64 bits, surrogates in a key
        raise RecordError("bad_field", f"an extra field cannot be kept: {error}") from None


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
