"""Roles of messages: ours, and how data sets spell them."""

from __future__ import annotations

from raylib.errors import RecordError, nearest

__all__ = ["CALLS", "PLAIN_ROLES", "ROLES", "role_of"]

ROLES: dict[str, tuple[str, ...]] = {
    "system": ("system", "系统"),
    "developer": ("developer",),
    "user": (
        "user",
        "human",
        "prompter",
        "question",
        "instruction",
        "customer",
        "用户",
        "人类",
        "提问",
        "问",
    ),
    "assistant": (
        "assistant",
        "gpt",
        "gpt4",
        "gpt-4",
        "chatgpt",
        "bing",
        "bard",
        "claude",
        "moss",
        "bot",
        "chatbot",
        "ai",
        "model",
        "llm",
        "answer",
        "response",
        "助手",
        "助理",
        "机器人",
        "模型",
        "回答",
        "答",
    ),
    "tool": (
        "tool",
        "function",
        "observation",
        "observations",
        "function_response",
        "function_result",
        "tool_response",
        "tool_result",
        "ipython",
        "工具",
    ),
}
"""Each role of ours, and its spellings, in lower case. Case does not matter."""

CALLS = ("function_call", "tool_call")
"""Roles of an assistant's message whose content is what it calls: JSON of `{name, arguments}`, or a list of these."""

PLAIN_ROLES = {spelling: ours for ours, spellings in ROLES.items() for spelling in spellings}
"""Our role of each spelling."""


def role_of(value: object, where: str) -> tuple[str, bool]:
    """Our role for a spelling.

    Args:
        value: The role as a record spells it.
        where: Place of the message, for errors.

    Returns:
        The role, and whether the content is a call of tools.

    Raises:
        RecordError: Nobody spells a role like this; names the nearest spelling.
    """
    spelled = value.strip().lower() if isinstance(value, str) else ""
    if spelled in CALLS:
        return "assistant", True
    ours = PLAIN_ROLES.get(spelled)
    if ours is None:
        hint = nearest(spelled, (*PLAIN_ROLES, *CALLS)).partition("; valid:")[0]
        raise RecordError("wrong_value", f"{where}: unknown role {value!r}{hint}")
    return ours, False
