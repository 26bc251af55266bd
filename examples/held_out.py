"""Documents of JSON lines, and what is held out of them: whole texts, and all that resembles them."""

from __future__ import annotations

import glob
import hashlib
import html
import re
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import orjson
import pyarrow as pa

__all__ = ["Document", "as_read", "documents", "even", "split"]

Hashes = npt.NDArray[np.uint64]

HELD_OUT = 10  # one document in so many of the sources of --hold-out
SHINGLE = 20  # characters
MOST_SHARED = 0.2  # of a document's shingles, with the other side of the split


@dataclass(frozen=True)
class Document:
    """A text with its name and where it is from."""

    id: str
    source: str
    text: str


def even(text: str) -> str:
    """The text with one space or one newline in the place of all white space: bits measure what is said, not layout.

    Args:
        text: The text.
    """
    return re.sub(r"[^\S\n]+", " ", re.sub(r"\s*\n\s*", "\n", text)).strip()


def as_read(text: str) -> str:
    """The text as its readers see it, without tags and comments of HTML: for what is held out.

    Args:
        text: The text.
    """
    return html.unescape(re.sub(r"(?s)<!--.*?-->|</?[a-zA-Z][^<>\n]{0,200}>", "", text))


def _text_of(record: Mapping[str, Any]) -> str:
    """The text of a record: of a document its text, of a conversation the answers."""
    turns = record.get("data")
    if isinstance(turns, list):
        return "\n".join(turns[1::2])
    return str(record.get("text") or record.get("std_answer") or record.get("output") or "")


def documents(patterns: Iterable[str]) -> Iterator[Document]:
    """Records of JSON lines files: `text`, and where they have them `id` and `source`.

    Args:
        patterns: Paths or patterns; a folder stands for the JSON lines files below it.
    """
    for pattern in patterns:
        for name in sorted(glob.glob(pattern)):
            path = Path(name)
            files = sorted(path.rglob("*.jsonl*")) if path.is_dir() else [path]
            for file in files:
                with pa.input_stream(file, compression="detect") as stream:
                    for number, line in enumerate(stream.read().splitlines()):
                        record = orjson.loads(line)
                        if text := _text_of(record):
                            source = str(record.get("source", file.name.split(".")[0]))
                            yield Document(str(record.get("id", f"{file.name}-{number}")), source, text)


def _shingles(text: str) -> Hashes:
    """Hashes of a sample of the stretches of 20 letters of a text."""
    letters = np.frombuffer("".join(filter(str.isalnum, text)).encode("utf-32-le"), np.uint32).astype(np.uint64)
    if len(letters) < SHINGLE:
        return np.zeros(0, np.uint64)
    hashes = np.zeros(len(letters) - SHINGLE + 1, np.uint64)
    for i in range(SHINGLE):
        hashes = hashes * np.uint64(0x9E3779B97F4A7C15) + letters[i : i + len(hashes)]
    hashes ^= hashes >> np.uint64(29)
    return np.unique(hashes[hashes % np.uint64(8) == 0])


def _inside(some: Hashes, all_of_them: Hashes) -> npt.NDArray[np.bool_]:
    """Which hashes are among sorted ones."""
    at = np.minimum(np.searchsorted(all_of_them, some), len(all_of_them) - 1)
    return np.asarray(all_of_them[at] == some) if len(all_of_them) else np.zeros(len(some), np.bool_)


def split(
    pool: Iterable[Document], sources: Sequence[str], evaluation: Mapping[str, list[Document]]
) -> tuple[list[Document], dict[str, list[Document]]]:
    """Hold documents out, and take away what resembles them.

    Args:
        pool: All documents.
        sources: Sources of which a tenth is held out, by the hash of the first line, so that versions of a
            text fall together.
        evaluation: Documents that are held out anyway, by domain.

    Returns:
        The pool without held-out documents and without those of which a fifth is in them; and the held-out documents
        by domain, without those of which a half is in the pool.
    """
    kept: list[Document] = []
    held = {name: list(listed) for name, listed in evaluation.items()}
    for document in pool:
        title = document.text.lstrip().split("\n", 1)[0][:40]
        number = int.from_bytes(hashlib.blake2b(title.encode(), digest_size=8).digest(), "big")
        if document.source in sources and number % HELD_OUT == 0:
            held.setdefault(document.source, []).append(document)
        else:
            kept.append(document)
    seen = np.unique(np.concatenate([_shingles(d.text) for listed in held.values() for d in listed]))
    in_pool: list[Hashes] = []
    clean: list[Document] = []
    for document in kept:
        own = _shingles(document.text)
        shared = own[_inside(own, seen)]
        if len(shared) <= MOST_SHARED * len(own):
            clean.append(document)
            in_pool.append(shared)
    left = np.unique(np.concatenate(in_pool))

    def is_new(document: Document) -> bool:
        own = _shingles(document.text)
        return int(_inside(own, left).sum()) * 2 <= len(own)

    return clean, {name: [d for d in listed if is_new(d)] for name, listed in held.items()}
