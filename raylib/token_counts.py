"""Counting tokens with a `tokenizers` tokenizer."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Protocol

from raylib.errors import SourceError
from raylib.extras import optional

__all__ = ["Encoding", "Tokenizer", "load_tokenizer"]


class Encoding(Protocol):
    """The tokens of one text."""

    @property
    def ids(self) -> Sequence[int]:
        """Ids of the tokens."""
        ...


class Tokenizer(Protocol):
    """What is used of a `tokenizers` tokenizer."""

    def encode_batch_fast(self, input: list[str], *, add_special_tokens: bool) -> Sequence[Encoding]:
        """The tokens of each text, without their offsets."""
        ...


def load_tokenizer(path: str) -> Tokenizer:
    """Load a tokenizer.

    Args:
        path: Path of a `tokenizer.json`, or of the folder that holds it.

    Raises:
        RaylibError: The package `tokenizers` is not installed.
        SourceError: There is no tokenizer at this path.
    """
    tokenizers = optional("tokenizers", purpose="counting tokens")
    file = Path(path)
    file = file / "tokenizer.json" if file.is_dir() else file
    if not file.is_file():
        raise SourceError(f"no tokenizer at {path}; give a tokenizer.json, or the folder that holds one")
    tokenizer: Tokenizer = tokenizers.Tokenizer.from_file(str(file))
    return tokenizer
