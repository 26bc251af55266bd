"""Loading fastText models, and label probabilities that are right under NumPy 2."""

from __future__ import annotations

import functools
from collections.abc import Iterable
from pathlib import Path
from types import ModuleType
from typing import Protocol

from raylib.errors import ParameterError
from raylib.extras import optional

__all__ = ["FastTextModel", "fasttext_module", "label_probabilities", "load_model"]


class _Binding(Protocol):
    """The compiled object below a model of the Python package."""

    def predict(self, text: str, k: int, threshold: float, on_unicode_error: str) -> Iterable[tuple[float, str]]:
        """Pairs of probability and label."""
        ...


class FastTextModel(Protocol):
    """A fastText model, as far as this package uses one."""

    @property
    def f(self) -> _Binding:
        """The compiled object."""
        ...


def fasttext_module() -> ModuleType:
    """The package `fasttext`, without its message about a deprecated method.

    Raises:
        RaylibError: if it is not installed.
    """
    fasttext: ModuleType = optional("fasttext", purpose="a fastText model")
    fasttext.FastText.eprint = lambda *_args, **_options: None
    return fasttext


@functools.lru_cache(maxsize=4)
def load_model(path: str) -> FastTextModel:
    """Load a fastText model, once in each process.

    Args:
        path: Path of a fastText .bin file.

    Raises:
        ParameterError: if there is no such file.
        RaylibError: if the package `fasttext` is not installed.
    """
    if not Path(path).is_file():
        raise ParameterError(f"model must be the path of a fastText .bin file; there is no file {path!r}")
    model: FastTextModel = fasttext_module().load_model(path)
    return model


def label_probabilities(model: FastTextModel, sentence: str) -> dict[str, float]:
    """Probability of every label for one segmented line.

    Calls the binding below `predict`: with NumPy 2, `predict` raises for one string, and for a list it gives every
    label the probability of the first.

    Args:
        model: The model.
        sentence: Words separated by spaces, without a newline.
    """
    return {label: float(p) for p, label in model.f.predict(sentence + "\n", -1, 0.0, "strict")}
