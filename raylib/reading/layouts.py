"""Known layouts of records (Alpaca, ShareGPT, OpenAI messages, preference pairs) and how to recognise them."""

from __future__ import annotations

from collections.abc import Mapping

from raylib.errors import RecordError

__all__ = [
    "ID_FIELDS",
    "Fields",
    "Message",
    "conversation_of",
    "document_text",
    "first_field",
    "guess_kind",
    "layout",
    "preference_of",
    "safety_of",
    "type_name",
]


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
ID_FIELDS = ("id", "uniqueKey", "uuid", "doc_id")
_REJECTED_FIELDS = ("rejected", "reject")
Fields = Mapping[str, object]
Message = dict[str, str]
_LAYOUTS = (  # the first whose fields are all there
    ("sharegpt", ("conversations",)),
    ("openai", ("messages",)),
    ("alpaca", ("instruction", "output")),
)


def _text(record: Fields, name: str, used: set[str]) -> str:
    """The string in a field, which counts as used from then on."""
    value = record[name]
    used.add(name)
    if not isinstance(value, str):
        raise RecordError("wrong_type", f"field {name!r} should be a string, is {type_name(value)}")
    return value


def _optional_text(record: Fields, name: str, used: set[str]) -> str:
    """The string in a field; empty if the field is missing or null."""
    if record.get(name) is None:
        used.add(name)
        return ""
    return _text(record, name, used)


def first_field(record: Fields, names: tuple[str, ...]) -> str | None:
    """The first of these fields that a record has."""
    return next((n for n in names if n in record), None)


_TYPE_NAMES = {dict: "an object", list: "a list", bool: "a boolean", int: "a number", float: "a number"}


def type_name(value: object) -> str:
    """The type of a value in the words of JSON, for error messages."""
    return "null" if value is None else _TYPE_NAMES.get(type(value), type(value).__name__)


def _message(role: object, content: object, where: str) -> Message:
    """A message with one of our roles; of OpenAI's content parts only text can be kept."""
    if role not in _ROLES:
        raise RecordError("wrong_value", f"{where}: unknown role {role!r}")
    if isinstance(content, list):
        parts: list[object] = [p.get("text") for p in content if isinstance(p, dict) and p.get("type") == "text"]
        texts = [p for p in parts if isinstance(p, str)]
        if len(texts) != len(content):
            raise RecordError("wrong_type", f"{where}: only text content parts are supported")
        content = "".join(texts)
    if not isinstance(content, str):
        raise RecordError("wrong_type", f"{where}: content should be a string, is {type_name(content)}")
    return {"role": _ROLES[str(role)], "content": content}


def _turns(value: object, field: str) -> list[Message]:
    """Messages from an OpenAI list, a ShareGPT list or alternating strings."""
    if not isinstance(value, list):
        raise RecordError("wrong_type", f"field {field!r} should be a list, is {type_name(value)}")
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
    if "chosen" in record and first_field(record, _REJECTED_FIELDS):
        return "preference"
    if isinstance(record.get("data"), list):
        return "data"
    for name, fields in _LAYOUTS:
        if all(field in record for field in fields):
            return name
    if first_field(record, _TEXT_FIELDS):
        return "document"
    if first_field(record, _QUESTION_FIELDS) and first_field(record, _ANSWER_FIELDS):
        return "qa"
    if "prompt" in record and first_field(record, (*_ANSWER_FIELDS, "completion")):
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


_TURN_FIELDS = {"data": "data", "sharegpt": "conversations", "openai": "messages"}


def conversation_of(record: Fields, used: set[str]) -> list[Message]:
    """The messages of a record in any layout that holds a conversation.

    Args:
        record: The record.
        used: Names of fields; those that the messages come from are added.

    Raises:
        RecordError: The record holds no conversation, or a field has a wrong type.
    """
    found = layout(record)
    if found in _TURN_FIELDS:
        field = _TURN_FIELDS[found]
        used.add(field)
        messages = _turns(record[field], field)
        system = record.get("system")
        if isinstance(system, str) and system and not (messages and messages[0]["role"] == "system"):
            messages.insert(0, {"role": "system", "content": system})
        used.add("system")
    elif found in ("alpaca", "qa", "prompt"):
        messages = _question_and_answer(record, found, used)
    else:
        raise RecordError(
            "unknown_layout",
            f"no conversation in fields {_names(record)}; expected messages, conversations, "
            "data, instruction+output, prompt+response or question+answer",
        )
    if not any(m["content"].strip() for m in messages):
        raise RecordError("empty_text", "the conversation has no text")
    return messages


def _names(record: Fields) -> str:
    """The fields of a record, for messages."""
    return ", ".join(sorted(map(str, record))[:12]) or "none"


def _lacking(record: Fields, needed: str) -> RecordError:
    """The error for a record without the fields that its kind needs."""
    return RecordError("missing_field", f"{needed}; fields are {_names(record)}")


