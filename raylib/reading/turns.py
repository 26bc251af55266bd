"""Messages as data sets spell them: roles, content, reasoning, calls of tools, flags. No key of a message is lost."""

from __future__ import annotations

import re
from collections.abc import Mapping

from raylib.errors import RecordError
from raylib.exact import loads
from raylib.messages import Message
from raylib.reading.fields import first_field, listed, storable, type_name
from raylib.reading.roles import PLAIN_ROLES, role_of

__all__ = ["MESSAGE_KEYS", "answer_message", "is_message_list", "messages_in", "paired", "truth", "turns_of"]

MESSAGE_KEYS: dict[str, tuple[str, ...]] = {
    "role": ("role", "from", "speaker"),
    "content": ("content", "value", "text", "utterance"),
    "reasoning_content": ("reasoning_content", "reasoning", "thinking"),
    "tool_calls": ("tool_calls", "function_call"),
    "tool_call_id": ("tool_call_id",),
    "name": ("name",),
    "loss": ("loss", "weight", "train", "output_with_loss"),
}
"""Each field of a message, and the keys that it is read from; the first that is there counts."""

_ASKS = ("human", "user", "input", "question", "instruction", "prompt", "问")
_ANSWERS = ("assistant", "gpt", "bot", "output", "answer", "response", "答")
_THOUGHT = re.compile(r"\s*<think>(.*?)</think>[\r\n]*(.*)\Z", re.DOTALL)
_TRUTHS = {"true": True, "false": False, "1": True, "0": False}


def turns_of(value: object, field: str) -> list[Message]:
    """Messages from a list of messages of any spelling, of questions with answers, or of alternating strings.

    Args:
        value: What the field holds.
        field: Name of the field, for errors.

    Raises:
        RecordError: It is no list, or an element of it is no message; names its place.
    """
    if not isinstance(value, list):
        raise RecordError("wrong_type", f"field {field!r} should be a list, is {type_name(value)}")
    messages: list[Message] = []
    for i, turn in enumerate(value):
        if isinstance(turn, dict):
            plain = _plain(turn)
            if plain is not None:
                messages.append(plain)
            else:
                messages += _of_object(turn, f"{field}[{i}]")
        elif isinstance(turn, str):
            messages.append(answer_message(turn) if i % 2 else {"role": "user", "content": turn})
        else:
            messages += paired(turn, f"{field}[{i}]", "neither a string nor a message with role/from")
    return messages


def paired(turn: object, where: str, otherwise: str) -> list[Message]:
    """The two messages of a list of a question and its answer.

    Raises:
        RecordError: It is anything else; `otherwise` says what it should be.
    """
    if not (isinstance(turn, list) and len(turn) == 2 and all(isinstance(p, str) for p in turn)):
        raise RecordError("wrong_type", f"{where} is {otherwise}")
    return [{"role": "user", "content": turn[0]}, answer_message(turn[1])]


def is_message_list(value: object) -> bool:
    """Whether a value is a list of messages: of objects that name a role."""
    return isinstance(value, list) and bool(value) and all(isinstance(m, dict) and _role_key(m) for m in value)


def messages_in(value: object) -> object:
    """The messages that a JSON string spells; any other value as it is, for a text may look like a list, too."""
    if isinstance(value, str) and "[" not in value[:20]:
        return value
    found = listed(value)
    return found if is_message_list(found) else value


def answer_message(text: str) -> Message:
    """An assistant's message, with what it thinks between `<think>` and `</think>` as its reasoning."""
    found = _THOUGHT.match(text) if "</think>" in text else None
    if found is None:
        return {"role": "assistant", "content": text}
    return {"role": "assistant", "content": found[2], "reasoning_content": found[1].strip("\r\n")}


def truth(value: object) -> bool | None:
    """A flag as data sets write it: a boolean, 0 or 1, or one of these as a string; None if it is anything else."""
    if isinstance(value, bool):
        return value
    if isinstance(value, (int, float)) and value in (0, 1):
        return bool(value)
    return _TRUTHS.get(value.strip().lower()) if isinstance(value, str) else None


def _plain(turn: Mapping[str, object]) -> Message | None:
    """The message that has only role and content, as nine in ten do; None if it needs more than that."""
    if len(turn) != 2:
        return None
    role, content = turn.get("role"), turn.get("content")
    if role is None:
        role, content = turn.get("from"), turn.get("value")
    if type(content) is not str or type(role) is not str:
        return None
    ours = PLAIN_ROLES.get(role)
    if ours is None or (ours == "assistant" and content.startswith(("<think>", "\n", " "))):
        return None
    return {"role": ours, "content": content}


def _role_key(turn: Mapping[str, object]) -> str | None:
    return next((k for k in MESSAGE_KEYS["role"] if turn.get(k) is not None), None)


def _of_object(turn: Mapping[str, object], where: str) -> list[Message]:
    """The message of an object, or the messages of one that holds a question and its answer."""
    given = {k: v for k, v in turn.items() if v is not None}
    _spread_extra(given)
    role_key = _role_key(given)
    if role_key is not None:
        return [_message(given, role_key, where)]
    asked, answered = first_field(given, _ASKS), first_field(given, _ANSWERS)
    if answered is None or (asked is None and "system" not in given):
        raise RecordError("wrong_type", f"{where} is neither a string nor a message with role/from")
    before: list[Message] = []
    for name, role in (("system", "system"), (asked, "user")):
        text = given.pop(name, "") if name else ""
        if not isinstance(text, str):
            raise RecordError("wrong_type", f"{where}.{name} should be a string, is {type_name(text)}")
        if text or name not in (None, "system", "input"):  # a turn of XTuner may have no question
            before.append({"role": role, "content": text})
    answer = {"role": "assistant", "content": given.pop(answered), **given}
    return [*before, _message(answer, "role", where)]


