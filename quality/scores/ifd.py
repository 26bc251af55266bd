"""Instruction-following difficulty (IFD), from Cherry LLM (Li et al., NAACL 2024)."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any, ClassVar, Literal

import numpy as np
import pyarrow as pa

from quality.models.language_model import LanguageModel, Scored, chat_prompt, check_model
from quality.text.turns import exchanges
from raylib.stage import Outcome, StageInfo, keep_all, register
from raylib.stage.outcome import with_columns

__all__ = ["Ifd"]


@dataclass(frozen=True)
class Ifd:
    """Instruction-following difficulty: how little the instruction helps a model to predict the response.

    Adds `ifd` = loss of the response given the instruction / loss of the response alone, both the mean over the
    same response tokens; `ifd_loss`, the former loss (nats a token); `ifd_misaligned`, true where ifd >= 1: the
    instruction makes the response less likely, as for a wrong or unrelated answer; and `response_tokens`.
    Null where there is no instruction or no response. Any causal transformers model by path; the last answer of a
    conversation counts. The response is cut at the end and then the instruction at its start to fit `max_tokens`.
    `template`: chat, plain (messages, each with a newline), or auto: chat where the tokenizer has a template.
    Source: Li et al., "From Quantity to Quality", NAACL 2024.
    """

    model: str
    max_tokens: int = 2048
    template: Literal["auto", "chat", "plain"] = "auto"
    batch_tokens: int = 0
    device: str = "auto"
    _loaded: dict[str, Any] = field(default_factory=dict, init=False, repr=False, compare=False, hash=False)
    model_based: ClassVar[bool] = True

    def __post_init__(self) -> None:
        if self.max_tokens < 8:
            raise ValueError(f"max_tokens must be at least 8, is {self.max_tokens}")

    def check(self) -> None:
        """Raise ValueError when there is no such model."""
        check_model(self.model, "ifd")

    def setup(self) -> None:
        """Load the model."""
        self._loaded["model"] = LanguageModel.load(self.model, device=self.device, batch_tokens=self.batch_tokens)

    def notes(self) -> dict[str, float]:
        """Tokens scored and seconds spent in the model since the last call."""
        taken: dict[str, float] = self._loaded["model"].take_usage()
        return taken

    def __call__(self, table: pa.Table) -> Outcome:
        if "model" not in self._loaded and len(table):
            self.setup()
        sequences, tokens = self._sequences(table) if len(table) else ([], [])
        losses = self._loaded["model"].losses(sequences) if sequences else np.zeros(0)
        given, alone = losses[0::2], losses[1::2]
        with np.errstate(divide="ignore", invalid="ignore"):
            ifd = given / alone
        known = np.isfinite(ifd)
        columns = {
            "ifd": pa.array(np.round(ifd, 6), pa.float64(), mask=~known),
            "ifd_loss": pa.array(np.round(given, 6), pa.float64(), mask=~np.isfinite(given)),
            "ifd_misaligned": pa.array(ifd >= 1.0, pa.bool_(), mask=~known),
            "response_tokens": pa.array(tokens, pa.int32()),
        }
        return keep_all(with_columns(table, columns))

    def _sequences(self, table: pa.Table) -> tuple[list[Scored], list[int]]:
        """For each record two sequences with the same targets: the response after the instruction, and alone."""
        model: LanguageModel = self._loaded["model"]
        limit = min(self.max_tokens, model.limit)
        pairs = list(exchanges(table))
        prompts = model.encode([chat_prompt(model.tokenizer, p.messages, self.template) if p.messages else "" for p in pairs])  # fmt: skip
        responses = model.encode([p.response for p in pairs])
        prefix = model.prefix
        sequences: list[Scored] = []
        for prompt, response in zip(prompts, responses, strict=True):
            answer = response[: max(limit // 2, limit - len(prompt) - len(prefix))]
            room = max(0, limit - len(answer) - len(prefix))
            asked = prompt[len(prompt) - room :] if room else []
            if asked[: len(prefix)] == prefix:  # the template brought its own
                asked = asked[len(prefix) :]
            # without a token for the beginning the first token of the response alone cannot be predicted:
            # it counts in neither
            skip = 0 if prefix else 1
            if not asked or len(answer) <= skip:
                sequences += [Scored([], 0), Scored([], 0)]
                continue
            sequences.append(Scored([*prefix, *asked, *answer], len(prefix) + len(asked) + skip))
            sequences.append(Scored([*prefix, *answer], len(prefix) + skip))
        return sequences, [len(r) for r in responses]


register(StageInfo(name="ifd", make=Ifd, kind="score", summary=Ifd.__doc__ or ""))