def _question_and_answer(record: Fields, found: str, used: set[str]) -> list[Message]:
    """The messages of a record whose question and answer are fields, with history and system prompt."""
    question = "prompt" if found == "prompt" else first_field(record, _QUESTION_FIELDS)
    answer = first_field(record, (*_ANSWER_FIELDS, "completion"))
    assert question is not None
    assert answer is not None
    asked = _text(record, question, used)
    if found == "alpaca":
        extra = _optional_text(record, "input", used)
        asked = f"{asked}\n{extra}" if extra else asked
    elif question == "ask":
        title = record.get("title")
        if isinstance(title, str) and title not in asked:
            asked = f"{_text(record, 'title', used)}\n{asked}"
    messages = _history(record, used)
    messages += [
        {"role": "user", "content": asked},
        {"role": "assistant", "content": _text(record, answer, used)},
    ]
    if isinstance(record.get("system"), str) and record["system"]:
        messages.insert(0, {"role": "system", "content": _text(record, "system", used)})
    return messages


def _history(record: Fields, used: set[str]) -> list[Message]:
    """Earlier turns in `history`, a list of (question, answer)."""
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


def _document_fields(record: Fields) -> tuple[str, ...]:
    """The fields that hold a document's text: a text, or title, question and answer."""
    found = first_field(record, _TEXT_FIELDS)
    if found:
        return (found,)
    question, answer = first_field(record, _QUESTION_FIELDS), first_field(record, _ANSWER_FIELDS)
    if not (question or answer):
        return ()
    return tuple(n for n in ("title", question, answer) if n is not None and n in record)


def document_text(record: Fields, used: set[str], text_fields: tuple[str, ...]) -> str:
    """The text of a document.

    Args:
        record: The record.
        used: Names of fields; those that the text comes from are added.
        text_fields: Fields whose values, joined by newlines, are the text; if empty, the usual ones are looked for.

    Raises:
        RecordError: A field is missing or not a string, or all are empty.
    """
    names = text_fields or _document_fields(record)
    missing = [n for n in names if n not in record]
    if not names or missing:
        wanted = missing[0] if missing else "text"
        raise _lacking(record, f"no field {wanted!r}")
    parts = [_text(record, n, used) for n in names]
    text = "\n".join(p for p in parts if p)
    if not text.strip():
        raise RecordError("empty_text", f"field {'+'.join(names)} is empty")
    return text


def _answer(value: object, field: str) -> str:
    """An answer given as a string, as a message, or as a whole dialogue (its last turn)."""
    if isinstance(value, str):
        return value
    if isinstance(value, dict):
        return _turns([value], field)[0]["content"]
    if isinstance(value, list):
        turns = _turns(value, field)
        if turns and isinstance(value[0], dict):
            return turns[-1]["content"]
        if len(value) == 1:
            return turns[0]["content"]
    raise RecordError("wrong_type", f"field {field!r} should be a string or a message, is {type_name(value)}")


def preference_of(record: Fields, used: set[str]) -> dict[str, object]:
    """Prompt, chosen and rejected answer of a preference.

    Args:
        record: The record.
        used: Names of fields; those that the values come from are added.

    Raises:
        RecordError: A part is missing, or a field has a wrong type.
    """
    rejected_field = first_field(record, _REJECTED_FIELDS)
    if "chosen" not in record or rejected_field is None:
        raise _lacking(record, "a preference needs 'chosen' and 'rejected' (or 'reject')")
    used.update(("chosen", rejected_field))
    prompt_field = first_field(record, ("prompt", "conversations", "messages", "question", "instruction"))
    if prompt_field is None:
        chosen = record["chosen"]
        if not (isinstance(chosen, list) and len(chosen) > 1):
            raise _lacking(record, "a preference needs 'prompt' or 'conversations'")
        prompt = _turns(chosen, "chosen")[:-1]
    else:
        used.add(prompt_field)
        value = record[prompt_field]
        if isinstance(value, str):
            extra = _optional_text(record, "input", used) if prompt_field == "instruction" else ""
            prompt = [{"role": "user", "content": f"{value}\n{extra}" if extra else value}]
        else:
            prompt = _turns(value, prompt_field)
    system = record.get("system")
    if isinstance(system, str) and system:
        used.add("system")
        prompt.insert(0, {"role": "system", "content": system})
    return {
        "prompt": prompt,
        "chosen": _answer(record["chosen"], "chosen"),
        "rejected": _answer(record[rejected_field], rejected_field),
    }


def safety_of(record: Fields, used: set[str]) -> list[Message]:
    """The messages of a safety record: a conversation, or a prompt alone.

    Args:
        record: The record.
        used: Names of fields; those that the messages come from are added.

    Raises:
        RecordError: The record holds neither, or a field has a wrong type.
    """
    if layout(record) in ("unknown", "document"):
        field = first_field(record, ("prompt", *_TEXT_FIELDS, *_QUESTION_FIELDS))
        if field is None:
            raise _lacking(record, "a safety record needs a conversation or a prompt")
        return [{"role": "user", "content": _text(record, field, used)}]
    return conversation_of(record, used)
