"""Conversations of records in any layout that holds one, with their system messages and their tools."""

from __future__ import annotations

from collections.abc import Callable

from raylib.errors import RecordError
from raylib.exact import dumps, loads
from raylib.messages import Message
from raylib.reading.dialogues import belle_turns, moss_turns
from raylib.reading.fields import Fields, first_field, lacking, listed, optional_text, storable, text_in, type_name
from raylib.reading.layouts import (
    ANSWER_FIELDS,
    QUESTION_FIELDS,
    REASONING_FIELDS,
    TEXT_FIELDS,
    TURN_FIELDS,
    conversation_layout,
    first_fit,
    label_field,
    layout,
    possible,
    unknown_layout,
)
from raylib.reading.turns import answer_message, is_message_list, messages_in, paired, turns_of

__all__ = ["conversation_of", "history_of", "messages_of", "prompt_and_answer", "safety_of", "tools_of", "with_system"]

_QUESTIONS: dict[str, tuple[str, ...]] = {
    "alpaca": ("instruction",),
    "belle": ("instruction",),
    "mnbvc": ("问",),
    "firefly": ("input",),
    "pair": ("input",),
    "prompt": ("prompt",),
    "r1": ("question", "instruction", "prompt", "query", "problem", "Question", "问", "input"),
}
_ANSWERS: dict[str, tuple[str, ...]] = {
    "alpaca": ("output",),
    "belle": ("output",),
    "mnbvc": ("答",),
    "firefly": ("target",),
    "r1": ("output", "answer", "response", "completion", "content", "solution", "Response", "答"),
}


def conversation_of(record: Fields, used: set[str]) -> list[Message]:
    """The messages of a record of conversations.

    Args:
        record: The record, null fields left out.
        used: Names of fields; those that the messages come from are added.

    Raises:
        RecordError: The record holds no conversation, or is of another kind, or a field has a wrong type.
    """
    seen = possible(frozenset(record))
    if seen.preferences and first_fit(seen.preferences, record) is not None:
        raise RecordError("preference", "the record has a chosen and a rejected answer: it belongs to kind preference")
    found = first_fit(seen.conversations, record)
    messages = _messages(record, "" if found is None else found.name, used)
    label = label_field(record) if seen.labelled else None
    if label is not None:
        raise RecordError(
            "feedback",
            f"{label!r} says whether the answer is good: the record belongs to kind feedback; as a conversation a bad "
            "answer would be learnt like a good one",
        )
    return messages


def messages_of(record: Fields, used: set[str]) -> list[Message]:
    """The messages of a record in any layout that holds a conversation.

    Args:
        record: The record, null fields left out.
        used: Names of fields; those that the messages come from are added.

    Raises:
        RecordError: The record holds no conversation, or a field has a wrong type.
    """
    return _messages(record, conversation_layout(record), used)


def _messages(record: Fields, found: str, used: set[str]) -> list[Message]:
    """The messages of a record in a layout; the empty name is none."""
    if not found:
        raise unknown_layout(record)
    read = _READERS.get(found)
    if read is not None:
        messages = read(record, used)
    else:
        asked, answered = _question_and_answer(record, found, used)
        messages = [*asked, *answered]
    messages = with_system(messages, record, used)
    for message in messages:
        if _says(message):
            break
    else:
        raise RecordError("empty_text", "the conversation has no text")
    return messages


def prompt_and_answer(record: Fields, used: set[str]) -> tuple[list[Message], list[Message]]:
    """The messages of a record in two: those before the answer, and the answer.

    The answer is a field of the record, or else what follows the last message that is not the assistant's or a tool's.

    Args:
        record: The record, null fields left out.
        used: Names of fields; those that the messages come from are added.

    Raises:
        RecordError: The record holds no conversation, or a field has a wrong type.
    """
    found = conversation_layout(record)
    if found and found not in _READERS:
        asked, answered = _question_and_answer(record, found, used)
        return with_system(asked, record, used), answered
    messages = messages_of(record, used)
    begin = 1 + max((i for i, m in enumerate(messages) if m["role"] not in ("assistant", "tool")), default=-1)
    return messages[:begin], messages[begin:]


def _says(message: Message) -> bool:
    content = message["content"]
    if isinstance(content, str) and content and not content.isspace():
        return True
    return bool(message.get("tool_calls") or message.get("reasoning_content"))


def _turns_in(*names: str) -> Callable[[Fields, set[str]], list[Message]]:
    """A reader of the first of these fields, a list of turns."""

    def read(record: Fields, used: set[str]) -> list[Message]:
        field = first_field(record, names) or names[0]
        used.add(field)
        return turns_of(listed(record[field]), field)

    return read


def _moss(record: Fields, used: set[str]) -> list[Message]:
    used.add("chat")
    messages = moss_turns(record["chat"], "chat")
    instruction = record.get("meta_instruction")
    if isinstance(instruction, str):
        used.add("meta_instruction")
        messages.insert(0, {"role": "system", "content": instruction})
    return messages


_READERS: dict[str, Callable[[Fields, set[str]], list[Message]]] = {
    "data": _turns_in("data"),
    "moss": _moss,
    "sharegpt": _turns_in(*TURN_FIELDS),
    "openai": _turns_in("messages"),
}


def with_system(messages: list[Message], record: Fields, used: set[str]) -> list[Message]:
    """The messages, with the system prompt that is a field of the record before them.

    One that says something else than the system message that is there stays unused, so that it is kept in `meta`.

    Args:
        messages: The messages of the record.
        record: The record, null fields left out.
        used: Names of fields; the one that the prompt comes from is added.
    """
    field = "system" if "system" in record else "system_prompt"
    text = record.get(field)
    if not isinstance(text, str):
        return messages
    first = messages[0] if messages and messages[0]["role"] == "system" else None
    if not text or first is None or first["content"] == text:
        used.add(field)
    if not text or first is not None:
        return messages
    return [{"role": "system", "content": text}, *messages]


