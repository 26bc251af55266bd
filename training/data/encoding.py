"""Records as tokens with targets. Imports little, because every encoding process starts with it."""

from __future__ import annotations

import functools
import itertools
import os
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Literal, NamedTuple

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.compute as pc

from raylib.errors import RecordError, TrainingError
from raylib.extras import optional
from raylib.schema import text_of
from training.data.templates import Renderer
from training.data.token_set import Kind
from training.data.tokenizer import Tokenizer, saved_tokenizer

if TYPE_CHECKING:
    from tokenizers import Tokenizer as FastTokenizer

__all__ = ["Encoded", "EncoderPlace", "TokenOptions", "Tools", "encode", "encode_there", "packed"]


@dataclass(frozen=True)
class TokenOptions:
    """How records become tokens.

    Attributes:
        kind: Kind of samples; `auto` decides by the first record.
        template: Name of the template of conversations; `auto` uses the tokenizer's own.
        max_tokens: Largest length of a sample in tokens; longer ones are cut, a prompt at its start and then answers
            at their end. 0 cuts nothing.
        max_prompt: Number of tokens that the prompt of a preference keeps when the pair is too long.
        seed: Seed of the shuffle.
    """

    kind: Literal["auto", "pretrain", "sft", "preference"] = "auto"
    template: str = "auto"
    max_tokens: int = 0
    max_prompt: int = 1024
    seed: int = 0


@dataclass
class Encoded:
    """Samples, one after the other.

    Attributes:
        ids: All tokens, uint32.
        targets: Whether each token is a target, uint8, or None for pretraining.
        lengths: Length of each sequence, int64; a preference is three of them.
        tokens: Number of tokens by source.
        records: Number of records by source.
        dropped: Number of records left out, by reason.
        cut: Number of samples that were shortened.
    """

    ids: npt.NDArray[np.uint32]
    targets: npt.NDArray[np.uint8] | None
    lengths: npt.NDArray[np.int64]
    tokens: Counter[str] = field(default_factory=Counter)
    records: Counter[str] = field(default_factory=Counter)
    dropped: Counter[str] = field(default_factory=Counter)
    cut: int = 0


class EncoderPlace(NamedTuple):
    """Where another process finds its tokenizer.

    Attributes:
        folder: Folder of the whole tokenizer.
        bare: File of the tokenizer without transformers around it; it exists only for pretraining.
        borders: Ids of the tokens that begin and end a text.
    """

    folder: str
    bare: str
    borders: tuple[int | None, int | None]


class Tools:
    """What a process encodes with.

    Attributes:
        tokenizer: The tokenizer, or None in a process that has only the bare one.
        backend: The tokenizer without transformers around it, if it has one.
        borders: Ids of the tokens that begin and end a text.
        renderer: Renders conversations; None for pretraining.
    """

    def __init__(self, tokenizer: Tokenizer, kind: Kind, options: TokenOptions) -> None:
        self.tokenizer: Tokenizer | None = tokenizer
        self.backend: FastTokenizer | None = getattr(tokenizer, "backend_tokenizer", None)
        self.borders = (tokenizer.bos_token_id, tokenizer.eos_token_id)
        self.renderer = Renderer(tokenizer, options.template) if kind != "pretrain" else None


@dataclass
class BareTools:
    """Tools for pretraining text: the bare tokenizer, which loads quickly."""

    backend: FastTokenizer
    borders: tuple[int | None, int | None]
    tokenizer: None = None
    renderer: None = None


@functools.lru_cache(maxsize=2)
def _tools_there(place: EncoderPlace, kind: Kind, options: TokenOptions) -> Tools | BareTools:
    """Tools of a worker process, made once."""
    os.environ["TOKENIZERS_PARALLELISM"] = "false"
    if os.path.exists(place.bare):
        tokenizers = optional("tokenizers", purpose="raylib tokenize")
        return BareTools(tokenizers.Tokenizer.from_file(place.bare), place.borders)
    return Tools(saved_tokenizer(place.folder), kind, options)


def packed(rows: pa.Table) -> bytes:
    """A table as bytes for another process."""
    sink = pa.BufferOutputStream()
    with pa.ipc.new_stream(sink, rows.schema) as stream:
        stream.write_table(rows)
    return bytes(sink.getvalue())


def encode_there(rows: bytes, sources: list[str], place: EncoderPlace, options: TokenOptions, kind: Kind) -> Encoded:
    """`encode` of `packed` rows, in another process."""
    return encode(pa.ipc.open_stream(rows).read_all(), sources, _tools_there(place, kind, options), options, kind)


def encode(rows: pa.Table, sources: list[str], tools: Tools | BareTools, options: TokenOptions, kind: Kind) -> Encoded:
    """A batch of records as tokens.

    Args:
        rows: The records.
        sources: Source of each record.
        tools: What to encode with.
        options: How to cut and render.
        kind: Kind of samples to make.

    Raises:
        TrainingError: if the records are not of the kind.
    """
    if kind == "pretrain":
        return _pretrain(rows, sources, tools)
    collected = _Collected()
    if tools.renderer is None:
        raise TrainingError(f"{kind} needs a tokenizer that renders conversations")
    make = _sft if kind == "sft" else _preferences
    make(rows, sources, tools.renderer, options, collected)
    return collected.encoded()


