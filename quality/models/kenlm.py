"""KenLM models as perplexity scorers."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt
import pyarrow as pa

from quality.text.words import segmenter
from raylib.errors import ParameterError
from raylib.extras import optional

__all__ = ["KENLM_SUFFIXES", "KenlmModel"]

KENLM_SUFFIXES = {".arpa", ".bin", ".binary", ".klm"}


_ARPA, _BINARY = b"\\data\\", b"mmap lm http://kheafield.com/code"


def _check_header(path: str) -> None:
    """Refuse a file that does not begin as KenLM's do: its parser is native code, and not made for strangers' files."""
    try:
        with open(path, "rb") as file:
            head = file.read(4096).lstrip()
    except OSError as error:
        raise ParameterError(f"perplexity: cannot read {path}: {error.strerror}") from None
    if not head.startswith((_BINARY, _ARPA)) and head[:2] != b"\x1f\x8b":
        raise ParameterError(
            f"perplexity: {path} is not a KenLM model: it begins like neither an ARPA file nor a binary"
        )


class KenlmModel:
    """A KenLM model (Heafield 2011) over characters or words.

    Args:
        path: File of the model (.arpa, .bin, .binary, .klm).
        unit: What the model predicts: `characters` or `words`. The file does not say.

    Raises:
        ParameterError: If the file is not a KenLM model.
        RaylibError: If the package kenlm is not installed.
    """

    def __init__(self, path: str, unit: str) -> None:
        kenlm = optional("kenlm", purpose="a KenLM model")
        _check_header(path)
        try:
            self._model = kenlm.Model(path)
        except (OSError, RuntimeError) as error:
            raise ParameterError(f"perplexity: {path} is not a KenLM model: {error}") from None
        self._cut = segmenter("characters" if unit == "characters" else "rjieba")

    def perplexity(self, texts: pa.Array) -> npt.NDArray[np.float64]:
        """Perplexity of each of N texts per unit, the end of the text included, `[N]`; NaN for empty texts."""
        out = np.full(len(texts), np.nan)
        for row, text in enumerate(texts.to_pylist()):
            units = [u for u in self._cut(text) if not u.isspace()]
            if units:
                # the end of the sentence is predicted too
                out[row] = 10.0 ** (-self._model.score(" ".join(units), bos=True, eos=True) / (len(units) + 1))
        return out
