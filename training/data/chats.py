"""Conversations and preferences as samples of tokens."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import orjson
import pyarrow as pa

from raylib.chat import Renderer, Sample, TextSample
from raylib.errors import RecordError, TrainingError
from raylib.messages import AnyMessage, Message, message_lists
from training.data.encoded import Collected, Encoded, Refused, TokenOptions

__all__ = ["ChatRecords", "PairTexts", "pair_texts", "pairs", "sft_samples", "tools_of"]


@dataclass(frozen=True)
class ChatRecords:
    """A table of conversations or preferences.

    Attributes:
        table: The table.
        names: Id of each record.
        sources: Source of each record.
        tools: Tools of each record; None where it has none.
    """

    table: pa.Table
    names: list[str]
    sources: list[str]
    tools: list[list[object] | None]

    @classmethod
    def of(cls, table: pa.Table, sources: list[str]) -> ChatRecords:
        """The records of a table."""
        return cls(table, table["id"].to_pylist(), sources, tools_of(table))

    def messages(self, column: str, kind: str) -> list[list[Message]]:
        """The messages of a column. Raises TrainingError if there is no such column."""
        if column not in self.table.column_names:
            raise TrainingError(f"{kind} needs records with {column}, but these have {self.table.column_names}")
        return message_lists(self.table[column])


def tools_of(table: pa.Table) -> list[list[object] | None]:
    """Tools of each record of a table; None where it has none."""
    if "tools" not in table.column_names:
        return [None] * len(table)
    return [None if text is None else orjson.loads(text) for text in table["tools"].to_pylist()]


def sft_samples(records: ChatRecords, renderer: Renderer, options: TokenOptions) -> Encoded:
    """Conversations, whose answers are targets.

    Args:
        records: The conversations.
        renderer: Writes them.
        options: How to cut.

    Raises:
        TrainingError: if the records are no conversations.
    """
    out = Collected()
    texts: list[TextSample] = []
    owners: list[int] = []
    lists = records.messages("messages", "sft")
    for i, messages in enumerate(lists):
        try:
            plan = renderer.plan(messages, records.tools[i])
        except RecordError as error:
            out.refused.append(Refused(records.names[i], error.reason, error.detail))
            continue
        out.unlearnt.update(plan.unlearnt)
        out.expanded += len(plan.samples) > 1
        texts += plan.samples
        owners += [i] * len(plan.samples)
    for owner, made in _by_record(owners, renderer.samples(texts)):
        _add_record(made, records.names[owner], records.sources[owner], options, out)
    return out.encoded()


def _by_record(
    owners: Sequence[int], samples: Sequence[Sample | RecordError]
) -> Iterator[tuple[int, list[Sample | RecordError]]]:
    """Samples that belong to the same record."""
    begin = 0
    for end in range(1, len(owners) + 1):
        if end == len(owners) or owners[end] != owners[begin]:
            yield owners[begin], list(samples[begin:end])
            begin = end


def _add_record(
    samples: Sequence[Sample | RecordError], name: str, source: str, options: TokenOptions, out: Collected
) -> None:
    """Add the samples of a record, unless one of them cannot be encoded."""
    for sample in samples:
        if isinstance(sample, RecordError):
            out.refused.append(Refused(name, sample.reason, sample.detail))
            return
    lost = 0
    for sample in samples:
        assert isinstance(sample, Sample)
        ids, targets = sample.ids, sample.targets
        if options.max_tokens and len(ids) > options.max_tokens:
            out.cut += 1
            ids, targets = _shortened(ids, targets, options.max_tokens)
            if not any(targets):
                lost += 1
                continue
        out.add(ids, targets, source)
        out.records[source] += 1
    if lost == len(samples):
        out.refused.append(Refused(name, "targets_cut", f"no answer is left within {options.max_tokens} tokens"))
    elif lost:
        out.unlearnt["targets_cut"] += lost


def _shortened(ids: list[int], targets: list[bool], limit: int) -> tuple[list[int], list[bool]]:
    """Cut the start of the prompt, then the end of the sample. A quarter of the limit stays for the prompt's end."""
    first = targets.index(True)
    room = max(limit // 4, limit - (len(ids) - first))  # for the tokens before the first answer
    drop = max(0, first - room)
    return ids[drop : drop + limit], targets[drop : drop + limit]


@dataclass(frozen=True)
class PairTexts:
    """A preference as text: two samples that begin with the same prompt.

    Attributes:
        chosen: Prompt and chosen answer.
        rejected: Prompt and rejected answer.
    """

    chosen: TextSample
    rejected: TextSample


def pair_texts(
    renderer: Renderer,
    prompt: Sequence[AnyMessage],
    answers: tuple[Sequence[AnyMessage], Sequence[AnyMessage]],
    tools: Sequence[object] | None,
) -> PairTexts:
    """A preference as text.

    Args:
        renderer: Writes it.
        prompt: Messages before the answers.
        answers: Messages of the chosen and of the rejected answer.
        tools: Tools of the record.

    Raises:
        RecordError: An answer cannot be learnt, or the template writes another prompt before one than the other.
    """
    chosen, rejected = (renderer.reply(prompt, answer, tools) for answer in answers)
    if chosen.pieces[0] != rejected.pieces[0]:
        raise RecordError("template_rewrites", "the chat template writes the prompt otherwise before either answer")
    if chosen.pieces == rejected.pieces:
        raise RecordError("equal_answers", "chosen and rejected are the same")
    return PairTexts(chosen, rejected)


@dataclass
class _Answer:
    """Tokens of an answer, and whether each is a target."""

    ids: list[int]
    targets: list[bool]

    def shortened(self, limit: int) -> _Answer:
        """The first tokens."""
        return _Answer(self.ids[:limit], self.targets[:limit])


def pairs(records: ChatRecords, renderer: Renderer, options: TokenOptions) -> Encoded:
    """Preferences: a prompt and two answers, which are targets.

    Args:
        records: The preferences.
        renderer: Writes them.
        options: How to cut.

    Raises:
        TrainingError: if the records are no preferences.
    """
    out = Collected()
    prompts, chosen, rejected = (records.messages(n, "preference") for n in ("prompt", "chosen", "rejected"))
    texts: list[TextSample] = []
    owners: list[int] = []
    for i, prompt in enumerate(prompts):
        try:
            pair = pair_texts(renderer, prompt, (chosen[i], rejected[i]), records.tools[i])
        except RecordError as error:
            out.refused.append(Refused(records.names[i], error.reason, error.detail))
            continue
        texts += [TextSample(pair.chosen.pieces[:1], [], stop=False), _without_prompt(pair.chosen)]
        texts.append(_without_prompt(pair.rejected))
        owners.append(i)
    made = renderer.samples(texts)
    for k, i in enumerate(owners):
        problem = _add_pair(made[3 * k : 3 * k + 3], records.sources[i], options, out)
        if problem is not None:
            out.refused.append(Refused(records.names[i], problem.reason, problem.detail))
    return out.encoded()


def _without_prompt(sample: TextSample) -> TextSample:
    return TextSample(sample.pieces[1:], sample.turns, sample.stop)


def _add_pair(
    made: Sequence[Sample | RecordError], source: str, options: TokenOptions, out: Collected
) -> RecordError | None:
    """Add the three sequences of a preference; returns why it cannot be learnt."""
    for part in made:
        if isinstance(part, RecordError):
            return part
    asked, *both = [_Answer(part.ids, part.targets) for part in made if isinstance(part, Sample)]
    if both[0].ids == both[1].ids:
        return RecordError("equal_answers", "chosen and rejected have the same tokens")
    longest = max(len(answer.ids) for answer in both)
    limit = options.max_tokens
    if limit and len(asked.ids) + longest > limit:
        # the start of the prompt goes, then the ends of both answers
        keep = max(min(options.max_prompt, limit - 1), limit - longest)
        asked = _Answer(asked.ids[-keep:], asked.targets[-keep:])
        both = [answer.shortened(limit - len(asked.ids)) for answer in both]
        out.cut += 1
        if both[0].ids == both[1].ids:
            return RecordError("answers_cut_equal", f"within {limit} tokens both answers are the same")
        if not all(any(answer.targets) for answer in both):
            return RecordError("targets_cut", f"within {limit} tokens nothing of an answer is learnt")
    for answer in (asked, *both):
        out.add(answer.ids, answer.targets, source)
    out.records[source] += 1
    return None