@dataclass
class _Collected:
    """Samples of a batch, one by one."""

    ids: list[int] = field(default_factory=list)
    targets: list[bool] = field(default_factory=list)
    lengths: list[int] = field(default_factory=list)
    tokens: Counter[str] = field(default_factory=Counter)
    records: Counter[str] = field(default_factory=Counter)
    dropped: Counter[str] = field(default_factory=Counter)
    cut: int = 0

    def add(self, ids: Sequence[int], targets: Sequence[bool]) -> None:
        """Append a sequence."""
        self.ids += ids
        self.targets += targets
        self.lengths.append(len(ids))

    def encoded(self) -> Encoded:
        """Everything as arrays."""
        return Encoded(
            ids=np.array(self.ids, np.uint32),
            targets=np.array(self.targets, np.uint8),
            lengths=np.array(self.lengths, np.int64),
            tokens=self.tokens,
            records=self.records,
            dropped=self.dropped,
            cut=self.cut,
        )


def _pretrain(rows: pa.Table, sources: list[str], tools: Tools | BareTools) -> Encoded:
    """Texts, each between the tokens that begin and end one."""
    encoded = _text_ids(pc.fill_null(text_of(rows), "").to_pylist(), tools)
    begin, end = ([] if i is None else [i] for i in tools.borders)
    extra = len(begin) + len(end)
    made = [(ids, source) for ids, source in zip(encoded, sources, strict=True) if ids]
    lengths = np.array([len(ids) + extra for ids, _ in made], np.int64)
    chained = itertools.chain.from_iterable(itertools.chain(begin, ids, end) for ids, _ in made)
    out = Encoded(np.fromiter(chained, np.uint32, int(lengths.sum())), None, lengths)
    for (_, source), length in zip(made, lengths.tolist(), strict=True):
        out.tokens[source] += length
        out.records[source] += 1
    if len(made) < len(encoded):
        out.dropped["empty"] = len(encoded) - len(made)
    return out


def _text_ids(texts: list[str], tools: Tools | BareTools) -> list[list[int]]:
    """Token ids of texts, without the tokens that begin and end one."""
    if tools.backend is not None:
        return [e.ids for e in tools.backend.encode_batch_fast(texts, add_special_tokens=False)]
    if tools.tokenizer is None:
        raise TrainingError("no tokenizer to encode with")
    return tools.tokenizer(texts, add_special_tokens=False)["input_ids"]


def _sft(rows: pa.Table, sources: list[str], renderer: Renderer, options: TokenOptions, out: _Collected) -> None:
    """Conversations, whose answers are targets."""
    if "messages" not in rows.column_names:
        raise TrainingError("sft needs conversations, but these records have no messages")
    for messages, source in zip(rows["messages"].to_pylist(), sources, strict=True):
        try:
            made = renderer.conversation(messages or [])
        except RecordError as error:
            out.dropped[error.reason] += 1
            continue
        ids, targets = made.ids, made.targets
        if options.max_tokens and len(ids) > options.max_tokens:
            out.cut += 1
            ids, targets = _shortened(ids, targets, options.max_tokens)
            if not any(targets):
                out.dropped["targets_cut"] += 1
                continue
        out.add(ids, targets)
        out.tokens[source] += len(ids)
        out.records[source] += 1


def _shortened(ids: list[int], targets: list[bool], limit: int) -> tuple[list[int], list[bool]]:
    """Cut the start of the prompt, then the end of the sample. A quarter of the limit stays for the prompt's end."""
    first = targets.index(True)
    room = max(limit // 4, limit - (len(ids) - first))  # for the tokens before the first answer
    drop = max(0, first - room)
    return ids[drop : drop + limit], targets[drop : drop + limit]


@dataclass
class _Pair:
    """Tokens of a preference."""

    prompt: list[int]
    chosen: list[int]
    rejected: list[int]

    def shortened(self, options: TokenOptions) -> _Pair:
        """Cut the start of the prompt to `max_prompt` or more, then the ends of both answers."""
        limit, longest = options.max_tokens, max(len(self.chosen), len(self.rejected))
        keep = max(min(options.max_prompt, limit - 1), limit - longest)
        prompt = self.prompt[-keep:]
        room = limit - len(prompt)
        return _Pair(prompt, self.chosen[:room], self.rejected[:room])


def _preferences(
    rows: pa.Table, sources: list[str], renderer: Renderer, options: TokenOptions, out: _Collected
) -> None:
    """Preferences: a prompt and two answers, which are targets."""
    columns = (rows["prompt"].to_pylist(), rows["chosen"].to_pylist(), rows["rejected"].to_pylist())
    for prompt, chosen, rejected, source in zip(*columns, sources, strict=True):
        if not chosen or not rejected:
            out.dropped["empty_answer"] += 1
            continue
        try:
            asked = renderer.prompt(prompt)
        except RecordError as error:
            out.dropped[error.reason] += 1
            continue
        pair = _Pair(asked, renderer.answer(chosen), renderer.answer(rejected))
        if pair.chosen == pair.rejected:
            out.dropped["equal_answers"] += 1
            continue
        longest = max(len(pair.chosen), len(pair.rejected))
        if options.max_tokens and len(pair.prompt) + longest > options.max_tokens:
            out.cut += 1
            pair = pair.shortened(options)
            if pair.chosen == pair.rejected:
                out.dropped["answers_cut_equal"] += 1
                continue
        for ids, target in ((pair.prompt, False), (pair.chosen, True), (pair.rejected, True)):
            out.add(ids, [target] * len(ids))
            out.tokens[source] += len(ids)
        out.records[source] += 1
