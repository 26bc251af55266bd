"""Counting tokens with a `tokenizers` tokenizer."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from raylib.errors import ShardError

__all__ = ["load_tokenizer"]


def load_tokenizer(path: str) -> Any:
    """A `tokenizers` tokenizer from its tokenizer.json, or the folder that holds it. Raises ShardError."""
    try:
        from tokenizers import Tokenizer
    except ImportError as error:
        raise ShardError("output.tokenizer needs the package tokenizers: pip install 'raylib-data[train]'") from error
    file = Path(path)
    return Tokenizer.from_file(str(file / "tokenizer.json" if file.is_dir() else file))
