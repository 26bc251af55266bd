"""A causal language model as a scorer: losses of chosen tokens, in batches of similar length."""

from __future__ import annotations

import math
import time
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, TypedDict, cast

import numpy as np
import numpy.typing as npt

from quality.models.rendering import chat_prompt
from quality.models.tokenizer import Tokenizer
from raylib.errors import ParameterError
from raylib.extras import require
from raylib.foreign_json import MOST_BYTES, parsed
from raylib.model_folders import loaded, model_folder

if TYPE_CHECKING:
    import torch
    from transformers import PreTrainedModel

__all__ = ["LanguageModel", "Scored", "chat_prompt", "check_model", "model_path", "placed"]

_CPU_TOKENS, _GPU_TOKENS = 2_048, 32_768  # tokens of a batch; on a CPU more falls out of its cache


def model_path(path: str, stage: str) -> None:
    """Check that `path` is the folder of a transformers model.

    Args:
        path: Parameter `model` of a stage.
        stage: Name of that stage, for the message.

    Raises:
        ParameterError: If it is not.
    """
    model_folder(path, f"{stage}: model")


def check_model(path: str, stage: str, min_parameters: int = 0) -> None:
    """Check as much of a model as can be seen without loading it.

    Args:
        path: Parameter `model` of a stage.
        stage: Name of that stage, for the message.
        min_parameters: Least number of the model's weights; files in other formats than safetensors are not counted.

    Raises:
        ParameterError: If torch or transformers is not installed, `path` is not the folder of a model, or the model is
            too small to know the language.
    """
    require("torch", "transformers", purpose=f"the stage {stage}", extra="quality")
    model_path(path, stage)
    weights = [count_of_weights(file) for file in Path(path).glob("*.safetensors")]
    if weights and sum(weights) < min_parameters:
        raise ParameterError(
            f"{stage}: model: {path!r} has {sum(weights) / 1e6:.1f} million weights, fewer than min_parameters = "
            f"{min_parameters}: what a toy thinks likely says nothing of a text. Name a model that knows the language, "
            f"or try the pipeline with --set stages.{stage}.min_parameters=0"
        )


class _Weight(TypedDict, total=False):
    """What is looked at in the header of a weight."""

    shape: list[int]


def count_of_weights(file: Path) -> int:
    """Number of weights in a safetensors file, by its header.

    Args:
        file: The file.

    Raises:
        ParameterError: It is damaged.
    """
    with file.open("rb") as stream:
        size = int.from_bytes(stream.read(8), "little")
        data = stream.read(min(size, MOST_BYTES + 1))
    header = parsed(data, str(file), dict[str, _Weight], ParameterError)
    return sum(math.prod(entry.get("shape", ())) for name, entry in header.items() if name != "__metadata__")


def placed(wanted: str) -> tuple[torch.device, torch.dtype]:
    """Find the device that `wanted` names (`auto`: a GPU if there is one) and the number format that suits it."""
    import torch  # noqa: PLC0415 - loads in seconds

    chosen = ("cuda" if torch.cuda.is_available() else "cpu") if wanted == "auto" else wanted
    device = torch.device(chosen)
    return device, torch.bfloat16 if device.type == "cuda" else torch.float32


@dataclass(frozen=True)
class Scored:
    """Tokens of one sequence, some of which are scored.

    Attributes:
        ids: Token ids.
        start: Position of the first token whose loss counts. The first token of all is never predicted.
    """

    ids: Sequence[int]
    start: int

    @property
    def first(self) -> int:
        """Position of the first token that is predicted."""
        return max(self.start, 1)

    @property
    def targets(self) -> int:
        """Number of tokens whose loss counts."""
        return max(0, len(self.ids) - self.first)


