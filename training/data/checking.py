"""Whether a chat template, a tokenizer and records fit: every learnt answer, and what is odd about it."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field, replace
from functools import partial

import pyarrow as pa

from raylib.chat import Renderer, TextSample
from raylib.errors import RecordError, TrainingError, attempt
from raylib.messages import AnyMessage, Message
from training.data.chats import ChatRecords, PairTexts, pair_texts
from training.data.encoded import Refused

__all__ = ["Check", "Finding", "Part", "check_table"]

_THINKING = re.compile(r"<[^<>\s/]*think[^<>\s]*>|\[THINK\]", re.IGNORECASE)
_OPEN = re.compile(rf"(?:{_THINKING.pattern})\s*\Z", re.IGNORECASE)
_TRIED = 20  # prompts on which options are tried
_CALL_NAMES = re.compile("tool|function", re.IGNORECASE)
_MARKER = re.compile(r"<[|｜][^<>\s]{1,60}[|｜]>")


@dataclass(frozen=True)
class Part:
    """A piece of a sample.

    Attributes:
        text: Text of its tokens, special tokens included.
        learnt: Whether it is learnt.
    """

    text: str
    learnt: bool


@dataclass(frozen=True)
class Finding:
    """A learnt answer, or an answer of a preference, as the model sees it.

    Attributes:
        id: Id of the record.
        turn: Number of the message, or -1 for an answer of a preference.
        name: What it is, for people.
        parts: The sample up to the end of the answer, piece by piece; the first is the prompt.
        stop: Text of the last token.
        odd: What is wrong with it, by short names.
    """

    id: str
    turn: int
    name: str
    parts: tuple[Part, ...]
    stop: str
    odd: tuple[str, ...]

    @property
    def prompt(self) -> str:
        """Text before what is learnt of this answer."""
        return "".join(p.text for p in self.parts[:-1])

    @property
    def answer(self) -> str:
        """What is learnt."""
        return self.parts[-1].text


@dataclass
class Check:
    """What was found so far.

    Attributes:
        records: Number of records.
        answers: Number of learnt answers.
        refused: Records that are not learnt.
        unlearnt: Number of turns that are not learnt, by reason.
        odd: Number of answers with something wrong, by its name.
        notes: What is worth knowing, and no mistake.
        prompts: Some conversations up to an answer, with their tools, on which options are tried.
    """

    renderer: Renderer
    records: int = 0
    answers: int = 0
    refused: list[Refused] = field(default_factory=list)
    unlearnt: Counter[str] = field(default_factory=Counter)
    odd: Counter[str] = field(default_factory=Counter)
    notes: list[str] = field(default_factory=list)
    prompts: list[tuple[list[Message], list[object] | None]] = field(default_factory=list)

    @property
    def wrong(self) -> bool:
        """Whether something is wrong: an odd answer, or records of which none is learnt."""
        return bool(self.odd) or not self.answers

    def finish(self) -> None:
        """Look at the template itself, once."""
        source = self.renderer.template.source
        options = self.renderer.options.template_options
        for name in options:
            if not re.search(rf"\b{re.escape(name)}\b", source):
                self.odd[f"option {name} changes nothing: the template does not know it"] += 1
            elif not self._changes(name):
                self.notes.append(f"option {name} changes no prompt of these records")
        if "strftime_now" in source:
            self.notes.append("the template can write today's date, so tokens may differ from day to day")
        added = {token.content for token in self.renderer.tokenizer.added_tokens_decoder.values()}
        missing = sorted({m for m in _MARKER.findall(source) if m not in added})
        if missing:
            shown = ", ".join(missing[:5]) + (", ..." if len(missing) > 5 else "")
            self.notes.append(f"the tokenizer has no token for what the template writes as {shown}")

    def _changes(self, name: str) -> bool:
        """Whether an option changes one of some prompts."""
        options = {k: v for k, v in self.renderer.options.template_options.items() if k != name}
        other = Renderer(self.renderer.tokenizer, replace(self.renderer.options, template_options=options))
        for messages, tools in self.prompts:
            one, two = (attempt(partial(r.prompt_text, messages, tools)) for r in (self.renderer, other))
            if str(one) != str(two):
                return True
        return not self.prompts


def check_table(table: pa.Table, check: Check) -> Iterator[Finding]:
    """Look at every learnt answer of a table of conversations or preferences.

    Args:
        table: The records.
        check: Takes counts and refusals.

    Raises:
        TrainingError: The records are neither.
    """
    records = ChatRecords.of(table, [""] * len(table))
    check.records += len(table)
    names = table.column_names
    if "chosen" in names:
        yield from _preferences(records, check)
    elif "label" in names and "answer" in names:
        check.refused += [Refused(n, "feedback", "sft and dpo do not learn from feedback") for n in records.names]
    elif "messages" in names:
        yield from _conversations(records, check)
    else:
        raise TrainingError(f"no conversations or preferences: the columns are {', '.join(names)}")


def _conversations(records: ChatRecords, check: Check) -> Iterator[Finding]:
    for i, messages in enumerate(records.messages("messages", "sft")):
        plan = attempt(partial(check.renderer.plan, messages, records.tools[i]))
        if isinstance(plan, RecordError):
            check.refused.append(Refused(records.names[i], plan.reason, plan.detail))
            continue
        made = attempt(partial(_all_tokens, plan.samples, check.renderer))
        if isinstance(made, RecordError):
            check.refused.append(Refused(records.names[i], made.reason, made.detail))
            continue
        check.unlearnt.update(plan.unlearnt)
        if len(check.prompts) < _TRIED:
            check.prompts.append((messages[: plan.samples[-1].turns[-1]], records.tools[i]))
        for sample, tokens in zip(plan.samples, made, strict=True):
            turns = iter(sample.turns)
            for end, part in enumerate(tokens, 1):
                if part.learnt:
                    turn = next(turns)
                    name = f"answer of message {turn}"
                    yield _finding(records.names[i], turn, name, tokens[:end], messages[turn : turn + 1], check)


def _preferences(records: ChatRecords, check: Check) -> Iterator[Finding]:
    columns = [records.messages(n, "preference") for n in ("prompt", "chosen", "rejected")]
    for i, (prompt, chosen, rejected) in enumerate(zip(*columns, strict=True)):
        texts = attempt(partial(pair_texts, check.renderer, prompt, (chosen, rejected), records.tools[i]))
        made = texts if isinstance(texts, RecordError) else attempt(partial(_both_tokens, texts, check.renderer))
        if isinstance(made, RecordError):
            check.refused.append(Refused(records.names[i], made.reason, made.detail))
            continue
        if len(check.prompts) < _TRIED:
            check.prompts.append((prompt, records.tools[i]))
        for name, tokens, messages in zip(("chosen", "rejected"), made, (chosen, rejected), strict=True):
            said = [m for m in messages if m.get("role") == "assistant"]
            yield _finding(records.names[i], -1, name, tokens, said, check)


@dataclass(frozen=True)
class _Tokens:
    """Tokens of a piece of a sample.

    Attributes:
        ids: The tokens.
        learnt: Whether they are learnt.
        text: The piece as the template wrote it.
    """

    ids: list[int]
    learnt: bool
    text: str


def _all_tokens(samples: Sequence[TextSample], renderer: Renderer) -> list[list[_Tokens]]:
    """Samples piece by piece. Raises RecordError if one cannot be encoded."""
    return [_tokens(sample, renderer) for sample in samples]


def _both_tokens(pair: PairTexts, renderer: Renderer) -> list[list[_Tokens]]:
    """The answers of a preference, of which everything after the prompt is one piece."""
    made = []
    for sample in (pair.chosen, pair.rejected):
        first, *rest = _tokens(sample, renderer)
        made.append([first, _Tokens([i for p in rest for i in p.ids], True, "".join(p.text for p in rest))])
    return made


def _tokens(sample: TextSample, renderer: Renderer) -> list[_Tokens]:
    encoded = renderer.encode([text for text, _ in sample.pieces])
    made = [_Tokens(ids, learnt, text) for ids, (text, learnt) in zip(encoded, sample.pieces, strict=True)]
    if sample.stop and renderer.end is not None:
        made[-1].ids.append(renderer.end)
    return made


def _finding(
    record: str, turn: int, name: str, tokens: Sequence[_Tokens], messages: Sequence[AnyMessage], check: Check
) -> Finding:
    """What the model sees of an answer, the last of some pieces, and what is odd about it."""
    decode = check.renderer.tokenizer.decode
    parts = tuple(Part(decode(t.ids), t.learnt) for t in tokens)
    finding = Finding(record, turn, name, parts, decode(tokens[-1].ids[-1:]), tuple(_odd(tokens, messages, check)))
    check.answers += 1
    check.odd.update(o.partition(":")[0] for o in finding.odd)
    return finding


def _odd(tokens: Sequence[_Tokens], messages: Sequence[AnyMessage], check: Check) -> Iterator[str]:
    """What is wrong with the last of some pieces."""
    renderer = check.renderer
    *before, answer = tokens
    if answer.ids[-1] not in renderer.ends:
        yield "never stops: the answer does not end with a token that stops the generation"
    prompt = "".join(t.text for t in before)
    opened = bool(_OPEN.search(prompt)) + len(_THINKING.findall(answer.text))
    if opened > max(1, len(messages)):
        yield "thinks twice: reasoning is opened again in the answer"
    if any(_call_as_text(m, renderer) for m in messages):
        yield "tool call as text: the answer spells a call that is in no tool_calls"
    if len(before) > 1 and renderer.encode([prompt])[0] != [i for t in before for i in t.ids]:
        yield "unseen tokens: at inference the text before the answer has other tokens"


def _call_as_text(message: AnyMessage, renderer: Renderer) -> bool:
    """Whether a message spells a token with which the template calls tools."""
    content = message.get("content")
    if not isinstance(content, str) or message.get("tool_calls"):
        return False
    return any(_CALL_NAMES.search(token) for token in renderer.controls.spelt(content))
