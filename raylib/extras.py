"""Packages that only an extra of `raylib-data` installs: importing them, and saying which extra is missing."""

from __future__ import annotations

import importlib
import importlib.util
import sys
from types import ModuleType

from raylib.errors import MissingExtraError

__all__ = ["EXTRAS", "missing_extra", "optional", "require"]

EXTRAS = {
    "accelerate": "train",
    "bokeh": "report",
    "deepspeed": "train",
    "fasttext": "classify",
    "httpx": "quality",
    "joblib": "train",
    "kenlm": "kenlm",
    "matplotlib": "report",
    "openTSNE": "report",
    "pandas": "notebook",
    "peft": "train",
    "psutil": "train",
    "pydivsufsort": "substring",
    "s3fs": "s3",
    "sentence_transformers": "quality",
    "tenacity": "quality",
    "tokenizers": "train",
    "torch": "train",
    "transformers": "train",
}
"""Extra that installs a top-level module; the smallest one, where several do."""


def optional(module: str, *, purpose: str, extra: str = "") -> ModuleType:
    """Import a package that only an extra installs.

    Args:
        module: Name of the module.
        purpose: What needs it; the subject of the error message.
        extra: Extra of `raylib-data` that installs it; by default the one of `EXTRAS`.

    Raises:
        MissingExtraError: The package is not installed.
    """
    try:
        return importlib.import_module(module)
    except ModuleNotFoundError as error:
        package = module.split(".", maxsplit=1)[0]
        if error.name is None or package != error.name.split(".")[0]:
            raise  # the package is installed but lacks a dependency
        raise _missing(package, purpose, extra) from error


def require(*packages: str, purpose: str, extra: str = "") -> None:
    """Check that packages are installed, without importing them.

    Args:
        packages: Names of top-level modules.
        purpose: What needs them; the subject of the error message.
        extra: Extra of `raylib-data` that installs them; by default the one of `EXTRAS`.

    Raises:
        MissingExtraError: One of them is not installed.
    """
    for package in packages:
        if importlib.util.find_spec(package) is None:
            raise _missing(package, purpose, extra)


def missing_extra(error: BaseException, purpose: str) -> MissingExtraError | None:
    """The error to show for a failed import, wherever it happened.

    Args:
        error: The error.
        purpose: What was to be done; the subject of the message.

    Returns:
        None if the module is not one that an extra installs: then the failure is a bug, or one of the environment.
    """
    if isinstance(error, MissingExtraError):
        return error
    if not isinstance(error, ModuleNotFoundError) or error.name is None:
        return None
    package = error.name.split(".")[0]
    return _missing(package, purpose) if package in EXTRAS and importlib.util.find_spec(package) is None else None


def _missing(package: str, purpose: str, extra: str = "") -> MissingExtraError:
    found = extra or EXTRAS[package]
    install = f"{sys.executable} -m pip install 'raylib-data[{found}]'"
    return MissingExtraError(f"{purpose} needs the package {package} of the extra {found!r}: {install}")
