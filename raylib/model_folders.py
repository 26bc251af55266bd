"""Folders of models and tokenizers that users name: nothing is downloaded; a wrong name says what would be right."""

from __future__ import annotations

import os
from collections.abc import Callable
from pathlib import Path
from typing import TypeVar

from raylib.errors import ParameterError

__all__ = ["loaded", "model_folder", "tokenizer_folder"]

Loaded = TypeVar("Loaded")
_MODEL = ("config.json",)
_TOKENIZER = ("tokenizer.json", "tokenizer.model", "vocab.json", "vocab.txt", "spiece.model", "tokenizer_config.json")
_OURS = {"models", "model", "out", "runs", "data", "tokens", "checkpoints", "ckpt", "output", "outputs"}


def model_folder(path: str, option: str, files: tuple[str, ...] = _MODEL) -> str:
    """Check that a path is the folder of a transformers model.

    Args:
        path: The path.
        option: Option that names it, for the message.
        files: Names of files, one of which a folder of such a model holds.

    Returns:
        The path.

    Raises:
        ParameterError: It is not; for the name of a model on a hub, with the command that downloads it.
    """
    return _folder(path, option, "a model", files)


def tokenizer_folder(path: str, option: str) -> str:
    """Check that a path is a folder with a tokenizer.

    Args:
        path: The path.
        option: Option that names it, for the message.

    Returns:
        The path.

    Raises:
        ParameterError: It is not; for the name of a model on a hub, with the command that downloads it.
    """
    return _folder(path, option, "a tokenizer", _TOKENIZER)


def _folder(path: str, option: str, what: str, files: tuple[str, ...]) -> str:
    if not path:
        raise ParameterError(f"{option}: name the folder of {what}")
    place = Path(path).expanduser()
    if place.is_file():
        above = f", such as {str(place.parent)!r}" if place.name in (*_MODEL, *_TOKENIZER) else ""
        raise ParameterError(f"{option}: {path!r} is a file; name the folder of {what}{above}")
    if not place.is_dir():
        raise ParameterError(f"{option}: {path!r} is not a folder{_advice(path)}")
    if not any((place / name).is_file() for name in files):
        raise ParameterError(f"{option}: the folder {path!r} holds no {files[0]}; name the folder of {what}")
    return path


def _advice(path: str) -> str:
    """How to get what a name on a hub stands for, or where a folder was looked for."""
    owner, _, name = path.partition("/")
    is_name = owner and name and "/" not in name and not path.startswith((".", "~", "/"))
    if is_name and owner.lower() not in _OURS and not os.path.isdir(owner):
        return f"; a model of a hub is downloaded first: hf download {path} --local-dir models/{name}"
    return "" if os.path.isabs(os.path.expanduser(path)) else f" (looked in {os.getcwd()})"


def loaded(load: Callable[[], Loaded], path: str, option: str) -> Loaded:
    """Load what is in a folder.

    Args:
        load: Loads it.
        path: The folder.
        option: Option that names it, for the message.

    Returns:
        What was loaded.

    Raises:
        ParameterError: The files cannot be used, whatever the library says about them.
    """
    try:
        return load()
    except (OSError, ValueError, KeyError, TypeError, RuntimeError) as error:
        lines = [line for line in str(error).splitlines() if line.strip()] or [type(error).__name__]
        raise ParameterError(f"{option}: cannot load {path!r}: {lines[0][:300]}") from error
