"""The stage `perplexity`: perplexity of texts under a language model or an n-gram model."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Literal, Protocol

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.compute as pc

from quality.models.kenlm import KENLM_SUFFIXES, KenlmModel
from quality.models.language_model import LanguageModel, Scored, check_model
from quality.models.stage import ModelStage
from raylib.extras import require
from raylib.paths import PathName
from raylib.schema import text_of
from raylib.stage import Outcome, keep_all, stage, with_columns

__all__ = ["Perplexity", "PerplexityModel"]


class PerplexityModel(Protocol):
    """A model that gives texts a perplexity."""

    def perplexity(self, texts: pa.Array) -> npt.NDArray[np.float64]:
        """Perplexity of each of N texts, `[N]`; NaN where there is nothing to predict."""
        ...


@dataclass(frozen=True)
class _ByTokens:
    """Perplexity per token of the first `max_tokens` tokens, by a causal transformers model."""

    model: LanguageModel
    max_tokens: int

    def perplexity(self, texts: pa.Array) -> npt.NDArray[np.float64]:
        limit = min(self.max_tokens, self.model.limit)
        # a token holds at least one byte and rarely more than twenty characters
        ids = self.model.encode(pc.utf8_slice_codeunits(texts, 0, 20 * limit).to_pylist())
        prefix = self.model.prefix
        sequences = [Scored([*prefix, *i][:limit], len(prefix)) for i in ids]
        return np.asarray(np.exp(self.model.losses(sequences)))


@stage("perplexity", kind="score")
@dataclass(frozen=True)
class Perplexity(ModelStage[PerplexityModel]):
    """Add the perplexity of each record's text: the exponential of the mean loss per token or character.

    Null for texts without anything to predict. Of a chat it is the text of all messages with their reasoning and the
    JSON of their calls of tools, joined by newlines: no template is applied. `ifd` looks at an answer after its prompt.

    Attributes:
        model: Folder of a causal transformers model (perplexity per token), file of a character n-gram model from
            `raylib perplexity train` (perplexity per character), or file of a KenLM model (.arpa, .bin, .binary, .klm).
        column: Name of the new column.
        max_tokens: Number of tokens of a text that a transformers model looks at.
        batch_tokens: Number of tokens in a batch; 0 means 2,048 on a CPU and 32,768 on a GPU.
        device: Device of torch; `auto` means a GPU if there is one.
        kenlm_unit: Unit that a KenLM model predicts: `characters` or `words`.
    """

    model: PathName
    column: str = "perplexity"
    max_tokens: int = 1024
    batch_tokens: int = 0
    device: str = "auto"
    kenlm_unit: Literal["characters", "words"] = "characters"

    @property
    def model_based(self) -> bool:
        """Whether the model is one of transformers; an n-gram model is as light as a rule."""
        return not Path(self.model).is_file()

    def check(self) -> None:
        """Check that the model is there. Raises ParameterError."""
        if Path(self.model).suffix in KENLM_SUFFIXES:
            require("kenlm", purpose="a KenLM model")
        if not Path(self.model).is_file():
            check_model(self.model, "perplexity")

    def load(self) -> PerplexityModel:
        """Load the model."""
        if Path(self.model).suffix in KENLM_SUFFIXES:
            return KenlmModel(self.model, self.kenlm_unit)
        if Path(self.model).is_file():
            from quality.models.ngram import CharacterNgram  # noqa: PLC0415 - loads numba

            return CharacterNgram.load(self.model)
        model = LanguageModel.load(self.model, device=self.device, batch_tokens=self.batch_tokens)
        return _ByTokens(model, self.max_tokens)

    def notes(self) -> Mapping[str, float]:
        """Tokens scored, padding and seconds in a transformers model since the last call."""
        model = self.loaded if self.is_loaded else None
        return model.model.take_usage() if isinstance(model, _ByTokens) else {}

    def __call__(self, table: pa.Table) -> Outcome:
        """Add the column."""
        values = self.loaded.perplexity(pc.fill_null(text_of(table), "")) if len(table) else np.zeros(0)
        column = pa.array(np.round(values, 4), pa.float64(), mask=~np.isfinite(values))
        return keep_all(with_columns(table, {self.column: column}))
