"""Counting tokens with a `tokenizers` tokenizer."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Protocol

from raylib.errors import SourceError
from raylib.extras import optional
from raylib.model_folders import tokenizer_folder

__all__ = ["Encoding", "Tokenizer", "check_tokenizer", "load_tokenizer"]


class Encoding(Protocol):
    """The tokens of one text."""

    @property
    def ids(self) -> Sequence[int]:
        """Ids of the tokens."""
        ...


class Tokenizer(Protocol):
    """What is used of a `tokenizers` tokenizer."""

    encode_special_tokens: bool

    def encode_batch_fast(self, input: list[str], *, add_special_tokens: bool) -> Sequence[Encoding]:
        """The tokens of each text, without their offsets."""
        ...


def load_tokenizer(path: str, option: str = "tokenizer") -> Tokenizer:
    """Load a tokenizer.

    Args:
        path: Path of a `tokenizer.json`, or of the folder that holds it.
        option: Option that names it, for messages.

    Raises:
        RaylibError: The package `tokenizers` is not installed, or there is no tokenizer at this path.
    """
    tokenizers = optional("tokenizers", purpose="counting tokens")
    file = Path(path)
    file = file / "tokenizer.json" if file.is_dir() else file
    if not file.is_file():
        check_tokenizer(path, option)
    try:
        tokenizer: Tokenizer = tokenizers.Tokenizer.from_file(str(file))
    except Exception as error:  # noqa: BLE001 - the package raises nothing more exact
        raise SourceError(f"{option}: {file} is not a tokenizer.json: {error}") from None
    tokenizer.encode_special_tokens = True  # what a text spells is text, as in the tokens of training
    return tokenizer


def check_tokenizer(path: str, option: str = "tokenizer") -> None:
    """Check that there is a tokenizer.

    Args:
        path: Path of a `tokenizer.json`, or of the folder that holds it.
        option: Option that names it, for messages.

    Raises:
        RaylibError: There is none at this path.
    """
    file = Path(path)
    if file.is_file() or (file / "tokenizer.json").is_file():
        return
    if file.is_dir():
        advice = "give a tokenizer.json, or the folder that holds one"
        raise SourceError(f"{option}: the folder {path!r} holds no tokenizer; {advice}")
    tokenizer_folder(path, option)
