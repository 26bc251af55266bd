"""Folders of models and tokenizers that users name: nothing is downloaded; a wrong name says what would be right.

A model is data and never code: a folder whose files name code that would be run is refused before anything loads it.
"""

from __future__ import annotations

import json
import os
import pickle
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import TypeVar

from raylib.errors import ParameterError

__all__ = ["loaded", "model_folder", "tokenizer_folder"]

Loaded = TypeVar("Loaded")
_MODEL = ("config.json",)
_TOKENIZER = ("tokenizer.json", "tokenizer.model", "vocab.json", "vocab.txt", "spiece.model", "tokenizer_config.json")
_DATA = {"tokenizer.json", "vocab.json", "added_tokens.json", "model.safetensors.index.json"}  # name no code
_LARGEST_CONFIG = 16 << 20  # bytes; those of models have a few kilobytes
_SETTINGS = ("config.json", "modules.json")  # ends of the names of files that can name code
_DEEPEST = 20
_OF_FILES = (OSError, ValueError, KeyError, TypeError, RuntimeError, ImportError, pickle.UnpicklingError)
_CODE = "it needs code that comes with it (auto_map), and code that comes with a model never runs"
_LIBRARIES = {"safetensors", "safetensors_rust", "huggingface_hub", "torch", "jinja2"}
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
        ParameterError: It is not; for the name of a model on a hub, with the command that downloads it. Or its files
            name code that would be run.
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
        ParameterError: It is not; for the name of a model on a hub, with the command that downloads it. Or its files
            name code that would be run.
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
    for file, reason in _code_in(place, set()):
        raise ParameterError(f"{option}: {path!r} is refused: {file} {reason}; code that comes with a model never runs")
    return path


def _code_in(folder: Path, seen: set[Path]) -> Iterator[tuple[str, str]]:
    """Files that make a library run code which comes with the model or which the model names, and how.

    An adapter names the folder of its base, which may name others; folders that were `seen` are not looked at again.
    """
    if folder.resolve() in seen:
        return
    seen.add(folder.resolve())
    for file in sorted([*folder.glob("*.json"), *folder.glob("*/*.json")]):
        if file.name not in _DATA and file.is_file():
            if file.stat().st_size > _LARGEST_CONFIG:
                if file.name.endswith(_SETTINGS):
                    yield str(file.relative_to(folder)), f"has over {_LARGEST_CONFIG >> 20} MiB, so it is not looked at"
                continue
            try:
                held = json.loads(file.read_bytes())
            except (ValueError, RecursionError):  # whoever needs the file says so
                continue
            name = str(file.relative_to(folder))
            yield from ((name, reason) for reason in _reasons(file, held, seen))


def _reasons(file: Path, held: object, seen: set[Path]) -> Iterator[str]:
    """Why the content of a JSON file is refused."""
    if file.name == "modules.json" and isinstance(held, list):
        kinds = [str(module.get("type", "")) for module in held if isinstance(module, dict)]
        yield from (f"names the module {kind!r}" for kind in kinds if not kind.startswith("sentence_transformers."))
    if file.name == "router_config.json" and isinstance(held, dict) and isinstance(held.get("types"), dict):
        kinds = [str(kind) for kind in held["types"].values()]
        yield from (f"names the module {kind!r}" for kind in kinds if not kind.startswith("sentence_transformers."))
    if file.name == "adapter_config.json" and isinstance(held, dict):
        base = str(held.get("base_model_name_or_path") or "")
        if not os.path.isdir(base):
            yield f"names the model {base!r}, which is no folder here"
        else:
            yield from (f"names {base!r}, whose {name} {reason}" for name, reason in _code_in(Path(base), seen))
        if held.get("megatron_config"):
            yield f"names the module {held.get('megatron_core')!r}"
    yield from _reasons_of_keys(held, 0)


def _reasons_of_keys(held: object, depth: int) -> Iterator[str]:
    """Why keys anywhere in a JSON file are refused."""
    if depth > _DEEPEST:
        return
    if isinstance(held, list):
        for item in held:
            yield from _reasons_of_keys(item, depth + 1)
    if isinstance(held, dict):
        for key, value in held.items():
            if key == "trust_remote_code" and value:
                yield "asks for trust_remote_code"
            elif key.endswith("implementation") and isinstance(value, str) and "/" in value:
                yield f"names the kernel {value!r} of a hub as {key}"
            elif key == "activation_function" and isinstance(value, str) and _is_foreign(value):
                yield f"names the function {value!r}"
            else:
                yield from _reasons_of_keys(value, depth + 1)


def _is_foreign(name: str) -> bool:
    """Whether a dotted name is none of torch.nn."""
    return "." in name and not name.startswith("torch.nn.")


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
    except Exception as error:
        if not isinstance(error, _OF_FILES) and type(error).__module__.split(".")[0] not in _LIBRARIES:
            raise
        lines = [line for line in str(error).splitlines() if line.strip()] or [type(error).__name__]
        reason = _CODE if "trust_remote_code" in str(error) else lines[0][:300]
        if isinstance(error, pickle.UnpicklingError):
            reason = "a file of weights is a pickle with more than weights in it, or damaged; use safetensors"
        raise ParameterError(f"{option}: cannot load {path!r}: {reason}") from error
