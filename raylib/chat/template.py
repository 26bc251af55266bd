"""A chat template: conversations as text, by the tokenizer's own means, and what one has to know of it."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping, Sequence
from functools import partial
from typing import Any

from raylib.chat.named import TEMPLATES
from raylib.chat.options import RenderOptions
from raylib.chat.tokenizer import ChatTokenizer
from raylib.errors import ParameterError, RecordError, attempt
from raylib.messages import AnyMessage, Message

__all__ = ["ChatTemplate", "inlined", "with_defaults"]

_REASONING_KEYS = ("reasoning_content", "thinking", "reasoning")
_PROBE = "d41d8cd98f00b204"
# what a template can raise over a record: its own refusals, and Python's errors over values of another type
_OVER_A_RECORD = (TypeError, ValueError, KeyError, IndexError, AttributeError, ArithmeticError)


class ChatTemplate:
    """The template of a tokenizer, or one by name.

    Args:
        tokenizer: The tokenizer.
        options: Which template, and its variables.

    Attributes:
        source: Jinja source.
        name: Name of the template; `auto` is the tokenizer's own.
        reasoning_key: Key of a message in which the template looks for reasoning; `content` if it takes reasoning from
            between `<think>` and `</think>` there, empty if it knows none.

    Raises:
        ParameterError: The tokenizer has several templates, or the template is not valid.
    """

    def __init__(self, tokenizer: ChatTokenizer, options: RenderOptions) -> None:
        own = getattr(tokenizer, "chat_template", None)
        if isinstance(own, Mapping):  # several by name
            own = own.get("default")
            if own is None and options.template == "auto":
                raise ParameterError("the tokenizer has several chat templates and none is called default")
        self.name = options.template if options.template != "auto" or own else "plain"
        self.source = str(own) if self.name == "auto" else TEMPLATES[self.name]
        self._render: Any = getattr(tokenizer, "apply_chat_template")  # noqa: B009 - transformers types it too narrowly
        self._options = {**self.defaults(tokenizer), **options.template_options}
        from raylib.chat import account, bounded  # noqa: PLC0415 - jinja2 is slow to load, and few workers render

        self._account, self._bound = account, bounded.bound
        self._check()
        self.reasoning_key = "content" if options.reasoning == "inline" else self._find_reasoning_key()

    def defaults(self, tokenizer: ChatTokenizer) -> dict[str, object]:
        """Variables that the template needs and the tokenizer does not give: of a model without it, no first token."""
        return {"bos_token": ""} if tokenizer.bos_token is None and "bos_token" in self.source else {}

    def write(self, messages: Sequence[AnyMessage], tools: Sequence[object] | None, *, generation: bool) -> str:
        """Messages as the template writes them.

        Args:
            messages: The messages, as `forms` gives them.
            tools: Tools that the model may call.
            generation: Whether the text ends with the generation prompt.

        Raises:
            RecordError: The template refuses the messages.
        """
        key = self._bound(self.source)
        try:
            with self._account.watched(partial(_size, (messages, tools))):
                return str(
                    self._render(
                        list(messages),
                        tools=list(tools) if tools else None,
                        tokenize=False,
                        add_generation_prompt=generation,
                        chat_template=key,
                        **self._options,
                    )
                )
        except Exception as error:
            if isinstance(error, (*_OVER_A_RECORD, self._account.TooMuchWork, RecursionError)) or type(
                error
            ).__module__.startswith("jinja2"):
                raise RecordError("template", f"the chat template refuses the record: {error}") from None
            raise

    def forms(self, messages: Sequence[AnyMessage]) -> Iterator[list[Message]]:
        """The messages in the forms in which templates want them, the likeliest first.

        Serving engines give calls of tools with their arguments as objects, as transformers documents it; some
        templates want them as JSON text. A content of None becomes an empty string where a template cannot take it.

        Args:
            messages: Messages of a record.
        """
        plain = [self._plain(m) for m in messages]
        calls = any(m.get("tool_calls") for m in plain)
        nothing = any(m.get("content") is None for m in plain)
        for empty in (None, "") if nothing else (None,):
            for arguments in ("object", "text") if calls else ("object",):
                yield [_in_form(m, arguments, empty) for m in plain]

    def learnt(self, message: AnyMessage) -> Message:
        """A message of the assistant as it is given to the template when it is learnt.

        Where reasoning belongs into the content, it stands there in this one message alone: who asks a model again
        sends earlier answers without their reasoning.
        """
        return inlined(message) if self.reasoning_key == "content" else dict(message)

    def _plain(self, message: AnyMessage) -> Message:
        """A message without what is not for templates, and with its reasoning under the template's own key."""
        made = {k: v for k, v in message.items() if k != "loss"}
        if self.reasoning_key not in ("", "content", "reasoning_content") and "reasoning_content" in made:
            made[self.reasoning_key] = made.pop("reasoning_content")
        return made

    def _check(self) -> None:
        """Refuse a template that is not valid, or that does too much even for a short question.

        Raises:
            ParameterError: It is one.
        """
        found = attempt(partial(self.write, [{"role": "user", "content": "1"}], None, generation=True))
        if isinstance(found, RecordError) and self._account.TOO_MUCH in str(found):
            raise ParameterError(f"the chat template cannot be used: {self._account.TOO_MUCH}, whatever it is given")

    def _find_reasoning_key(self) -> str:
        """The key of a message in which the template looks for reasoning."""
        asked: Message = {"role": "user", "content": "1"}
        for key, sign in (*((k, k) for k in _REASONING_KEYS), ("content", "</think>")):
            if sign not in self.source:
                continue
            answer: Message = {"role": "assistant", "content": "2", key: _PROBE}
            if key == "content":
                answer = inlined({**answer, "content": "2", "reasoning_content": _PROBE})
            text = attempt(partial(self.write, [asked, answer], None, generation=False))
            if isinstance(text, str) and _PROBE in text:
                return key
        return ""


