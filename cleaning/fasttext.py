"""Loading fastText models, and label probabilities that are right under NumPy 2."""

from __future__ import annotations

import functools
from pathlib import Path
from typing import Any

__all__ = ["fasttext_module", "label_probabilities", "load_model"]


@functools.lru_cache(maxsize=4)
def load_model(path: str) -> Any:
    if not Path(path).is_file():
        raise ValueError(f"ad_classifier needs `model`, the path of a fastText .bin file; {path!r} is none")
    try:
        import fasttext
    except ImportError as error:
        raise ValueError("ad_classifier needs the extra `classify`: pip install 'raylib-data[classify]'") from error
    fasttext.FastText.eprint = lambda *args, **kwargs: None
    return fasttext.load_model(path)


def label_probabilities(model: Any, sentence: str) -> dict[str, float]:
    """Probability of every label for one segmented line.

    Goes to the binding below `predict`: with NumPy 2, `predict` of one string raises, and of a list it gives
    every label the probability of the first.
    """
    return {label: float(p) for p, label in model.f.predict(sentence + "\n", -1, 0.0, "strict")}


def fasttext_module() -> Any:
    try:
        import fasttext
    except ImportError as error:
        raise ValueError("this needs the extra `classify`: pip install 'raylib-data[classify]'") from error
    fasttext.FastText.eprint = lambda *args, **kwargs: None
    return fasttext
