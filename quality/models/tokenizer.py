"""What scores need of a tokenizer, and the text that precedes an answer."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Literal, Protocol

from quality.text.turns import Message

__all__ = ["Template", "Tokenizer", "chat_prompt", "uses_chat_template"]

Template = Literal["auto", "chat", "plain"]


class Tokenizer(Protocol):
    """The part of a transformers tokenizer that scores use."""

    bos_token_id: int | None
    pad_token_id: int | None
    chat_template: object

    def __call__(self, text: list[str], *, add_special_tokens: bool) -> Mapping[str, list[list[int]]]:
        """Encode texts; `input_ids` holds the token ids of each."""
        ...

    def apply_chat_template(
        self, conversation: Sequence[Message], *, tokenize: bool, add_generation_prompt: bool = False
    ) -> str:
        """Render a conversation as the model was trained to see it."""
        ...


def uses_chat_template(tokenizer: Tokenizer, template: str) -> bool:
    """Whether a template (`chat`, `plain` or `auto`) means the tokenizer's own chat template."""
    return template == "chat" or (template == "auto" and bool(tokenizer.chat_template))


def chat_prompt(tokenizer: Tokenizer, messages: Sequence[Message], template: str) -> str:
    """Render the text that precedes an answer.

    Args:
        tokenizer: Tokenizer of the model.
        messages: Turns before the answer.
        template: `chat` (the tokenizer's own template), `plain` (every message and a newline), or `auto` (`chat` if
            the tokenizer has a template, otherwise `plain`).

    Returns:
        The text after which the model writes the answer.
    """
    if uses_chat_template(tokenizer, template):
        return tokenizer.apply_chat_template(messages, tokenize=False, add_generation_prompt=True)
    return "".join(f"{m['content']}\n" for m in messages)