def _size(value: object) -> int:
    """Number of characters in all texts of a value."""
    if isinstance(value, Mapping):
        return sum(_size(v) for v in value.values())
    return sum(map(_size, value)) if isinstance(value, (list, tuple)) else len(str(value))


def inlined(message: AnyMessage) -> Message:
    """A message whose reasoning stands at the start of its content.

    Args:
        message: A message of the assistant.

    Returns:
        The message without `reasoning_content`; a copy if it has none.
    """
    made = {k: v for k, v in message.items() if k != "reasoning_content"}
    reasoning = message.get("reasoning_content")
    if not isinstance(reasoning, str):
        return made
    return {**made, "content": f"<think>\n{reasoning.strip()}\n</think>\n\n{message.get('content') or ''}"}


def _in_form(message: AnyMessage, arguments: str, empty: str | None) -> Message:
    """A message with the arguments of its calls as objects or as text, and with this for a missing content."""
    made = dict(message)
    if made.get("content") is None:
        made["content"] = empty
    calls = made.get("tool_calls")
    if isinstance(calls, list):
        made["tool_calls"] = [_call(c, arguments) for c in calls]
    return made


def _call(call: object, arguments: str) -> object:
    """A call of a tool with its arguments in a form."""
    if not isinstance(call, Mapping):
        return call
    function = call.get("function")
    if isinstance(function, Mapping):
        return {**call, "function": _with_arguments(function, arguments)}
    return _with_arguments(call, arguments)


def _with_arguments(function: Mapping[str, object], form: str) -> dict[str, object]:
    value = function.get("arguments")
    if form == "object" and isinstance(value, str):
        try:
            parsed = json.loads(value)
        except ValueError:
            parsed = value
        value = parsed if isinstance(parsed, Mapping) else value
    elif form == "text" and value is not None and not isinstance(value, str):
        value = json.dumps(value, ensure_ascii=False)
    return {**function, "arguments": value} if "arguments" in function else dict(function)


def with_defaults(source: str, options: Mapping[str, object]) -> str:
    """A template that has its variables by itself, so that whoever serves the model writes what it was taught.

    Args:
        source: Jinja source.
        options: Variables; whoever renders can still give others.

    Returns:
        The source; the very same without options.
    """
    lines = [
        f"{{%- if {name} is not defined -%}}{{%- set {name} = {_literal(value)} -%}}{{%- endif -%}}"
        for name, value in sorted(options.items())
    ]
    return "".join(lines) + source


def _literal(value: object) -> str:
    """A value as Jinja writes it."""
    text = json.dumps(value, ensure_ascii=False)
    return text if isinstance(value, str) else text.replace("null", "none")
