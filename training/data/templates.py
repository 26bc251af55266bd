"""Conversations as tokens: one rendering for training and inference, and which of its tokens are targets."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from raylib.errors import ParameterError, RecordError
from training.data.tokenizer import Message, Tokenizer

__all__ = ["TEMPLATES", "Rendered", "Renderer", "Template"]


@dataclass(frozen=True)
class Template:
    """How the turns of a conversation are written. `<bos>` and `<eos>` are the tokenizer's own tokens.

    Attributes:
        begin: Text before everything else.
        system: Text of a system message; `{content}` is replaced by the message.
        user: Text of a user message; `{content}` is replaced by the message.
        answer: Text before an answer: the generation prompt.
        end: Text that ends an answer; it is a target.
        gap: Text between an answer and the next turn; it is not a target.
    """

    begin: str
    system: str
    user: str
    answer: str
    end: str
    gap: str


_CHATML = Template(
    begin="",
    system="<|im_start|>system\n{content}<|im_end|>\n",
    user="<|im_start|>user\n{content}<|im_end|>\n",
    answer="<|im_start|>assistant\n",
    end="<|im_end|>",
    gap="\n",
)
TEMPLATES = {
    "plain": Template("<bos>", "{content}\n", "User: {content}<eos>\n", "Assistant: ", "<eos>", "\n"),
    "chatml": _CHATML,
    "qwen": _CHATML,
    "llama2": Template("<bos>", "<<SYS>>\n{content}\n<</SYS>>\n\n", "[INST] {content} [/INST]", " ", "<eos>", "<bos>"),
    "llama3": Template(
        begin="<bos>",
        system="<|start_header_id|>system<|end_header_id|>\n\n{content}<|eot_id|>",
        user="<|start_header_id|>user<|end_header_id|>\n\n{content}<|eot_id|>",
        answer="<|start_header_id|>assistant<|end_header_id|>\n\n",
        end="<|eot_id|>",
        gap="",
    ),
    "mistral": Template("<bos>", "{content}\n\n", "[INST] {content} [/INST]", "", "<eos>", ""),
}


@dataclass(frozen=True)
class Rendered:
    """A conversation as tokens.

    Attributes:
        ids: Token ids.
        targets: Whether each token is a target.
    """

    ids: list[int]
    targets: list[bool]


class Renderer:
    """Renders conversations for one tokenizer, with a named template or the tokenizer's own (`auto`).

    Pieces are encoded one by one. So the tokens before an answer are the same at training and at inference, and a
    border between prompt and answer is a border between tokens.

    Args:
        tokenizer: The tokenizer.
        template: Name of a template, or `auto`; a tokenizer without a template of its own then uses `plain`.

    Raises:
        ParameterError: if there is no such template, or if the tokenizer has no end-of-sequence token.
    """

    def __init__(self, tokenizer: Tokenizer, template: str = "auto") -> None:
        if template != "auto" and template not in TEMPLATES:
            raise ParameterError(f"template {template!r}: valid are auto, {', '.join(TEMPLATES)}")
        if template == "auto" and not getattr(tokenizer, "chat_template", None):
            template = "plain"
        self.tokenizer, self.name = tokenizer, template
        if tokenizer.eos_token_id is None:
            raise ParameterError("the tokenizer has no end-of-sequence token; without one a model never learns to stop")
        self._bos = "" if tokenizer.bos_token is None else str(tokenizer.bos_token)

    def prompt(self, messages: Sequence[Message]) -> list[int]:
        """Tokens before the next answer, up to and including the generation prompt: a model's input at inference."""
        return [i for text, _ in self._pieces(messages, open_=True) for i in self._encode(text)]

    def conversation(self, messages: Sequence[Message]) -> Rendered:
        """A whole conversation, in which every answer with its end token is a target, and nothing else is.

        Raises:
            RecordError: if the conversation has no answer.
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
        return self._encode(text) + self._encode(self.end())

    def end(self) -> str:
        """Text that ends an answer."""
        if self.name != "auto":
            return self._special(TEMPLATES[self.name].end)
        probe = self._pieces([{"role": "user", "content": "x"}, {"role": "assistant", "content": "y"}], open_=False)
        return next(text for text, target in probe if target).removeprefix("y")

    def _encode(self, text: str) -> list[int]:
        return self.tokenizer.encode(text, add_special_tokens=False) if text else []

    def _special(self, text: str) -> str:
        """The text with the tokenizer's own tokens in place of `<bos>` and `<eos>`."""
        return text.replace("<bos>", self._bos).replace("<eos>", str(self.tokenizer.eos_token))

    def _pieces(self, messages: Sequence[Message], *, open_: bool) -> list[tuple[str, bool]]:
        """Pieces of text, and whether each is a target; `open_` ends with the generation prompt."""
        return self._by_name(messages, open_) if self.name != "auto" else self._by_tokenizer(messages, open_)

    def _by_name(self, messages: Sequence[Message], open_: bool) -> list[tuple[str, bool]]:
        """Pieces by a named template."""
        form = TEMPLATES[self.name]
        pieces = [(self._special(form.begin), False)]
        for i, message in enumerate(messages):
            role, content = message["role"], message["content"]
            if role == "assistant":
                # the generation prompt is a piece by itself, because at inference the model continues from it
                pieces += [(form.answer, False), (content, True), (self._special(form.end), True)]
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
        """Pieces by the text that the tokenizer's template adds with each answer.

        Raises:
            RecordError: if the template rewrites earlier turns.
        """
        pieces: list[tuple[str, bool]] = []
        done = ""
        for i, message in enumerate(messages):
            if message["role"] != "assistant":
                continue
            before = self._written(messages[:i], generation=True) if i else ""
            after = self._written(messages[: i + 1], generation=False)
            if not before.startswith(done) or not after.startswith(before):
                raise RecordError(
                    "template", "the chat template rewrites earlier turns, so their tokens cannot be learnt"
                )
            added = after[len(before) :]
            closed = added.rstrip("\n ")  # a newline after the end token belongs to the next turn
            pieces += [(before[len(done) :], False), (closed, True), (added[len(closed) :], False)]
            done = after
        if open_:
            whole = self._written(messages, generation=True)
            if not whole.startswith(done):
                raise RecordError("template", "the chat template rewrites earlier turns")
            pieces.append((whole[len(done) :], False))
        return pieces

    def _written(self, messages: Sequence[Message], *, generation: bool) -> str:
        """Messages as the tokenizer's template writes them."""
        return str(self.tokenizer.apply_chat_template(list(messages), tokenize=False, add_generation_prompt=generation))
