"""Conversations as tokens: one rendering for training, scoring and inference.

For every answer that is learnt, the tokens before it are those of `apply_chat_template(messages before it,
add_generation_prompt=True)`, and the learnt tokens are what has to be generated from there, up to and including the
token that stops the generation.
"""

from __future__ import annotations

import itertools
from collections.abc import Sequence
from dataclasses import dataclass
from functools import partial

from raylib.chat.controls import Controls
from raylib.chat.options import RenderOptions
from raylib.chat.planning import Answer, Plan, TextSample, Writer, says_nothing
from raylib.chat.template import ChatTemplate, with_defaults
from raylib.chat.tokenizer import ChatTokenizer
from raylib.errors import ParameterError, RecordError, attempt
from raylib.messages import AnyMessage, Message

__all__ = ["Renderer", "Sample", "TextSample"]

_AROUND = 30  # characters on each side of a border that decide whether a token reaches over it
_BORDERS = 100_000  # borders that are remembered
_ASKED: Message = {"role": "user", "content": "1"}
_PROBES: list[list[Message]] = [  # conversations that show how answers end, with reasoning for templates that want it
    [_ASKED, {"role": "assistant", "content": "2"}],
    [_ASKED, {"role": "assistant", "content": "2", "reasoning_content": "3"}],
]
_CONTEXT = "a"  # letters before a piece, where a tokenizer treats the beginning of a text in its own way


@dataclass(frozen=True)
class Sample:
    """A sample as tokens.

    Attributes:
        ids: Token ids.
        targets: Whether each token is learnt.
    """

    ids: list[int]
    targets: list[bool]


