"""The part of a transformers tokenizer that rendering uses."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Protocol

from raylib.errors import ParameterError
from raylib.foreign_json import read_json

__all__ = ["AddedToken", "ChatTokenizer", "stop_ids"]


class AddedToken(Protocol):
    """A token that a tokenizer recognises before it splits a text."""

    content: str
    special: bool


class ChatTokenizer(Protocol):
    """A tokenizer as transformers loads it."""

    chat_template: object

    @property
    def bos_token(self) -> str | None:
        """Token that begins a text, if there is one."""

    @property
    def eos_token(self) -> str | None:
        """Token that ends a text, if there is one."""

    @property
    def eos_token_id(self) -> int | None:
        """Id of `eos_token`."""

    @property
    def added_tokens_decoder(self) -> Mapping[int, AddedToken]:
        """Added tokens by id."""

    def __call__(self, text: list[str], *, add_special_tokens: bool) -> Mapping[str, list[list[int]]]:
        """Token ids of texts, under the key `input_ids`."""

    def encode(self, text: str, *, add_special_tokens: bool) -> list[int]:
        """Token ids of a text."""

    def decode(self, token_ids: Sequence[int], *, skip_special_tokens: bool = False) -> str:
        """Text of token ids."""

    def convert_tokens_to_ids(self, tokens: str) -> int | None:
        """Id of a token."""


def stop_ids(folder: str | Path) -> list[int]:
    """Ids of the tokens at which a model stops, as its `generation_config.json` lists them; empty without one.

    Args:
        folder: Path of the folder of a model or tokenizer.

    Raises:
        ParameterError: The file is not JSON, or its `eos_token_id` is neither a number nor a list of numbers.
    """
    path = Path(folder) / "generation_config.json"
    if not path.is_file():
        return []
    found = read_json(path, dict[str, object], ParameterError).get("eos_token_id")
    ids = found if isinstance(found, list) else [] if found is None else [found]
    numbers = [i for i in ids if isinstance(i, int)]
    if len(numbers) < len(ids):
        raise ParameterError(f"{path}: eos_token_id should be a number or a list of numbers, is {found!r}")
    return numbers
