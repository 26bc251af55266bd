"""Dialogues that are written into strings: Anthropic's `Human:` and `Assistant:`, BELLE's, and the turns of MOSS."""

from __future__ import annotations

import re
from collections.abc import Mapping

from raylib.errors import RecordError
from raylib.messages import Message
from raylib.reading.fields import storable, type_name
from raylib.reading.turns import answer_message

__all__ = ["anthropic_turns", "belle_turns", "moss_turns"]

_ANTHROPIC = re.compile(r"(?:\A\s*|\n\n)(Human|Assistant):[ ]?")
_BELLE = re.compile(r"(?:\A|\n)\s*(Human|Assistant)[ ]?[:：]")
_MOSS_MARK = re.compile(r"\A\s*<\|[^|]*\|>:?[ ]?|<eo[a-z]>\s*\Z")
_MOSS_CALL = re.compile(r"([A-Za-z_]\w*)\((.*?)\)\s*(?:,\s*(?=[A-Za-z_]\w*\()|\Z)", re.DOTALL)
_MOSS_KEYS = ("Human", "Inner Thoughts", "Commands", "Tool Responses", "MOSS")


def anthropic_turns(text: str) -> list[Message] | None:
    """The turns of a text as hh-rlhf writes dialogues, each begun by an empty line and `Human:` or `Assistant:`.

    Args:
        text: A dialogue; a last turn of the assistant may be empty.

    Returns:
        Its messages; None if the text does not begin with `Human:`.
    """
    return _marked(text, _ANTHROPIC)


def belle_turns(text: str) -> list[Message] | None:
    """The turns of a text as BELLE writes dialogues, each on a line of its own.

    Args:
        text: An instruction.

    Returns:
        Its messages without the empty last one; None if it is not a dialogue of several turns.
    """
    messages = _marked(text, _BELLE)
    if messages is None or len(messages) < 2:
        return None
    return messages[:-1] if messages[-1] == {"role": "assistant", "content": ""} else messages


def _marked(text: str, mark: re.Pattern[str]) -> list[Message] | None:
    """The parts of a text between marks; None if it does not begin with a mark of the user."""
    begin = mark.match(text)
    if begin is None or begin[1] != "Human":
        return None
    parts = mark.split(text)[1:]
    messages: list[Message] = []
    for role, content in zip(parts[::2], parts[1::2], strict=True):
        said = content.strip()
        messages.append(answer_message(said) if role == "Assistant" else {"role": "user", "content": said})
    return messages


def moss_turns(value: object, field: str) -> list[Message]:
    """The messages of MOSS's `chat`: an object of `turn_1`, `turn_2`, ..., each with what was said, thought and called.

    Args:
        value: What the field holds.
        field: Name of the field, for errors.

    Raises:
        RecordError: A turn has another shape; names it.
    """
    if not isinstance(value, dict):
        raise RecordError("wrong_type", f"field {field!r} should be an object of turns, is {type_name(value)}")
    messages: list[Message] = []
    for name in sorted(value, key=_number):
        turn, where = value[name], f"{field}.{name}"
        if not isinstance(turn, dict) or _number(name) < 0:
            raise RecordError("wrong_type", f"{where} should be a turn such as turn_1, an object")
        messages += _moss_turn(turn, where)
    return messages


def _number(name: object) -> int:
    digits = str(name).rpartition("_")[2]
    return int(digits) if digits.isdecimal() else -1


def _moss_turn(turn: Mapping[str, object], where: str) -> list[Message]:
    """The messages of a turn: the user's, a call of tools and its results if there is one, and the answer."""
    said: dict[str, str] = {}
    for key in _MOSS_KEYS:
        value = turn.get(key)
        if value is None:
            continue
        if not isinstance(value, str):
            raise RecordError("wrong_type", f"{where}.{key} should be a string, is {type_name(value)}")
        text = _MOSS_MARK.sub("", value)
        if key in ("Human", "MOSS") or text.strip() not in ("", "None"):
            said[key] = text
    others = {k: v for k, v in turn.items() if k not in _MOSS_KEYS and v is not None}
    storable(others, f"{where}: a key")
    messages: list[Message] = []
    if "Human" in said:
        messages.append({"role": "user", "content": said["Human"]})
    thought = {"reasoning_content": said["Inner Thoughts"]} if "Inner Thoughts" in said else {}
    if "Commands" in said:
        calls = _moss_calls(said["Commands"], where)
        messages.append({"role": "assistant", "content": None, **thought, "tool_calls": calls})
        thought = {}
    if "Tool Responses" in said:
        messages.append({"role": "tool", "content": said["Tool Responses"]})
    if "MOSS" not in said:
        if others or thought:
            raise RecordError("missing_field", f"{where}.MOSS is missing")
        return messages
    return [*messages, {"role": "assistant", "content": said["MOSS"], **thought, **others}]


def _moss_calls(commands: str, where: str) -> list[dict[str, object]]:
    """The calls in a list such as `Search("..."), Calculate("...")`."""
    found = list(_MOSS_CALL.finditer(commands))
    if not found or "".join(m[0] for m in found).strip() != commands.strip():
        raise RecordError("wrong_value", f'{where}.Commands should be calls such as Search("...")')
    return [
        {"type": "function", "function": {"name": m[1], "arguments": {"input": m[2].strip().strip("\"'")}}}
        for m in found
    ]
