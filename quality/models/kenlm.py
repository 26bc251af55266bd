"""KenLM models as perplexity scorers."""

from __future__ import annotations

from typing import Any

import numpy as np
import pyarrow as pa

from quality.text.words import segmenter

__all__ = ["KENLM_SUFFIXES", "KenlmModel"]


KENLM_SUFFIXES = {".arpa", ".bin", ".binary", ".klm"}


class KenlmModel:
    """A KenLM model (Heafield 2011) over characters or words, of which it knows only how they are separated."""

    def __init__(self, path: str, unit: str) -> None:
        try:
            import kenlm
        except ImportError as error:
            raise ValueError("perplexity: a KenLM model needs the extra `kenlm`: pip install 'raylib-data[kenlm]'") from error  # fmt: skip
        try:
            self._model = kenlm.Model(path)
        except (OSError, RuntimeError) as error:
            raise ValueError(f"perplexity: {path} is no KenLM model: {error}") from None
        self._cut = segmenter("characters" if unit == "characters" else "rjieba")

    def perplexity(self, texts: pa.Array) -> np.ndarray[Any, Any]:
        out = np.full(len(texts), np.nan)
        for row, text in enumerate(texts.to_pylist()):
            units = [u for u in self._cut(text) if not u.isspace()]
            if units:
                # the end of the sentence is predicted too
                out[row] = 10.0 ** (-self._model.score(" ".join(units), bos=True, eos=True) / (len(units) + 1))
        return out
