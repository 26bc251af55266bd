"""Messages as a reader is shown them: answers, and conversations with their reasoning and their calls of tools."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping, Sequence

from raylib.messages import Message

__all__ = ["answer_text", "asked_of", "calls_text", "reasoning_of", "shortened", "transcript"]


def _string(value: object) -> str:
    """A text; empty for what is no text, such as the content of a message that only calls tools."""
    return value if isinstance(value, str) else ""


def reasoning_of(message: Mapping[str, object]) -> str:
    """What a message thought before it spoke; empty for nothing.

    Args:
        message: The message.
    """
    return _string(message.get("reasoning_content"))


def calls_text(message: Mapping[str, object]) -> str:
    r"""The calls of tools of a message, a line each, such as `[tool call] weather({"city": "杭州"})`.

    Args:
        message: The message.
    """
    calls = message.get("tool_calls")
    return "\n".join(_call(c) for c in calls) if isinstance(calls, list) else ""


def _call(call: object) -> str:
    """One call. The function stands in a field of its own, or its fields stand in the call itself."""
    inner = call.get("function", call) if isinstance(call, dict) else None
    if not isinstance(inner, dict):
        return f"[tool call] {_shown(call)}"
    return f"[tool call] {_string(inner.get('name'))}({_shown(inner.get('arguments'))})"


def _shown(value: object) -> str:
    """A string as it is, anything else as JSON; nothing for None."""
    if value is None:
        return ""
    return value if isinstance(value, str) else json.dumps(value, ensure_ascii=False, default=str)


def answer_text(message: Mapping[str, object]) -> str:
    """An answer as a reader is shown it: its content and its calls of tools, or its reasoning if there is nothing else.

    Args:
        message: The answer.
    """
    content, calls = _string(message.get("content")), calls_text(message)
    said = "\n".join(part for part in (content, calls) if part.strip())
    return said or reasoning_of(message) or content


def asked_of(messages: Sequence[Message]) -> str:
    """What system, developer and user said, joined by newlines.

    Args:
        messages: Turns before an answer.
    """
    return "\n".join(_string(m.get("content")) for m in messages if m.get("role") not in ("assistant", "tool"))


def transcript(messages: Sequence[Message], tools: Sequence[object] | None = None) -> str:
    """What came before an answer, for a judge to read.

    Args:
        messages: Turns before the answer.
        tools: Descriptions of the tools that could be called.

    Returns:
        What was asked, if nothing else came before. Otherwise the names of the tools with their parameters, and each
        turn behind its role, with its reasoning and its calls of tools.
    """
    if not tools and all(m.get("role") not in ("assistant", "tool") for m in messages):
        return asked_of(messages)
    lines = [f"[tools] {', '.join(_signature(t) for t in tools)}"] if tools else []
    for message in messages:
        lines += _turn(message)
    return "\n".join(lines)


def _turn(message: Message) -> Iterator[str]:
    """Lines of a turn."""
    if reasoning_of(message).strip():
        yield f"[reasoning] {reasoning_of(message)}"
    content, calls = _string(message.get("content")), calls_text(message)
    role = "tool result" if message.get("role") == "tool" else message.get("role")
    if content.strip() or not calls:
        yield f"[{role}] {content}"
    if calls:
        yield calls


def _signature(tool: object) -> str:
    """A tool as `weather(city, day)`."""
    inner = tool.get("function", tool) if isinstance(tool, dict) else None
    if not isinstance(inner, dict):
        return _shown(tool)
    parameters = inner.get("parameters")
    properties = parameters.get("properties") if isinstance(parameters, dict) else None
    return f"{_string(inner.get('name'))}({', '.join(properties) if isinstance(properties, dict) else ''})"


def shortened(text: str, limit: int) -> str:
    """A text without its middle, if it is longer than `limit` characters.

    Args:
        text: The text.
        limit: Number of characters that are shown.
    """
    return text if len(text) <= limit else f"{text[: limit // 2]}\n[...]\n{text[-limit // 2 :]}"