class Renderer:
    """Renders conversations for one tokenizer.

    Args:
        tokenizer: The tokenizer.
        options: How conversations are rendered and which of their answers are learnt.
        stops: Ids of the tokens at which the model is known to stop; see `stop_ids`.

    Attributes:
        template: The template that writes.
        end: Id of the token that is added to an answer that the template does not end; None if there is none.
        ends: Ids of the tokens with which an answer may end.

    Raises:
        ParameterError: The options name a token that the tokenizer lacks, or the template is not valid.
    """

    def __init__(
        self, tokenizer: ChatTokenizer, options: RenderOptions | None = None, *, stops: Sequence[int] = ()
    ) -> None:
        self.tokenizer, self.options = tokenizer, options or RenderOptions()
        self.template = ChatTemplate(tokenizer, self.options)
        self.controls = Controls(tokenizer, self.template.source)
        self.end = self._end(stops)
        self._known = sorted({*stops, *([] if tokenizer.eos_token_id is None else [tokenizer.eos_token_id])})
        self.ends = self.controls.special_ids | {*self._known, *([] if self.end is None else [self.end])}
        names = [tokenizer.decode([i]) for i in self._known]
        self._writer = Writer(
            self.template,
            self.controls,
            self.options,
            names,
            can_stop=self.end is not None,
            same_tokens=self._same_tokens,
        )
        self._borders: dict[tuple[str, str], bool] = {}
        self._backend = getattr(tokenizer, "backend_tokenizer", None)
        self._by_context = _begins_otherwise(tokenizer)

    def _end(self, stops: Sequence[int]) -> int | None:
        """Id of the token that is added to answers that the template does not end."""
        name = self.options.end_token
        if not name:
            return stops[0] if stops else self.tokenizer.eos_token_id
        ids = self.tokenizer.encode(name, add_special_tokens=False)
        if len(ids) != 1:
            raise ParameterError(f"end_token {name!r}: the tokenizer has no such token")
        return ids[0]

    def prompt(self, messages: Sequence[AnyMessage], tools: Sequence[object] | None = None) -> list[int]:
        """Tokens that a model is given before its answer, up to and including the generation prompt.

        Args:
            messages: Messages up to a question.
            tools: Tools of the record.

        Raises:
            RecordError: The template refuses the messages or leaves one out.
        """
        return self.encode([self._writer.prompt(messages, tools)])[0]

    def prompt_text(self, messages: Sequence[AnyMessage], tools: Sequence[object] | None = None) -> str:
        """The text of `prompt`."""
        return self.controls.restored(self._writer.prompt(messages, tools))

    def plan(self, messages: Sequence[AnyMessage], tools: Sequence[object] | None = None) -> Plan:
        """The samples of a conversation as text; see `Writer.plan`."""
        return self._writer.plan(messages, tools)

    @property
    def served(self) -> str:
        """The template with the options as its defaults, for whoever serves the model."""
        return with_defaults(
            self.template.source, {**self.template.defaults(self.tokenizer), **self.options.template_options}
        )

    def samples(self, samples: Sequence[TextSample]) -> list[Sample | RecordError]:
        """Samples as tokens; in place of one that cannot be encoded, why.

        Args:
            samples: Samples of any number of conversations, encoded in one go.
        """
        encoded = self.encoded([text for s in samples for text, _ in s.pieces])
        made: list[Sample | RecordError] = []
        begin = 0
        for sample in samples:
            parts = encoded[begin : begin + len(sample.pieces)]
            begin += len(sample.pieces)
            made.append(self._joined(sample, parts))
        return made

    def _joined(self, sample: TextSample, parts: Sequence[list[int] | RecordError]) -> Sample | RecordError:
        ids: list[int] = []
        targets: list[bool] = []
        for part, (_, learnt) in zip(parts, sample.pieces, strict=True):
            if isinstance(part, RecordError):
                return part
            ids += part
            targets += [learnt] * len(part)
        if sample.stop and self.end is not None:
            ids.append(self.end)
            targets.append(True)
        return Sample(ids, targets)

    def conversation(self, messages: Sequence[AnyMessage], tools: Sequence[object] | None = None) -> list[Sample]:
        """The samples of a conversation as tokens.

        Args:
            messages: The messages.
            tools: Tools of the record.

        Raises:
            RecordError: The record cannot be learnt; says why.
        """
        found = self.samples(self.plan(messages, tools).samples)
        return [_unless_refused(sample) for sample in found]

    def reply(
        self, messages: Sequence[AnyMessage], reply: Sequence[AnyMessage], tools: Sequence[object] | None = None
    ) -> TextSample:
        """An answer of one or several messages after a prompt, as one sample.

        Args:
            messages: The prompt.
            reply: The answer: assistant messages, with results of tools between them.
            tools: Tools of the record.

        Returns:
            The sample, whose first piece is the prompt.

        Raises:
            RecordError: The answer cannot be learnt; says why.
        """
        whole = [*messages, *reply]
        turns = [i for i in range(len(messages), len(whole)) if whole[i].get("role") == "assistant"]
        if any(says_nothing(whole[turn]) for turn in turns):
            raise RecordError("empty_answer", "the answer is empty")
        if not turns or turns[0] != len(messages):
            raise RecordError("no_targets", "the answer does not begin with a message of the assistant")
        answers = self._writer.answers(whole, tools, turns)
        return self._one_sample(answers)

    def _one_sample(self, answers: Sequence[Answer]) -> TextSample:
        plan = self._writer.joined(answers)
        if len(plan) != 1:
            raise RecordError("template_rewrites", "the chat template rewrites earlier messages of the answer")
        return plan[0]

    def stops(self) -> list[int]:
        """Ids of all tokens at which a generation ends: those of the model, and the one that answers are taught."""
        found = set(self._known)
        if self.end is not None:
            found.add(self.end)
        for probe in _PROBES:
            made = attempt(partial(self.conversation, probe))
            if not isinstance(made, RecordError):
                found.add(made[-1].ids[-1])
        return sorted(found)

    def tail(self) -> str:
        """Text between the content of an answer and the token that ends it; templates with two ends write some."""
        for probe in _PROBES:
            plan = attempt(partial(self.plan, probe))
            if isinstance(plan, RecordError):
                continue
            text = plan.samples[-1].pieces[-1][0]
            written = text[text.rindex("2") + 1 :]
            special = self.controls.special
            return special.sub("", written) if special else written
        return ""

    def encode(self, texts: Sequence[str]) -> list[list[int]]:
        """Token ids of texts that the template wrote.

        Args:
            texts: The texts, with marks for the control tokens that records spell.

        Raises:
            RecordError: A text spells a control token that the tokenizer cannot encode as text.
        """
        made = []
        for ids in self.encoded(texts):
            if isinstance(ids, RecordError):
                raise ids
            made.append(ids)
        return made

    def encoded(self, texts: Sequence[str]) -> list[list[int] | RecordError]:
        """The same; in place of a text that cannot be encoded, why."""
        made: list[list[int] | RecordError] = [[]] * len(texts)
        plain = [i for i, text in enumerate(texts) if not self.controls.has_marks(text)]
        for i, ids in zip(plain, self._batch([texts[i] for i in plain]), strict=True):
            made[i] = ids
        for i, text in enumerate(texts):
            if self.controls.has_marks(text):
                made[i] = attempt(partial(self.controls.encode, text))
        return made

    def _same_tokens(self, texts: Sequence[str]) -> bool:
        """Whether texts have the same tokens one by one as joined; true of texts that are refused anyway."""
        if self._borders_hold(texts):
            return True
        *parts, whole = self.encoded([*texts, "".join(texts)])
        made: list[int] = []
        for ids in parts:
            if isinstance(ids, RecordError):
                return True
            made += ids
        return isinstance(whole, RecordError) or made == whole

    def _borders_hold(self, texts: Sequence[str]) -> bool:
        """Whether no token reaches over a border, by what stands around each: all of it would take as long again."""
        if any(map(self.controls.has_marks, texts)):
            return False
        around = [self.controls.around(a[-_AROUND:], b[:_AROUND]) for a, b in itertools.pairwise(texts)]
        new = [pair for pair in dict.fromkeys(around) if pair not in self._borders]
        made = self._batch([text for a, b in new for text in (a, b, a + b)])
        if len(self._borders) > _BORDERS:
            self._borders.clear()
        for pair, a, b, both in zip(new, made[::3], made[1::3], made[2::3], strict=True):
            self._borders[pair] = [*a, *b] == both
        return all(self._borders[pair] for pair in around)

    def _batch(self, texts: list[str]) -> list[list[int]]:
        if not texts:
            return []
        if self._by_context:
            skip = len(self.tokenizer.encode(self._by_context, add_special_tokens=False))
            return [ids[skip:] for ids in self._plain_batch([self._by_context + t for t in texts])]
        return self._plain_batch(texts)

    def _plain_batch(self, texts: list[str]) -> list[list[int]]:
        if self._backend is not None:
            return [e.ids for e in self._backend.encode_batch_fast(texts, add_special_tokens=False)]
        return self.tokenizer(texts, add_special_tokens=False)["input_ids"]


def _begins_otherwise(tokenizer: ChatTokenizer) -> str:
    """A control token to put before pieces, if the tokenizer treats the beginning of a text in its own way."""
    token = tokenizer.eos_token
    if token is None:
        return ""
    alone = tokenizer.encode(_CONTEXT, add_special_tokens=False)
    after = tokenizer.encode(token + _CONTEXT, add_special_tokens=False)
    return token if after[1:] != alone and after[:1] == [tokenizer.eos_token_id] else ""


def _unless_refused(found: Sample | RecordError) -> Sample:
    if isinstance(found, RecordError):
        raise found
    return found
