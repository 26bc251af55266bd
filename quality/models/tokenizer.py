"""What scores need of a tokenizer."""

from __future__ import annotations

from typing import Literal, Protocol

from raylib.chat import ChatTokenizer

__all__ = ["Template", "Tokenizer"]

Template = Literal["auto", "chat", "plain", "chatml", "qwen", "llama2", "llama3", "mistral"]
"""How chats are written: `plain` is every message and a newline, `chat` the tokenizer's own template, `auto` that if
there is one and otherwise `plain`; the others are templates of training by name."""


class Tokenizer(ChatTokenizer, Protocol):
    """The part of a transformers tokenizer that scores use."""

    bos_token_id: int | None
    pad_token_id: int | None
