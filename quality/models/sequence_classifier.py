"""A transformers sequence classifier with one or two outputs as a scorer of whole texts."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, cast

import numpy as np
import numpy.typing as npt

from quality.models.language_model import placed
from quality.models.tokenizer import Tokenizer
from raylib.errors import ParameterError
from raylib.model_folders import loaded, model_folder

if TYPE_CHECKING:
    import torch
    from transformers import PreTrainedModel

__all__ = ["SequenceClassifier"]

_CPU_TOKENS, _GPU_TOKENS = 4_096, 32_768  # tokens of a batch


@dataclass
class SequenceClassifier:
    """A sequence classification model, such as a reward model, with its tokenizer.

    Attributes:
        model: The model, on `device`.
        tokenizer: Its tokenizer.
        device: Where it runs.
        batch_tokens: Tokens of a batch, padding included.
    """

    model: PreTrainedModel
    tokenizer: Tokenizer
    device: torch.device
    batch_tokens: int

    @classmethod
    def load(cls, path: str, *, device: str = "auto", batch_tokens: int = 0) -> SequenceClassifier:
        """Load a model in bfloat16 on a GPU or float32 on a CPU. Code that comes with a model is never run.

        Args:
            path: Folder of the model.
            device: A torch device, or `auto`: a GPU if there is one.
            batch_tokens: Tokens of a batch, padding included. 0 means 4,096 on a CPU and 32,768 on a GPU.

        Returns:
            The model, ready to score.

        Raises:
            ParameterError: If the model has more than two outputs, or cannot be loaded without code that comes with it.
        """
        from transformers import (  # noqa: PLC0415 - loads in seconds
            AutoModelForSequenceClassification,
            AutoTokenizer,
        )

        place, dtype = placed(device)
        model_folder(path, "reward_model")
        only = {"local_files_only": True, "trust_remote_code": False}
        tokenizer = loaded(lambda: AutoTokenizer.from_pretrained(path, **only), path, "reward_model")
        model = loaded(
            lambda: AutoModelForSequenceClassification.from_pretrained(path, dtype=dtype, **only), path, "reward_model"
        )
        if model.config.num_labels > 2:
            raise ParameterError(f"reward_model: {path} has {model.config.num_labels} outputs; a reward model has 1")
        default = _GPU_TOKENS if place.type == "cuda" else _CPU_TOKENS
        return cls(model.to(place).eval(), cast("Tokenizer", tokenizer), place, batch_tokens or default)

    def limit(self, wanted: int) -> int:
        """The length `wanted`, or that of the longest sequence that the model has positions for."""
        return min(wanted, int(getattr(self.model.config, "max_position_embeddings", wanted)))

    def scores(self, sequences: Mapping[int, Sequence[int]], count: int) -> npt.NDArray[np.float64]:
        """Score sequences of tokens.

        Args:
            sequences: Token ids by position.
            count: Number of positions N.

        Returns:
            The logit of a model with one output, the log-odds of the second of two, `[N]`; NaN where no sequence is.
        """
        import torch  # noqa: PLC0415 - loads in seconds

        out = np.full(count, np.nan)
        for rows in self._batches(sequences):
            batch, mask = self._padded([sequences[r] for r in rows])
            with torch.inference_mode():
                logits = self.model(input_ids=batch.to(self.device), attention_mask=mask.to(self.device)).logits
            values = logits.double().cpu().numpy()
            out[rows] = values[:, 0] if values.shape[1] == 1 else values[:, 1] - values[:, 0]
        return out

    def _batches(self, sequences: Mapping[int, Sequence[int]]) -> Iterator[list[int]]:
        """Positions of batches of similar length, longest first."""
        lengths = {row: len(ids) for row, ids in sequences.items()}
        order = sorted(lengths, key=lambda row: (-lengths[row], row))
        while order:
            size = max(1, self.batch_tokens // lengths[order[0]])
            rows, order = order[:size], order[size:]
            if self.model.config.pad_token_id is None:
                # such a model reads its score off the last position of the batch, so lengths must not be mixed
                same = [r for r in rows if lengths[r] == lengths[rows[0]]]
                order = rows[len(same) :] + order
                rows = same
            yield rows

    def _padded(self, sequences: Sequence[Sequence[int]]) -> tuple[torch.Tensor, torch.Tensor]:
        """Token ids and attention mask of a batch, padded on the right."""
        import torch  # noqa: PLC0415 - loads in seconds

        pad = self.tokenizer.pad_token_id
        if pad is None:
            pad = self.model.config.pad_token_id or 0
        width = max(map(len, sequences))
        batch = torch.full((len(sequences), width), pad, dtype=torch.long)
        mask = torch.zeros((len(sequences), width), dtype=torch.long)
        for k, ids in enumerate(sequences):
            batch[k, : len(ids)] = torch.tensor(ids)
            mask[k, : len(ids)] = 1
        return batch, mask