@dataclass
class LanguageModel:
    """A causal transformers model with its tokenizer.

    Attributes:
        model: The model, on `device`.
        tokenizer: Its tokenizer.
        device: Where it runs.
        batch_tokens: Tokens of a batch, padding included.
        usage: Tokens scored, tokens of padding and seconds in the model since `take_usage`.
    """

    model: PreTrainedModel
    tokenizer: Tokenizer
    device: torch.device
    batch_tokens: int
    usage: dict[str, float] = field(default_factory=lambda: {"tokens": 0, "padding": 0, "seconds": 0.0})

    @classmethod
    def load(cls, path: str, *, device: str = "auto", batch_tokens: int = 0) -> LanguageModel:
        """Load a model in bfloat16 on a GPU or float32 on a CPU. Code that comes with a model is never run.

        Args:
            path: Folder of the model.
            device: A torch device, or `auto`: a GPU if there is one.
            batch_tokens: Tokens of a batch, padding included. 0 means 2,048 on a CPU and 32,768 on a GPU.

        Returns:
            The model, ready to score.

        Raises:
            ParameterError: If the folder holds no such model, or needs code that comes with it.
        """
        from transformers import AutoModelForCausalLM, AutoTokenizer  # noqa: PLC0415 - loads in seconds

        place, dtype = placed(device)
        model_folder(path, "model")
        only = {"local_files_only": True, "trust_remote_code": False}
        tokenizer = loaded(lambda: AutoTokenizer.from_pretrained(path, **only), path, "model")
        model = loaded(lambda: AutoModelForCausalLM.from_pretrained(path, dtype=dtype, **only), path, "model")
        default = _GPU_TOKENS if place.type == "cuda" else _CPU_TOKENS
        model.to(place)  # type: ignore[arg-type]  # transformers types the method as a plain function
        return cls(model.eval(), cast("Tokenizer", tokenizer), place, batch_tokens or default)

    @property
    def limit(self) -> int:
        """Length of the longest sequence that the model has positions for."""
        return int(getattr(self.model.config, "max_position_embeddings", 0) or 1 << 30)

    def encode(self, texts: list[str]) -> list[list[int]]:
        """Token ids of each text, without special tokens."""
        return self.tokenizer(texts, add_special_tokens=False)["input_ids"] if texts else []

    @property
    def prefix(self) -> list[int]:
        """Tokens that every text of this model starts with: the token for the beginning, or nothing."""
        bos = self.tokenizer.bos_token_id
        return [] if bos is None else [int(bos)]

    def take_usage(self) -> dict[str, float]:
        """Tokens scored, padding and seconds since the last call."""
        taken = dict(self.usage)
        self.usage.update(dict.fromkeys(self.usage, 0))
        return taken

    # ---- scores -------------------------------------------------------------------------------

    def losses(self, sequences: Sequence[Scored]) -> npt.NDArray[np.float64]:
        """Mean loss (nats per token) over the targets of each of N sequences, `[N]`; NaN where there are none."""
        out = np.full(len(sequences), np.nan)
        for rows, hidden, batch in self._batches([(i, s.ids) for i, s in enumerate(sequences) if s.targets]):
            spans = [(sequences[i].first, len(sequences[i].ids)) for i in rows]
            losses = self._target_losses(hidden, batch, spans)
            begin = 0
            for i, (first, last) in zip(rows, spans, strict=True):
                out[i] = losses[begin : begin + last - first].mean()
                begin += last - first
        return out

    def last_logits(self, sequences: Sequence[Sequence[int]], tokens: Sequence[int]) -> npt.NDArray[np.float64]:
        """Logits of K tokens as what follows each of N sequences, `[N, K]`; NaN for an empty sequence."""
        import torch  # noqa: PLC0415 - loads in seconds

        out = np.full((len(sequences), len(tokens)), np.nan)
        for rows, hidden, _ in self._batches([(i, s) for i, s in enumerate(sequences) if len(s)]):
            at = torch.tensor([len(sequences[i]) - 1 for i in rows], device=self.device)
            state = hidden[torch.arange(len(rows), device=self.device), at]
            out[rows] = self._logits(state)[:, list(tokens)].double().cpu().numpy()
        return out

    def _batches(
        self, items: list[tuple[int, Sequence[int]]]
    ) -> Iterator[tuple[list[int], torch.Tensor, torch.Tensor]]:
        """(rows, hidden states, token ids) of batches of similar length, longest first; padded on the right.

        A causal model never looks to the right, so padding there changes nothing and needs no mask.
        """
        import torch  # noqa: PLC0415 - loads in seconds

        items.sort(key=lambda item: (-len(item[1]), item[0]))
        begin = 0
        while begin < len(items):
            longest = len(items[begin][1])
            size = max(1, self.batch_tokens // longest)
            part = items[begin : begin + size]
            begin += len(part)
            started = time.perf_counter()
            batch = torch.zeros((len(part), longest), dtype=torch.long)
            for k, (_, ids) in enumerate(part):
                batch[k, : len(ids)] = torch.as_tensor(np.asarray(ids))
            batch = batch.to(self.device)
            with torch.inference_mode():
                yield [i for i, _ in part], self._hidden(batch), batch
            tokens = sum(len(ids) for _, ids in part)
            self.usage["tokens"] += tokens
            self.usage["padding"] += longest * len(part) - tokens
            self.usage["seconds"] += time.perf_counter() - started

    @property
    def _plain_head(self) -> bool:
        """Whether logits are nothing but the output embedding of the last hidden state."""
        config = self.model.config
        scaled = ("final_logit_softcapping", "logit_scale", "logits_scaling", "output_multiplier_scale")
        return self.model.get_output_embeddings() is not None and not any(getattr(config, n, None) for n in scaled)

    def _hidden(self, batch: torch.Tensor) -> torch.Tensor:
        """Hidden states, or logits where the model does more than one multiplication to get from one to the other."""
        hidden: torch.Tensor
        if self._plain_head:
            hidden = self.model.base_model(input_ids=batch, use_cache=False).last_hidden_state
        else:
            hidden = self.model(input_ids=batch, use_cache=False).logits
        return hidden

    def _logits(self, states: torch.Tensor) -> torch.Tensor:
        """Logits of what `_hidden` gave."""
        logits: torch.Tensor = self.model.get_output_embeddings()(states) if self._plain_head else states
        return logits.float()

    def _target_losses(
        self, hidden: torch.Tensor, batch: torch.Tensor, spans: list[tuple[int, int]]
    ) -> npt.NDArray[np.float64]:
        """Losses of all targets of a batch, one after the other. Logits exist for a slice of targets at a time."""
        import torch  # noqa: PLC0415 - loads in seconds

        row = torch.cat([torch.full((b - a,), k) for k, (a, b) in enumerate(spans)]).to(self.device)
        column = torch.cat([torch.arange(a, b) for a, b in spans]).to(self.device)
        states, wanted = hidden[row, column - 1], batch[row, column]
        width = self.model.config.get_text_config().vocab_size
        step = max(16, (64 << 20) // (4 * width))
        parts = [
            torch.nn.functional.cross_entropy(
                self._logits(states[i : i + step]), wanted[i : i + step], reduction="none"
            )
            for i in range(0, len(wanted), step)
        ]
        losses: npt.NDArray[np.float64] = torch.cat(parts).double().cpu().numpy()
        return losses
