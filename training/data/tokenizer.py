"""The part of a transformers tokenizer that training uses, and loading one from a folder."""

from __future__ import annotations

from pathlib import Path
from typing import Protocol

from raylib.chat import ChatTokenizer
from raylib.extras import optional
from raylib.model_folders import loaded, tokenizer_folder

__all__ = ["Tokenizer", "pad_id", "saved_tokenizer"]


class Tokenizer(ChatTokenizer, Protocol):
    """A tokenizer as transformers loads it."""

    @property
    def bos_token_id(self) -> int | None:
        """Id of `bos_token`."""

    @property
    def pad_token_id(self) -> int | None:
        """Id of the token that fills up rows, if there is one."""

    def __len__(self) -> int: ...

    def save_pretrained(self, save_directory: str | Path) -> object:
        """Write the tokenizer's files to a folder."""


def saved_tokenizer(folder: str | Path, option: str = "tokenizer") -> Tokenizer:
    """The tokenizer in a local folder. Nothing is downloaded, and code of the folder is never run.

    Args:
        folder: Path of the folder.
        option: Option that names it, for messages.

    Raises:
        ParameterError: if there is no such folder, or no tokenizer in it.
    """
    place = tokenizer_folder(str(folder), option)
    transformers = optional("transformers", purpose="a tokenizer")

    def load() -> Tokenizer:
        made: Tokenizer = transformers.AutoTokenizer.from_pretrained(
            place, local_files_only=True, trust_remote_code=False
        )
        return made

    return loaded(load, place, option)


def pad_id(tokenizer: Tokenizer) -> int:
    """Id that fills up rows: the padding token, or the end-of-text token, or 0."""
    if tokenizer.pad_token_id is not None:
        return tokenizer.pad_token_id
    return tokenizer.eos_token_id or 0
