"""A token folder opened for training."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Literal, TypedDict, cast

import numpy as np
import numpy.typing as npt

from raylib.errors import TrainingError
from raylib.foreign_json import read_json
from raylib.model_folders import loaded

__all__ = ["FORMAT", "TEMPLATE", "Kind", "TokenFile", "TokenInfo", "TokenSet"]

Kind = Literal["pretrain", "sft", "preference"]
FORMAT = 2
"""Version of the content of token folders; in 1, answers of preferences could be those of another template."""
TOKEN_FILES = ("tokens.bin", "starts.npy", "targets.bin")
"""Names of the files with tokens, where sequences begin, and whether a token is a target."""

TEMPLATE = "chat_template.jinja"
"""Name of the file with the chat template of a token folder, whose variables have the values that were used."""


class TokenInfo(TypedDict):
    """Content of `tokens.json`, the description of a token folder.

    `dropped` counts records by the reason why they are left out, and `refused.jsonl` names each. `unlearnt` counts
    turns of records that are learnt. `chat` says how conversations are rendered, and `stops` are the ids of the tokens
    that end an answer. `files` gives size and checksum of every other file of the folder, for `raylib verify`.
    """

    format: int
    raylib: str
    sources: list[str]
    dtype: str
    tokens: int
    samples: int
    cut: int
    dropped: dict[str, int]
    unlearnt: dict[str, int]
    expanded: int
    chat: dict[str, object]
    stops: list[int]
    tokens_by_source: dict[str, int]
    samples_by_source: dict[str, int]
    key: str
    kind: Kind
    tokenizer: str
    vocabulary: int
    seconds: float
    tokens_per_second: int
    parts_done_before: int
    options: dict[str, object]
    files: dict[str, tuple[int, str]]


class _Described(TypedDict):
    """What every version wrote, and every reader needs."""

    dtype: Literal["uint16", "uint32"]
    tokens: int
    key: str
    kind: Kind
    tokenizer: str


def read_info(folder: Path) -> TokenInfo:
    """Read `tokens.json`.

    Args:
        folder: A token folder.

    Raises:
        TrainingError: The file is damaged.
    """
    return cast(TokenInfo, read_json(folder / "tokens.json", _Described, TrainingError))


class TokenSet:
    """A token folder; nothing but the index is read until it is asked for.

    Attributes:
        path: The folder.
        info: Content of its `tokens.json`.
        kind: Kind of its samples.
        starts: First token of each sequence, and the number of all tokens, int64, mapped.
        tokens: All tokens.
        targets: Whether each token is a target; None for pretraining, where all of them are.
    """

    def __init__(self, path: str | Path) -> None:
        folder = Path(path)
        if not (folder / "tokens.json").is_file():
            raise TrainingError(f"{path} is not a token folder (it has no tokens.json); `raylib tokenize` makes one")
        self.path = folder
        self.info = read_info(folder)
        self.kind: Kind = self.info["kind"]
        _check_format(folder, self.info)
        self.starts: npt.NDArray[np.int64] = loaded(
            lambda: np.load(folder / "starts.npy", mmap_mode="r", allow_pickle=False), str(folder), "token folder"
        )
        self.tokens = TokenFile(folder / "tokens.bin", np.dtype(self.info["dtype"]), self.info["tokens"])
        self.targets: TokenFile | None = None
        if self.kind != "pretrain":
            self.targets = TokenFile(folder / "targets.bin", np.dtype(np.uint8), self.info["tokens"])
        end, count = int(self.starts[-1]), self.info["tokens"]
        if end != count:
            raise TrainingError(f"{path} is damaged: the index ends at {end}, but tokens.json says {count}")

    def __len__(self) -> int:
        """Number of sequences; for preferences, of pairs."""
        return (len(self.starts) - 1) // (3 if self.kind == "preference" else 1)

    def sequence(self, number: int) -> tuple[npt.NDArray[np.integer], npt.NDArray[np.uint8] | None]:
        """Tokens and targets of one sequence."""
        first, last = int(self.starts[number]), int(self.starts[number + 1])
        targets = None if self.targets is None else self.targets[first:last].view(np.uint8)
        return self.tokens[first:last], targets


def _check_format(folder: Path, info: TokenInfo) -> None:
    """Refuse chat data of an earlier version, whose answers may not be those of the records."""
    found = info.get("format", 1)
    if found == FORMAT or info["kind"] == "pretrain":
        return
    maker = f"raylib {dict(info).get('raylib', '0.1')}"
    sources = " ".join(info.get("sources", [])) or "IN..."
    raise TrainingError(
        f"{folder} was made by {maker}, which wrote chat data otherwise (with templates that add reasoning, answers of "
        "preferences were wrong, and earlier turns were left out). Make it anew: "
        f"raylib tokenize {sources} -o {folder}-new --tokenizer {info['tokenizer']}"
    )


class TokenFile:
    """A file of numbers that is read piece by piece.

    It is not memory-mapped, because pages of a mapping count as the worker's memory until something else needs it.
    Over a terabyte that looks like a leak, and evicts what the model needs.
    """

    def __init__(self, path: Path, dtype: np.dtype[np.generic], count: int) -> None:
        size, expected = path.stat().st_size, count * dtype.itemsize
        if size != expected:
            raise TrainingError(f"{path} is damaged: it has {size} bytes, expected {expected}")
        self._dtype, self._count = dtype, count
        self._descriptor = os.open(path, os.O_RDONLY)

    def __len__(self) -> int:
        return self._count

    def __getitem__(self, part: slice) -> npt.NDArray[np.integer]:
        first, last, _ = part.indices(self._count)
        size = self._dtype.itemsize
        return np.frombuffer(os.pread(self._descriptor, max(last - first, 0) * size, first * size), self._dtype)

    def __array__(self, dtype: npt.DTypeLike | None = None, copy: bool | None = None) -> npt.NDArray[np.generic]:
        whole = self[:]
        return whole if dtype is None else whole.astype(dtype)

    def __del__(self) -> None:
        if hasattr(self, "_descriptor"):
            os.close(self._descriptor)
