"""Advertising by a fastText classifier that the user trained."""

from __future__ import annotations

import pyarrow as pa

from cleaning.fasttext import label_probabilities, load_model
from cleaning.rule import reject
from cleaning.segmenters import segmenter_of

__all__ = ["ad_classifier"]


def _sentence(text: str) -> str:
    """Segmented, on one line: fastText takes a newline for the end of an example."""
    return " ".join(w for w in segmenter_of("rjieba")(text) if not w.isspace()) or " "


@reject("advertisement", unit="probability")
def ad_classifier(
    texts: pa.Array, *, model: str = "", label: str = "__label__ad", max_probability: float = 0.5
) -> pa.Array:
    """Reject texts whose fastText probability of `label` is over `max_probability`.

    `model` is a supervised fastText model trained on jieba-segmented text; it is loaded once a process.
    """
    if len(texts) == 0 or (not model and texts.to_pylist() == [""]):
        return pa.nulls(len(texts), pa.large_string())
    loaded = load_model(model)
    out = []
    for text in texts.to_pylist():
        probability = label_probabilities(loaded, _sentence(text or "")).get(label, 0.0)
        out.append(f"{probability:.3f} > {max_probability}" if probability > max_probability else None)
    return pa.array(out, pa.large_string())
