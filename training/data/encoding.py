"""Records as tokens with targets. Imports little, because every encoding process starts with it."""

from __future__ import annotations

import itertools
import os
from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, NamedTuple

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from raylib.chat import Renderer, stop_ids
from raylib.errors import TrainingError
from raylib.extras import optional
from raylib.schema import text_of
from training.data.chats import ChatRecords, pairs, sft_samples
from training.data.encoded import Encoded, Refused, TokenOptions
from training.data.token_set import Kind
from training.data.tokenizer import Tokenizer, saved_tokenizer

if TYPE_CHECKING:
    from tokenizers import Tokenizer as FastTokenizer

__all__ = ["EncoderPlace", "Tools", "encode", "encode_there", "packed"]


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

    def __init__(self, tokenizer: Tokenizer, kind: Kind, options: TokenOptions, stops: Sequence[int] = ()) -> None:
        self.tokenizer: Tokenizer | None = tokenizer
        self.backend: FastTokenizer | None = getattr(tokenizer, "backend_tokenizer", None)
        self.borders = (tokenizer.bos_token_id, tokenizer.eos_token_id)
        self.renderer = Renderer(tokenizer, options.render, stops=stops) if kind != "pretrain" else None
        if kind == "pretrain" and self.backend is not None:
            self.backend.encode_special_tokens = True  # an article that spells `</s>` does not end there


@dataclass
class BareTools:
    """Tools for pretraining text: the bare tokenizer, which loads quickly."""

    backend: FastTokenizer
    borders: tuple[int | None, int | None]
    tokenizer: None = None
    renderer: None = None


_MADE: dict[str, Tools | BareTools] = {}


def _tools_there(place: EncoderPlace, kind: Kind, options: TokenOptions) -> Tools | BareTools:
    """Tools of a worker process, made once."""
    key = repr((place, kind, options))
    if key not in _MADE:
        _MADE.clear()
        _MADE[key] = _new_tools(place, kind, options)
    return _MADE[key]


def _new_tools(place: EncoderPlace, kind: Kind, options: TokenOptions) -> Tools | BareTools:
    os.environ["TOKENIZERS_PARALLELISM"] = "false"
    if os.path.exists(place.bare):
        tokenizers = optional("tokenizers", purpose="raylib tokenize")
        bare = tokenizers.Tokenizer.from_file(place.bare)
        bare.encode_special_tokens = True
        return BareTools(bare, place.borders)
    return Tools(saved_tokenizer(place.folder), kind, options, stop_ids(place.folder))


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
    if tools.renderer is None:
        raise TrainingError(f"{kind} needs a tokenizer that renders conversations")
    records = ChatRecords.of(rows, sources)
    return sft_samples(records, tools.renderer, options) if kind == "sft" else pairs(records, tools.renderer, options)


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
    empty = np.flatnonzero([not ids for ids in encoded]).tolist()
    names = rows["id"].to_pylist() if empty else []
    out.refused += [Refused(names[i], "empty", "the document has no text") for i in empty]
    return out


def _text_ids(texts: list[str], tools: Tools | BareTools) -> list[list[int]]:
    """Token ids of texts, without the tokens that begin and end one."""
    if tools.backend is not None:
        return [e.ids for e in tools.backend.encode_batch_fast(texts, add_special_tokens=False)]
    if tools.tokenizer is None:
        raise TrainingError("no tokenizer to encode with")
    return tools.tokenizer(texts, add_special_tokens=False)["input_ids"]
