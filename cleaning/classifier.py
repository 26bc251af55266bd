"""Advertising by a fastText classifier that the user trained."""

from __future__ import annotations

import functools
from pathlib import Path
from typing import Any

import pyarrow as pa

from cleaning.garbled import segmenter_of
from cleaning.rule import reject

__all__ = ["ad_classifier"]


@functools.lru_cache(maxsize=4)
def _load(path: str) -> Any:
    if not Path(path).is_file():
        raise ValueError(f"ad_classifier needs `model`, the path of a fastText .bin file; {path!r} is none")
    try:
        import fasttext
    except ImportError as error:
        raise ValueError("ad_classifier needs the extra `classify`: pip install 'raylib-data[classify]'") from error
    fasttext.FastText.eprint = lambda *args, **kwargs: None
    return fasttext.load_model(path)


def _sentence(text: str) -> str:
    """Segmented, on one line: fastText takes a newline for the end of an example."""
    return " ".join(w for w in segmenter_of("rjieba")(text) if not w.isspace()) or " "


def label_probabilities(model: Any, sentence: str) -> dict[str, float]:
    """Probability of every label for one segmented line.

    Goes to the binding below `predict`: with NumPy 2, `predict` of one string raises, and of a list it gives
    every label the probability of the first.
    """
    return {label: float(p) for p, label in model.f.predict(sentence + "\n", -1, 0.0, "strict")}


@reject("advertisement", unit="probability")
def ad_classifier(
    texts: pa.Array, *, model: str = "", label: str = "__label__ad", max_probability: float = 0.5
) -> pa.Array:
    """Reject texts whose fastText probability of `label` is over `max_probability`.

    `model` is a supervised fastText model trained on jieba-segmented text; it is loaded once a process.
    """
    if len(texts) == 0 or (not model and texts.to_pylist() == [""]):
        return pa.nulls(len(texts), pa.large_string())
    loaded = _load(model)
    out = []
    for text in texts.to_pylist():
        probability = label_probabilities(loaded, _sentence(text or "")).get(label, 0.0)
        out.append(f"{probability:.3f} > {max_probability}" if probability > max_probability else None)
    return pa.array(out, pa.large_string())