def tools_of(record: Fields, used: set[str]) -> str | None:
    """The tools of a record, as JSON text; None if it has none.

    Args:
        record: The record, null fields left out.
        used: Names of fields; the one that the tools come from is added.

    Raises:
        RecordError: The field is neither a list of objects nor the JSON of one.
    """
    field = "tools" if "tools" in record else "functions"
    if field not in record:
        return None
    used.add(field)
    value = record[field]
    if isinstance(value, str):
        value = _parsed(value, field) if value.strip() else []
    value = [value] if isinstance(value, dict) else value
    if not isinstance(value, list):
        raise RecordError("wrong_type", f"field {field!r} should be a list of tools, is {type_name(value)}")
    tools = [_parsed(tool, f"{field}[{i}]") if isinstance(tool, str) else tool for i, tool in enumerate(value)]
    if not tools:
        return None
    tools = [_tool(tool, f"{field}[{i}]") for i, tool in enumerate(tools)]
    storable(tools, field)
    return dumps(tools)


def _tool(value: object, where: str) -> dict[str, object]:
    """A tool as chat templates take it; what has a name itself is the function of one."""
    if not isinstance(value, dict):
        raise RecordError("wrong_type", f"{where} should be an object, is {type_name(value)}")
    return value if "function" in value or "name" not in value else {"type": "function", "function": value}


def _parsed(text: str, where: str) -> object:
    try:
        return loads(text)
    except RecordError as error:
        raise RecordError("wrong_type", f"{where} is not JSON: {error.detail}") from None


def _question_and_answer(record: Fields, found: str, used: set[str]) -> tuple[list[Message], list[Message]]:
    """The messages of a record whose question and answer are fields: with history, and with reasoning."""
    question = first_field(record, _QUESTIONS.get(found, QUESTION_FIELDS)) or ""
    answer = first_field(record, _ANSWERS.get(found, (*ANSWER_FIELDS, "completion"))) or ""
    if answer == question:  # only of a layout in which one name may be either
        raise unknown_layout(record)
    asked = _asked(record, question, used)
    answered = _answered(record, answer, used)
    reasoning = first_field(record, REASONING_FIELDS) if found == "r1" else None
    if reasoning is not None and "reasoning_content" not in answered[-1]:
        thought = text_in(record, reasoning, used).strip("\r\n")
        answered[-1] |= {"reasoning_content": thought} if thought else {}
    return [*history_of(record, used), *asked], answered


def _asked(record: Fields, field: str, used: set[str]) -> list[Message]:
    """The messages of a question: mostly one, but a prompt may be a list, and an instruction of BELLE a dialogue."""
    value = messages_in(record[field])
    if is_message_list(value):
        used.add(field)
        return turns_of(value, field)
    asked = text_in(record, field, used)
    if field == "instruction":
        dialogue = belle_turns(asked) if "Human" in asked[:20] else None
        if dialogue is not None and not record.get("input"):
            used.add("input")
            return dialogue
        more = first_field(record, ("input", "context") if "output" not in record else ("input",))
        extra = optional_text(record, more, used) if more else ""
        asked = f"{asked}\n{extra}" if extra else asked
    elif field == "input" and isinstance(record.get("instruction"), str):
        before = text_in(record, "instruction", used)
        asked = f"{before}\n{asked}" if before else asked
    elif field == "ask":
        title = record.get("title")
        if isinstance(title, str) and title not in asked:
            asked = f"{text_in(record, 'title', used)}\n{asked}"
    return [{"role": "user", "content": asked}]


def _answered(record: Fields, field: str, used: set[str]) -> list[Message]:
    """The messages of an answer: mostly one."""
    value = messages_in(record[field])
    if isinstance(value, str):
        used.add(field)
        return [answer_message(value)]
    if is_message_list(value) or (isinstance(value, dict) and is_message_list([value])):
        used.add(field)
        return turns_of(value if isinstance(value, list) else [value], field)
    return [answer_message(text_in(record, field, used))]


def history_of(record: Fields, used: set[str]) -> list[Message]:
    """Earlier turns in `history`, a list of (question, answer), or of messages.

    Args:
        record: The record, null fields left out.
        used: Names of fields; `history` is added.

    Raises:
        RecordError: An element is neither; names its place.
    """
    if "history" not in record:
        return []
    used.add("history")
    history = listed(record["history"])
    if history == "":
        return []
    if is_message_list(history):
        return turns_of(history, "history")
    messages: list[Message] = []
    for i, pair in enumerate(history if isinstance(history, list) else [history]):
        messages += paired(pair, f"history[{i}]", "no [question, answer]")
    return messages


def safety_of(record: Fields, used: set[str]) -> list[Message]:
    """The messages of a safety record: a conversation, or a prompt alone.

    Args:
        record: The record, null fields left out.
        used: Names of fields; those that the messages come from are added.

    Raises:
        RecordError: The record holds neither, or a field has a wrong type.
    """
    if layout(record) in ("unknown", "document"):
        field = first_field(record, ("prompt", *TEXT_FIELDS, *QUESTION_FIELDS))
        if field is None:
            raise lacking(record, "a safety record needs a conversation or a prompt")
        return [{"role": "user", "content": text_in(record, field, used)}]
    return messages_of(record, used)
