"""Advertising by a fastText classifier that the user trained."""

from __future__ import annotations

import pyarrow as pa

from cleaning.declare import reject
from cleaning.fasttext import label_probabilities, load_model
from cleaning.segmenters import segmenter_of
from raylib.paths import PathName
from raylib.stage import Threshold
from raylib.stage.bounds import Share

__all__ = ["ad_classifier"]


def _sentence(text: str) -> str:
    """The segmented text on one line, because fastText takes a newline for the end of an example."""
    return " ".join(w for w in segmenter_of("rjieba")(text) if not w.isspace()) or " "


@reject("advertisement", unit="probability", thresholds=(Threshold("max_probability", "above"),))
def ad_classifier(
    texts: pa.Array, *, model: PathName = "", label: str = "__label__ad", max_probability: Share = 0.5
) -> pa.Array:
    """Reject advertising by a fastText classifier that you trained.

    Args:
        texts: String array.
        model: Path of a supervised fastText model (.bin) trained on text segmented by jieba; each process loads it
            once.
        label: Label of advertising.
        max_probability: Probability of `label` above which a text is rejected, 0 to 1.
    """
    if len(texts) == 0 or (not model and texts.to_pylist() == [""]):
        return pa.nulls(len(texts), pa.large_string())
    loaded = load_model(model)
    out = []
    for text in texts.to_pylist():
        probability = label_probabilities(loaded, _sentence(text or "")).get(label, 0.0)
        out.append(f"{probability:.3f} > {max_probability}" if probability > max_probability else None)
    return pa.array(out, pa.large_string())