def _spread_extra(given: dict[str, object]) -> None:
    """Put the keys of `extra`, in which we store the keys that have no column, back where they were."""
    extra = given.pop("extra", None)
    if extra is None:
        return
    stored = extra
    if isinstance(extra, str):
        try:
            stored = loads(extra)
        except RecordError:
            stored = None
    if isinstance(stored, dict) and "role" in given and not stored.keys() & given.keys():
        given.update(stored)
    else:
        given["extra"] = {"extra": extra}


def _message(given: dict[str, object], role_key: str, where: str) -> Message:
    """A message of which every key is used, or kept under its own name."""
    role, is_call = role_of(given.pop(role_key), where)
    message: Message = {"role": role, "content": None}
    content_key = first_field(given, MESSAGE_KEYS["content"])
    if content_key is not None:
        message["content"] = _content(given.pop(content_key), f"{where}.{content_key}", given)
    _take_reasoning(message, given)
    if is_call and not given.get("tool_calls"):
        _content_to_calls(message, where)
    _take_calls(message, given, where)
    _take_names(message, given, where)
    if message["content"] is None and not (message.get("tool_calls") or message.get("reasoning_content")):
        raise RecordError("missing_field", f"{where}.content is missing, and there are no tool_calls and no reasoning")
    if given:
        storable(given, f"{where}: a key")
        message.update(given)
    return message


def _content(value: object, where: str, given: dict[str, object]) -> str:
    """The content of a message; of OpenAI's content parts only text can be kept."""
    if isinstance(value, list):
        parts: list[object] = [p.get("text") for p in value if isinstance(p, dict) and p.get("type") == "text"]
        texts = [p for p in parts if isinstance(p, str)]
        if len(texts) != len(value):
            raise RecordError("wrong_type", f"{where}: only text content parts are supported")
        if any(p.keys() - {"type", "text"} for p in value):
            given["content_parts"] = value  # marks on single parts
        return "".join(texts)
    if not isinstance(value, str):
        raise RecordError("wrong_type", f"{where} should be a string, is {type_name(value)}")
    return value


def _take_reasoning(message: Message, given: dict[str, object]) -> None:
    """Move the reasoning out of its key, or out of the beginning of an assistant's content."""
    for key in MESSAGE_KEYS["reasoning_content"]:
        value = given.get(key)
        if isinstance(value, str) and message.get("reasoning_content", value) == value:
            message["reasoning_content"] = given.pop(key)
    if "reasoning_content" in given:  # neither a string nor spelled like a key that is kept
        value = given["reasoning_content"]
        raise RecordError("wrong_type", f"reasoning_content should be a string, is {type_name(value)}")
    content = message["content"]
    if message["role"] != "assistant" or not isinstance(content, str):
        return
    apart = answer_message(content)
    reasoning = apart.get("reasoning_content")
    if reasoning is not None and message.get("reasoning_content", reasoning) == reasoning:
        message.update(apart)


def _content_to_calls(message: Message, where: str) -> None:
    """Turn ShareGPT's `function_call`, whose content is JSON, into calls of tools."""
    content = message["content"]
    try:
        calls = loads(content) if isinstance(content, str) else None
    except RecordError:
        calls = None
    calls = [calls] if isinstance(calls, dict) else calls
    if not isinstance(calls, list) or not calls or not all(isinstance(c, dict) and "name" in c for c in calls):
        raise RecordError("wrong_value", f"{where}: a function_call should be JSON with name and arguments")
    message["tool_calls"] = [_call(c) for c in calls]
    message["content"] = None


def _call(function: object) -> dict[str, object]:
    return {"type": "function", "function": function}


def _take_calls(message: Message, given: dict[str, object], where: str) -> None:
    """Move `tool_calls`, or the older `function_call`, to the message."""
    calls = given.pop("tool_calls", None)
    if isinstance(calls, str):
        calls = _json(calls, f"{where}.tool_calls") if calls.strip() else []
    older = given.get("function_call")
    if not calls and older is not None:
        given.pop("function_call")
        older = _json(older, f"{where}.function_call") if isinstance(older, str) else older
        if not isinstance(older, dict) or "name" not in older:
            raise RecordError("wrong_type", f"{where}.function_call should be an object with name and arguments")
        calls = [_call(older)]
    if calls is None or calls == []:
        return  # an empty list calls nothing
    if not isinstance(calls, list) or not all(isinstance(c, dict) for c in calls):
        raise RecordError("wrong_type", f"{where}.tool_calls should be a list of objects, is {type_name(calls)}")
    storable(calls, f"{where}.tool_calls")
    message["tool_calls"] = calls


def _json(text: str, where: str) -> object:
    try:
        return loads(text)
    except RecordError as error:
        raise RecordError("wrong_type", f"{where} is not JSON: {error.detail}") from None


def _take_names(message: Message, given: dict[str, object], where: str) -> None:
    """Move what a tool's result answers, who speaks, and whether the turn is learnt, to the message."""
    for key in ("tool_call_id", "name"):
        value = given.pop(key, None)
        if value is None:
            continue
        if isinstance(value, bool) or not isinstance(value, (str, int)):
            raise RecordError("wrong_type", f"{where}.{key} should be a string, is {type_name(value)}")
        message[key] = str(value)
    for key in MESSAGE_KEYS["loss"]:
        value = given.pop(key, None)
        if value is None:
            continue
        learnt = truth(value)
        if learnt is None:
            raise RecordError("wrong_value", f"{where}.{key} is {value!r}; a turn is learnt (1) or it is not (0)")
        if message.get("loss", learnt) != learnt:
            raise RecordError("wrong_value", f"{where}.{key} says {learnt}, another key of the turn the opposite")
        message["loss"] = learnt
