"""Scores by models that were trained to score: reward models, and Deita's quality and complexity scorers."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any, ClassVar, Literal

import numpy as np
import pyarrow as pa

from quality.models.language_model import LanguageModel, chat_prompt, check_model, load_classifier
from quality.text.turns import Exchange, exchanges
from raylib.stage import Outcome, StageInfo, keep_all, register
from raylib.stage.outcome import with_columns

__all__ = ["Deita", "RewardModel"]


@dataclass(frozen=True)
class RewardModel:
    """Add `reward`, the score of a reward model for the last answer of each record.

    `model` is the folder of a transformers sequence classification model; with one output its logit is the reward,
    with two the log-odds of the second. Longer conversations are cut at their start to `max_tokens`. Null where
    there is no answer.
    """

    model: str
    column: str = "reward"
    max_tokens: int = 2048
    batch_tokens: int = 0
    template: Literal["auto", "chat", "plain"] = "auto"
    device: str = "auto"
    _loaded: dict[str, Any] = field(default_factory=dict, init=False, repr=False, compare=False, hash=False)
    model_based: ClassVar[bool] = True

    def check(self) -> None:
        """Raise ValueError when there is no such model."""
        check_model(self.model, "reward_model")

    def setup(self) -> None:
        """Load the model."""
        model, tokenizer, device = load_classifier(self.model, device=self.device)
        if model.config.num_labels > 2:
            raise ValueError(f"reward_model: {self.model} has {model.config.num_labels} outputs; a reward model has 1")
        self._loaded.update(model=model, tokenizer=tokenizer, device=device)

    def __call__(self, table: pa.Table) -> Outcome:
        values = np.zeros(0)
        if len(table):
            if not self._loaded:
                self.setup()
            values = self._rewards(list(exchanges(table)))
        column = pa.array(np.round(values, 5), pa.float64(), mask=~np.isfinite(values))
        return keep_all(with_columns(table, {self.column: column}))

    def _rewards(self, pairs: list[Exchange]) -> np.ndarray[Any, Any]:
        import torch

        model, tokenizer, device = (self._loaded[k] for k in ("model", "tokenizer", "device"))
        limit = min(self.max_tokens, int(getattr(model.config, "max_position_embeddings", self.max_tokens)))
        texts = [self._whole(tokenizer, p) for p in pairs]
        ids = [i[-limit:] for i in tokenizer(texts, add_special_tokens=self.template == "plain")["input_ids"]]
        order = [i for i in np.argsort([-len(i) for i in ids], kind="stable").tolist() if ids[i] and pairs[i].response]
        budget = self.batch_tokens or (32_768 if device.type == "cuda" else 4_096)
        pad = tokenizer.pad_token_id if tokenizer.pad_token_id is not None else model.config.pad_token_id or 0
        out = np.full(len(pairs), np.nan)
        while order:
            size = max(1, budget // len(ids[order[0]]))
            rows, order = order[:size], order[size:]
            if model.config.pad_token_id is None and len(rows) > 1:
                # such a model reads its score off the last position of the batch, so lengths must not be mixed
                same = [r for r in rows if len(ids[r]) == len(ids[rows[0]])]
                order = rows[len(same) :] + order
                rows = same
            width = max(len(ids[r]) for r in rows)
            batch = torch.full((len(rows), width), pad, dtype=torch.long)
            mask = torch.zeros((len(rows), width), dtype=torch.long)
            for k, r in enumerate(rows):
                batch[k, : len(ids[r])] = torch.tensor(ids[r])
                mask[k, : len(ids[r])] = 1
            with torch.inference_mode():
                logits = model(input_ids=batch.to(device), attention_mask=mask.to(device)).logits.double().cpu().numpy()
            out[rows] = logits[:, 0] if logits.shape[1] == 1 else logits[:, 1] - logits[:, 0]
        return out

    def _whole(self, tokenizer: Any, pair: Exchange) -> str:
        if self.template == "chat" or (self.template == "auto" and getattr(tokenizer, "chat_template", None)):
            messages = [*pair.messages, {"role": "assistant", "content": pair.response}]
            text: str = tokenizer.apply_chat_template(messages, tokenize=False)
            return text
        return chat_prompt(tokenizer, pair.messages, "plain") + pair.response


# The prompts that the published scorers were trained on: with other words their answers mean nothing.
_DEITA = {
    "quality": (
        "You are a helpful assistant. Please identify the quality score of the Response corresponding to the Question. "
        "\n #Question#:\n{instruction}\n#Response#:\n{response} \n##Quality: "
    ),
    "complexity": (
        "You are a helpful assistant. Please identify the complexity score of the following user query. "
        "\n##Query: {instruction}  \n##Complexity: "
    ),
}


@dataclass(frozen=True)
class Deita:
    """Add `quality` or `complexity` from 1 to 6 by a Deita-style scorer: a causal model that answers with one digit.

    The score is the expectation over the probabilities of the digits 1 to 6 as the next token. `prompt` replaces
    the prompt of the published scorers; it may hold {instruction} and {response}. Null where there is no
    instruction. Source: Liu et al., "What Makes Good Data for Alignment?", ICLR 2024.
    """

    model: str
    of: Literal["quality", "complexity"] = "quality"
    column: str = ""
    prompt: str = ""
    max_tokens: int = 2048
    batch_tokens: int = 0
    device: str = "auto"
    _loaded: dict[str, Any] = field(default_factory=dict, init=False, repr=False, compare=False, hash=False)
    model_based: ClassVar[bool] = True

    def __post_init__(self) -> None:
        if self.prompt and "{instruction}" not in self.prompt and "{response}" not in self.prompt:
            raise ValueError("prompt must hold {instruction} or {response}")

    def check(self) -> None:
        """Raise ValueError when there is no such model."""
        check_model(self.model, "deita")

    def setup(self) -> None:
        """Load the model and look up its digits."""
        model = LanguageModel.load(self.model, device=self.device, batch_tokens=self.batch_tokens)
        digits = [ids[-1:] for ids in model.encode([str(d) for d in range(1, 7)])]
        if len({tuple(d) for d in digits}) != 6 or not all(digits):
            raise ValueError(f"deita: the tokenizer of {self.model} has no token of its own for each digit 1 to 6")
        self._loaded.update(model=model, digits=[d[0] for d in digits])

    def __call__(self, table: pa.Table) -> Outcome:
        values = np.zeros(0)
        if len(table):
            if not self._loaded:
                self.setup()
            values = self._expected(list(exchanges(table)))
        column = pa.array(np.round(values, 5), pa.float64(), mask=~np.isfinite(values))
        return keep_all(with_columns(table, {self.column or self.of: column}))

    def _expected(self, pairs: list[Exchange]) -> np.ndarray[Any, Any]:
        model: LanguageModel = self._loaded["model"]
        prompt = self.prompt or _DEITA[self.of]
        limit = min(self.max_tokens, model.limit)
        # replace, not format: braces in the data are data
        texts = [prompt.replace("{instruction}", p.instruction).replace("{response}", p.response) for p in pairs]
        tail = model.encode([prompt[-20:]])[0]
        sequences = []
        for pair, ids in zip(pairs, model.encode(texts), strict=True):
            ids = [*model.prefix, *ids]
            if len(ids) > limit:  # the question for the score must stay at the end
                ids = [*ids[: limit - len(tail)], *tail]
            sequences.append(ids if pair.instruction.strip() else [])
        logits = model.last_logits(sequences, self._loaded["digits"])
        shifted = np.exp(logits - logits.max(axis=1, keepdims=True))
        return np.asarray(shifted / shifted.sum(axis=1, keepdims=True) @ np.arange(1.0, 7.0))


register(StageInfo(name="reward_model", make=RewardModel, kind="score", summary=RewardModel.__doc__ or ""))
register(StageInfo(name="deita", make=Deita, kind="score", summary=Deita.__doc__ or ""))
