"""Records as tokens with targets. Imports little: processes that encode start with it."""

from __future__ import annotations

import functools
import itertools
import os
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, field
from types import SimpleNamespace
from typing import Any, Literal

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from raylib.errors import RecordError, TrainingError
from raylib.schema import text_of
from training.data.templates import Renderer

__all__ = ["Encoded", "TokenOptions", "Tools", "encode", "encode_there", "packed"]


Array = np.ndarray[Any, Any]


@dataclass(frozen=True)
class TokenOptions:
    """kind: pretrain, sft or preference; auto: by the records. template: of conversations. max_tokens: longer samples
    are cut: a prompt at its start, then answers at their end; 0: no limit. max_prompt: of preferences, tokens that a
    prompt keeps when a pair is too long. seed: of the shuffle."""

    kind: Literal["auto", "pretrain", "sft", "preference"] = "auto"
    template: str = "auto"
    max_tokens: int = 0
    max_prompt: int = 1024
    seed: int = 0


@dataclass
class Encoded:
    """Samples one after the other.

    ids: uint32, all tokens. targets: uint8, as long, or None. lengths: int64, of each sequence; a sample is `width` of
    them. tokens, records: by source. dropped: by reason. cut: samples that were shortened.
    """

    ids: Array
    targets: Array | None
    lengths: Array
    tokens: Counter[str] = field(default_factory=Counter)
    records: Counter[str] = field(default_factory=Counter)
    dropped: Counter[str] = field(default_factory=Counter)
    cut: int = 0


class Tools:
    """What a process encodes with. backend: the tokenizer without transformers around it, if it has one."""

    def __init__(self, tokenizer: Any, kind: str, options: TokenOptions) -> None:
        self.tokenizer = tokenizer
        self.backend = getattr(tokenizer, "backend_tokenizer", None)
        self.borders = (tokenizer.bos_token_id, tokenizer.eos_token_id)
        self.renderer = Renderer(tokenizer, options.template) if kind != "pretrain" else None


@functools.lru_cache(maxsize=2)
def _tools_there(place: tuple[Any, ...], kind: str, options: TokenOptions) -> Any:
    """Tools of a worker process, made once. Text needs the bare tokenizer only, which loads at once."""
    os.environ["TOKENIZERS_PARALLELISM"] = "false"
    path, bare, borders = place
    if os.path.exists(bare):
        from tokenizers import Tokenizer

        return SimpleNamespace(backend=Tokenizer.from_file(bare), borders=borders, renderer=None)
    from transformers import AutoTokenizer

    return Tools(AutoTokenizer.from_pretrained(path, local_files_only=True, trust_remote_code=False), kind, options)


def packed(rows: pa.Table) -> bytes:
    """A table as bytes for another process."""
    sink = pa.BufferOutputStream()
    with pa.ipc.new_stream(sink, rows.schema) as stream:
        stream.write_table(rows)
    return bytes(sink.getvalue())


def encode_there(rows: bytes, sources: list[str], place: tuple[Any, ...], options: TokenOptions, kind: str) -> Encoded:
    """`encode` of `packed` rows, in another process."""
    return encode(pa.ipc.open_stream(rows).read_all(), sources, _tools_there(place, kind, options), options, kind)


def encode(rows: pa.Table, sources: list[str], tools: Any, options: TokenOptions, kind: str) -> Encoded:
    """A batch of records as tokens; sources: of each record."""
    if kind == "pretrain":
        return _pretrain(rows, sources, tools)
    made = _Collected()
    (_sft if kind == "sft" else _preferences)(rows, sources, tools.renderer, options, made)
    return made.encoded()


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
        self.ids += ids
        self.targets += targets
        self.lengths.append(len(ids))

    def encoded(self) -> Encoded:
        return Encoded(np.array(self.ids, np.uint32), np.array(self.targets, np.uint8), np.array(self.lengths, np.int64), self.tokens, self.records, self.dropped, self.cut)  # fmt: skip


def _pretrain(rows: pa.Table, sources: list[str], tools: Any) -> Encoded:
    """Texts, each between the tokens that begin and end one."""
    texts = pc.fill_null(text_of(rows), "").to_pylist()
    if tools.backend is not None:
        encoded = [e.ids for e in tools.backend.encode_batch_fast(texts, add_special_tokens=False)]
    else:
        encoded = tools.tokenizer(texts, add_special_tokens=False)["input_ids"]
    begin, end = ([] if i is None else [i] for i in tools.borders)
    extra = len(begin) + len(end)
    made = [(e, s) for e, s in zip(encoded, sources, strict=True) if e]
    lengths = np.array([len(e) + extra for e, _ in made], np.int64)
    chained = itertools.chain.from_iterable(itertools.chain(begin, e, end) for e, _ in made)
    out = Encoded(np.fromiter(chained, np.uint32, int(lengths.sum())), None, lengths)
    for (_, source), length in zip(made, lengths.tolist(), strict=True):
        out.tokens[source] += length
        out.records[source] += 1
    if len(made) < len(encoded):
        out.dropped["empty"] = len(encoded) - len(made)
    return out


def _sft(rows: pa.Table, sources: list[str], renderer: Renderer, options: TokenOptions, part: _Collected) -> None:
    if "messages" not in rows.column_names:
        raise TrainingError("sft needs conversations; these records are none")
    for messages, source in zip(rows["messages"].to_pylist(), sources, strict=True):
        try:
            made = renderer.conversation(messages or [])
        except RecordError as error:
            part.dropped[error.reason] += 1
            continue
        ids, targets = made.ids, made.targets
        if options.max_tokens and len(ids) > options.max_tokens:
            part.cut += 1
            ids, targets = _shortened(ids, targets, options.max_tokens)
            if not any(targets):
                part.dropped["targets_cut"] += 1
                continue
        part.add(ids, targets)
        part.tokens[source] += len(ids)
        part.records[source] += 1


def _shortened(ids: list[int], targets: list[bool], limit: int) -> tuple[list[int], list[bool]]:
    """The prompt loses its start, keeping its end and at least a quarter of the room for the answer; then the end goes."""
    first = targets.index(True)
    room = max(limit // 4, limit - (len(ids) - first))  # for what stands before the first answer
    drop = max(0, first - room)
    return ids[drop : drop + limit], targets[drop : drop + limit]


def _preferences(
    rows: pa.Table, sources: list[str], renderer: Renderer, options: TokenOptions, part: _Collected
) -> None:
    columns = (rows["prompt"].to_pylist(), rows["chosen"].to_pylist(), rows["rejected"].to_pylist())
    for prompt, chosen, rejected, source in zip(*columns, sources, strict=True):
        if not chosen or not rejected:
            part.dropped["empty_answer"] += 1
            continue
        try:
            asked = renderer.prompt(prompt)
        except RecordError as error:
            part.dropped[error.reason] += 1
            continue
        good, bad = renderer.answer(chosen), renderer.answer(rejected)
        if good == bad:
            part.dropped["equal_answers"] += 1
            continue
        limit = options.max_tokens
        if limit and len(asked) + max(len(good), len(bad)) > limit:
            part.cut += 1
            keep = max(min(options.max_prompt, limit - 1), limit - max(len(good), len(bad)))
            asked = asked[-keep:]
            good, bad = good[: limit - len(asked)], bad[: limit - len(asked)]
            if good == bad:
                part.dropped["answers_cut_equal"] += 1
                continue
        for ids, target in ((asked, False), (good, True), (bad, True)):
            part.add(ids, [target] * len(ids))
            part.tokens[source] += len(ids)
        part.records[source] += 1
