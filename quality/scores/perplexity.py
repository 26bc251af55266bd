"""Perplexity of texts under a language model, and CCNet's buckets by quantile."""

from __future__ import annotations

from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Literal

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from quality.models.kenlm import KENLM_SUFFIXES, KenlmModel
from quality.models.language_model import LanguageModel, Scored, check_model
from quality.models.ngram import CharacterNgram
from raylib.schema import text_of
from raylib.stage import Outcome, StageInfo, keep_all, register
from raylib.stage.outcome import with_columns

__all__ = ["Perplexity"]


@dataclass(frozen=True)
class Perplexity:
    """Add `perplexity` of each record's text: exp of the mean loss, a token or a character.

    `model` is the folder of a causal transformers model (perplexity a token, over the first `max_tokens`); a character
    n-gram model that `raylib perplexity train` made from clean text (perplexity a character); or a KenLM model
    (.arpa, .bin, .binary, .klm) over characters or over words, as `kenlm_unit` says (perplexity a unit). Null for texts
    without anything to predict.
    """

    model: str
    column: str = "perplexity"
    max_tokens: int = 1024
    batch_tokens: int = 0
    device: str = "auto"
    kenlm_unit: Literal["characters", "words"] = "characters"
    _loaded: dict[str, Any] = field(default_factory=dict, init=False, repr=False, compare=False, hash=False)

    @property
    def model_based(self) -> bool:
        """The n-gram model is as light as a rule; a transformers model is not."""
        return not Path(self.model).is_file()

    def check(self) -> None:
        """Raise ValueError when there is no such model."""
        if not Path(self.model).is_file():
            check_model(self.model, "perplexity")

    def setup(self) -> None:
        """Load the model."""
        if Path(self.model).suffix in KENLM_SUFFIXES:
            self._loaded["ngram"] = KenlmModel(self.model, self.kenlm_unit)
        elif Path(self.model).is_file():
            self._loaded["ngram"] = CharacterNgram.load(self.model)
        else:
            self._loaded["model"] = LanguageModel.load(self.model, device=self.device, batch_tokens=self.batch_tokens)

    def notes(self) -> dict[str, float]:
        """Tokens scored and seconds spent in the model since the last call."""
        if "model" not in self._loaded:
            return {}
        taken: dict[str, float] = self._loaded["model"].take_usage()
        return taken

    def __call__(self, table: pa.Table) -> Outcome:
        values = np.zeros(0)
        if len(table):
            if not self._loaded:
                self.setup()
            texts = pc.fill_null(text_of(table), "")
            values = self._by_model(texts) if "model" in self._loaded else self._loaded["ngram"].perplexity(texts)
        known = np.isfinite(values)
        return keep_all(with_columns(table, {self.column: pa.array(np.round(values, 4), pa.float64(), mask=~known)}))

    def _by_model(self, texts: pa.Array) -> np.ndarray[Any, Any]:
        model: LanguageModel = self._loaded["model"]
        limit = min(self.max_tokens, model.limit)
        # a token holds at least one byte and rarely more than twenty characters
        ids = model.encode(pc.utf8_slice_codeunits(texts, 0, 20 * limit).to_pylist())
        prefix = model.prefix
        sequences = [Scored([*prefix, *i][:limit], len(prefix)) for i in ids]
        return np.asarray(np.exp(model.losses(sequences)))


register(StageInfo(name="perplexity", make=Perplexity, kind="score", summary=Perplexity.__doc__ or ""))
