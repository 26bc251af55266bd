"""Conversations as tokens: one rendering for training and inference, and which of its tokens are targets."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from raylib.errors import RecordError

__all__ = ["TEMPLATES", "Rendered", "Renderer"]


Message = dict[str, str]


@dataclass(frozen=True)
class Template:
    """How turns are written. `end` closes an answer and is a target; `gap` follows it and is not.

    In place of `{content}` stands the message; `begin` is written once, before everything.
    """

    begin: str
    system: str
    user: str
    answer: str  # what stands before an answer: the generation prompt
    end: str
    gap: str


TEMPLATES = {
    "plain": Template("<bos>", "{content}\n", "User: {content}<eos>\n", "Assistant: ", "<eos>", "\n"),
    "chatml": Template("", "<|im_start|>system\n{content}<|im_end|>\n", "<|im_start|>user\n{content}<|im_end|>\n", "<|im_start|>assistant\n", "<|im_end|>", "\n"),
    "qwen": Template("", "<|im_start|>system\n{content}<|im_end|>\n", "<|im_start|>user\n{content}<|im_end|>\n", "<|im_start|>assistant\n", "<|im_end|>", "\n"),
    "llama2": Template("<bos>", "<<SYS>>\n{content}\n<</SYS>>\n\n", "[INST] {content} [/INST]", " ", "<eos>", "<bos>"),
    "llama3": Template("<bos>", "<|start_header_id|>system<|end_header_id|>\n\n{content}<|eot_id|>", "<|start_header_id|>user<|end_header_id|>\n\n{content}<|eot_id|>", "<|start_header_id|>assistant<|end_header_id|>\n\n", "<|eot_id|>", ""),
    "mistral": Template("<bos>", "{content}\n\n", "[INST] {content} [/INST]", "", "<eos>", ""),
}  # fmt: skip


@dataclass(frozen=True)
class Rendered:
    """Token ids, and for each whether it is a target."""

    ids: list[int]
    targets: list[bool]


class Renderer:
    """Renders conversations for one tokenizer, by a named template or by the tokenizer's own (`auto`).

    Pieces are encoded one by one, so that the tokens before an answer are the same at training and at inference, and
    a border between prompt and answer is a border between tokens.
    """

    def __init__(self, tokenizer: Any, template: str = "auto") -> None:
        if template != "auto" and template not in TEMPLATES:
            raise ValueError(f"template {template!r}: valid are auto, {', '.join(TEMPLATES)}")
        if template == "auto" and not getattr(tokenizer, "chat_template", None):
            template = "plain"
        self.tokenizer, self.name = tokenizer, template
        if tokenizer.eos_token_id is None:
            raise ValueError("the tokenizer has no end-of-sequence token; without one a model never learns to stop")
        self._bos = "" if tokenizer.bos_token is None else str(tokenizer.bos_token)

    def prompt(self, messages: Sequence[Message]) -> list[int]:
        """Tokens before the next answer: what a model is given at inference. Ends with the generation prompt."""
        return [i for text, _ in self._pieces(messages, open_=True) for i in self._encode(text)]

    def conversation(self, messages: Sequence[Message]) -> Rendered:
        """A whole conversation; every answer is a target, its end token included, and nothing else.

        Raises RecordError when no answer is in it.
        """
        ids: list[int] = []
        targets: list[bool] = []
        for text, target in self._pieces(messages, open_=False):
            part = self._encode(text)
            ids += part
            targets += [target] * len(part)
        if not any(targets):
            raise RecordError("no_targets", "the conversation has no answer to learn")
        return Rendered(ids, targets)

    def answer(self, text: str) -> list[int]:
        """Tokens of an answer with its end token."""
        return self._encode(text) + self._encode(self._end())

    def _end(self) -> str:
        if self.name != "auto":
            return self._special(TEMPLATES[self.name].end)
        probe = self._pieces([{"role": "user", "content": "x"}, {"role": "assistant", "content": "y"}], open_=False)
        return next(text for text, target in probe if target).removeprefix("y")

    def _encode(self, text: str) -> list[int]:
        ids: list[int] = self.tokenizer.encode(text, add_special_tokens=False) if text else []
        return ids

    def _special(self, text: str) -> str:
        return text.replace("<bos>", self._bos).replace("<eos>", str(self.tokenizer.eos_token))

    def _pieces(self, messages: Sequence[Message], *, open_: bool) -> list[tuple[str, bool]]:
        return self._by_name(messages, open_) if self.name != "auto" else self._by_tokenizer(messages, open_)

    def _by_name(self, messages: Sequence[Message], open_: bool) -> list[tuple[str, bool]]:
        form = TEMPLATES[self.name]
        pieces = [(self._special(form.begin), False)]
        for i, message in enumerate(messages):
            role, content = message["role"], message["content"]
            if role == "assistant":
                pieces.append((form.answer, False))
                # one piece, as at inference the model goes on from the generation prompt alone
                pieces += [(content, True), (self._special(form.end), True)]
                if i < len(messages) - 1:
                    pieces.append((self._special(form.gap), False))
            else:
                shape = form.system if role == "system" else form.user
                before, after = self._special(shape).split("{content}")
                pieces.append((before + content + after, False))
        if open_:
            pieces.append((form.answer, False))
        return pieces

    def _by_tokenizer(self, messages: Sequence[Message], open_: bool) -> list[tuple[str, bool]]:
        """By what the template adds with each answer; raises RecordError where it rewrites what was before."""

        def render(count: int, generation: bool) -> str:
            text: str = self.tokenizer.apply_chat_template(list(messages[:count]), tokenize=False, add_generation_prompt=generation)  # fmt: skip
            return text

        pieces: list[tuple[str, bool]] = []
        done = ""
        for i, message in enumerate(messages):
            if message["role"] != "assistant":
                continue
            before, after = render(i, True) if i else "", render(i + 1, False)
            if not before.startswith(done) or not after.startswith(before):
                raise RecordError("template", "the chat template rewrites earlier turns, so their tokens cannot be learnt")  # fmt: skip
            added = after[len(before) :]
            closed = added.rstrip("\n ")  # a newline after the end token belongs to the next turn
            pieces += [(before[len(done) :], False), (closed, True), (added[len(closed) :], False)]
            done = after
        if open_:
            whole = render(len(messages), True)
            if not whole.startswith(done):
                raise RecordError("template", "the chat template rewrites earlier turns")
            pieces.append((whole[len(done) :], False))
        return pieces
