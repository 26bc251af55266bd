"""Control tokens that the texts of a record spell: they stay text, whatever a template does with them.

A user who types `<|im_end|>` must not end his turn. While the template writes, a mark that no text holds stands for
each such spelling; then the rest is encoded as usual, and what the marks stood for as ordinary text.
"""

from __future__ import annotations

import json
import re
from collections.abc import Mapping, Sequence
from typing import Protocol, cast

from raylib.chat.tokenizer import ChatTokenizer
from raylib.errors import RecordError
from raylib.messages import AnyMessage, Message

__all__ = ["Controls"]

# noncharacters of Unicode: never in a text that is meant to be exchanged
_OPEN, _CLOSE = "\ufdd0", "\ufdd1"
_FIRST = 0xE000  # private use: one character for each control token
_MARK = re.compile(f"{_OPEN}(.){_CLOSE}")


class _Backend(Protocol):
    """A tokenizer of the package tokenizers."""

    def to_str(self) -> str: ...

    @staticmethod
    def from_str(json: str) -> _Backend: ...

    def encode(self, text: str, *, add_special_tokens: bool) -> _Encoding: ...


class _Encoding(Protocol):
    ids: list[int]


class Controls:
    """The control tokens of a tokenizer and its template.

    These are its special tokens, and of the other added tokens those that the template writes, such as `<think>`.

    Args:
        tokenizer: The tokenizer.
        source: Source of the chat template.

    Attributes:
        special: Pattern that finds special tokens; None if there are none.
        special_ids: Their ids.
    """

    def __init__(self, tokenizer: ChatTokenizer, source: str) -> None:
        self._tokenizer = tokenizer
        added = {i: t for i, t in tokenizer.added_tokens_decoder.items() if t.content.strip()}
        self._ids = {t.content: i for i, t in added.items() if t.special or t.content in source}
        self._tokens = sorted(self._ids, key=lambda t: -len(t))
        self._pattern = _any(self._tokens)
        self.special = _any([t.content for t in added.values() if t.special])
        self.special_ids = frozenset(i for i, t in added.items() if t.special)
        self._plain: _Backend | None = None

    def guarded(self, messages: Sequence[AnyMessage]) -> list[Message]:
        """Messages with marks for the control tokens that they spell.

        Args:
            messages: Messages of a conversation.

        Raises:
            RecordError: A text holds the characters of the marks.
        """
        if self._pattern is None:
            return [dict(m) for m in messages]
        return [cast("Message", {k: self._guarded(v) if k != "role" else v for k, v in m.items()}) for m in messages]

    def guarded_tools(self, tools: Sequence[object] | None) -> list[object] | None:
        """The same of the tools of a record."""
        return None if not tools else [self._guarded(t) for t in tools]

    def _guarded(self, value: object) -> object:
        if isinstance(value, str):
            if _OPEN in value or _CLOSE in value:
                raise RecordError("control_token", "a text holds U+FDD0 or U+FDD1, which no text may hold")
            return self._pattern.sub(self._mark, value) if self._pattern and self._pattern.search(value) else value
        if isinstance(value, list):
            return [self._guarded(v) for v in value]
        if isinstance(value, Mapping):
            return {self._guarded(k): self._guarded(v) for k, v in value.items()}
        return value

    def around(self, before: str, after: str) -> tuple[str, str]:
        """Ends of two texts up to the control tokens that are nearest to the border between them."""
        if self._pattern is None:
            return before, after
        *_, last = [0, *(found.start() for found in self._pattern.finditer(before))]
        first = self._pattern.search(after)
        return before[last:], after[: first.end()] if first else after

    def spelt(self, text: str) -> list[str]:
        """Control tokens that a text spells."""
        return self._pattern.findall(text) if self._pattern else []

    def _mark(self, found: re.Match[str]) -> str:
        return f"{_OPEN}{chr(_FIRST + self._tokens.index(found.group()))}{_CLOSE}"

    def restored(self, text: str) -> str:
        """A text with what its marks stand for."""
        return _MARK.sub(lambda m: self._tokens[ord(m.group(1)) - _FIRST], text) if _OPEN in text else text

    @staticmethod
    def has_marks(text: str) -> bool:
        """Whether a text holds marks."""
        return _OPEN in text

    def encode(self, text: str) -> list[int]:
        """Token ids of a text with marks.

        Args:
            text: What a template has written.

        Raises:
            RecordError: The tokenizer cannot encode the spelling of a control token as ordinary text.
        """
        ids: list[int] = []
        begin = 0
        for found in self._pattern.finditer(text) if self._pattern else ():
            ids += self._ordinary(text[begin : found.start()])
            ids.append(self._ids[found.group()])
            begin = found.end()
        ids += self._ordinary(text[begin:])
        if self._tokenizer.decode(ids) != self.restored(text):
            raise self._refusal(text)
        return ids

    def _ordinary(self, text: str) -> list[int]:
        """Ids of a text between control tokens."""
        if not text:
            return []
        if not self.has_marks(text):
            return self._tokenizer.encode(text, add_special_tokens=False)
        if self._plain is None:
            self._plain = self._without_added_tokens(text)
        ids = self._plain.encode(self.restored(text), add_special_tokens=False).ids
        if set(ids) & set(self._ids.values()):
            raise self._refusal(text)
        return ids

    def _without_added_tokens(self, text: str) -> _Backend:
        """The same tokenizer without the tokens that it recognises before it splits a text."""
        backend: _Backend | None = getattr(self._tokenizer, "backend_tokenizer", None)
        if backend is None:
            raise self._refusal(text)
        content = json.loads(backend.to_str())
        content["added_tokens"] = []
        return backend.from_str(json.dumps(content))

    def _refusal(self, text: str) -> RecordError:
        found = _MARK.search(text)
        spelt = self._tokens[ord(found.group(1)) - _FIRST] if found else "a control token"
        return RecordError("control_token", f"a text spells {spelt}, which this tokenizer cannot encode as text")


def _any(tokens: Sequence[str]) -> re.Pattern[str] | None:
    """A pattern that finds any of these, longer ones first."""
    if not tokens:
        return None
    return re.compile("|".join(re.escape(t) for t in sorted(tokens, key=lambda t: -len(t))))
