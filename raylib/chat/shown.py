"""Whether what a record says stands in what a template wrote: what it leaves out would be lost without a word."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence

from raylib.errors import RecordError
from raylib.messages import AnyMessage

__all__ = ["check_calls", "check_shown", "check_tools", "is_shown"]


def is_shown(text: str, written: str) -> bool:
    """Whether a text stands in what a template wrote: as it is, without the white space around it, or as JSON.

    Args:
        text: Text of a record.
        written: What the template wrote.
    """
    bare = text.strip()
    if not bare or bare in written:
        return True
    if any(json.dumps(bare, ensure_ascii=e)[1:-1] in written for e in (False, True)):
        return True
    lines = [line.strip() for line in bare.splitlines() if line.strip()]
    if len(lines) > 1 and all(line in written for line in lines):  # some templates trim or indent lines
        return True
    return _as_json(bare, written)


def _as_json(text: str, written: str) -> bool:
    """Whether a JSON text was read and written again in another way."""
    if text[:1] not in "{[":
        return False
    try:
        value = json.loads(text)
    except ValueError:
        return False
    return all(leaf in written for leaf in _leaves(value))


def _leaves(value: object) -> list[str]:
    """Keys and values of a JSON value, as text."""
    if isinstance(value, Mapping):
        return [str(k) for k in value] + [leaf for v in value.values() for leaf in _leaves(v)]
    if isinstance(value, list):
        return [leaf for v in value for leaf in _leaves(v)]
    return [value] if isinstance(value, str) else []


def check_shown(messages: Sequence[AnyMessage], written: str) -> None:
    """Check that the template wrote what every message of a prompt says. Of earlier answers, reasoning may be missing.

    Args:
        messages: The messages.
        written: What the template wrote.

    Raises:
        RecordError: A message is missing.
    """
    for number, message in enumerate(messages):
        content = message.get("content")
        if isinstance(content, str) and not is_shown(content, written):
            raise RecordError(
                "not_rendered",
                f"the chat template leaves out what message {number} says (role {message.get('role')})"
                + ("; developer: system renders it as a system message" if message.get("role") == "developer" else ""),
            )
        check_calls(message, written, number)


def check_calls(message: AnyMessage, written: str, number: int) -> None:
    """Check that the template wrote the calls of tools of a message.

    Args:
        message: The message.
        written: What the template wrote.
        number: Number of the message, for the error.

    Raises:
        RecordError: The name or an argument of a call is missing.
    """
    calls = message.get("tool_calls")
    for call in calls if isinstance(calls, list) else ():
        function = call.get("function", call) if isinstance(call, Mapping) else {}
        name = str(function.get("name", "")) if isinstance(function, Mapping) else ""
        arguments = function.get("arguments") if isinstance(function, Mapping) else None
        text = arguments if isinstance(arguments, str) else json.dumps(arguments or {}, ensure_ascii=False)
        if name not in written or not (is_shown(text, written) or _as_json(text, written)):
            raise RecordError(
                "tools_not_rendered", f"the chat template leaves out the call of {name!r} in message {number}"
            )


def check_tools(tools: Sequence[object] | None, written: str) -> None:
    """Check that the template wrote the tools of a record.

    Args:
        tools: Schemas of the tools.
        written: What the template wrote.

    Raises:
        RecordError: A tool is missing.
    """
    for tool in tools or ():
        function = tool.get("function", tool) if isinstance(tool, Mapping) else {}
        name = function.get("name") if isinstance(function, Mapping) else None
        if isinstance(name, str) and name not in written:
            raise RecordError("tools_not_rendered", f"the chat template leaves out the tool {name!r}")
