"""A causal language model as a scorer: losses of chosen tokens, in batches of similar length."""

from __future__ import annotations

import importlib.util
import time
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np

__all__ = ["LanguageModel", "Scored", "chat_prompt", "check_model", "load_classifier", "model_path"]


def model_path(path: str, stage: str) -> None:
    """Raise ValueError unless `path` is a folder of a transformers model."""
    if not path:
        raise ValueError(f"{stage} needs `model`, the folder of a transformers model")
    if not Path(path).is_dir():
        raise ValueError(f"{stage}: model: {path!r} is no folder; models are loaded by path, never downloaded")
    if not (Path(path) / "config.json").is_file():
        raise ValueError(f"{stage}: model: {path!r} holds no config.json; expected a transformers model")


def check_model(path: str, stage: str) -> None:
    """What can be told of a model without loading it. Raises ValueError."""
    for package in ("torch", "transformers"):
        if importlib.util.find_spec(package) is None:
            raise ValueError(f"{stage} needs the extra `quality`: pip install 'raylib-data[quality]'")
    model_path(path, stage)


def _device(wanted: str) -> Any:
    import torch

    if wanted != "auto":
        return torch.device(wanted)
    return torch.device("cuda" if torch.cuda.is_available() else "cpu")


def _dtype(device: Any) -> Any:
    import torch

    return torch.bfloat16 if device.type == "cuda" else torch.float32


@dataclass(frozen=True)
class Scored:
    """Tokens of one sequence; those from `start` on are the ones whose loss counts (never the first of all)."""

    ids: Sequence[int]
    start: int

    @property
    def first(self) -> int:
        return max(self.start, 1)

    @property
    def targets(self) -> int:
        return max(0, len(self.ids) - self.first)


@dataclass
class LanguageModel:
    """A causal transformers model with its tokenizer.

    batch_tokens: tokens of a batch, padding included; 0: 2,048 on a CPU (more falls out of its cache), 32,768 on a GPU.
    """

    model: Any
    tokenizer: Any
    device: Any
    batch_tokens: int
    usage: dict[str, float] = field(default_factory=lambda: {"tokens": 0, "padding": 0, "seconds": 0.0})

    @classmethod
    def load(cls, path: str, *, device: str = "auto", batch_tokens: int = 0) -> LanguageModel:
        """From a folder, in bfloat16 on a GPU and float32 on a CPU; code that comes with a model is never run."""
        from transformers import AutoModelForCausalLM, AutoTokenizer

        place = _device(device)
        tokenizer = AutoTokenizer.from_pretrained(path, local_files_only=True, trust_remote_code=False)
        model = AutoModelForCausalLM.from_pretrained(
            path, local_files_only=True, trust_remote_code=False, dtype=_dtype(place)
        )
        model = model.to(place).eval()
        return cls(model, tokenizer, place, batch_tokens or (32_768 if place.type == "cuda" else 2_048))

    @property
    def limit(self) -> int:
        """The longest sequence that the model has positions for."""
        return int(getattr(self.model.config, "max_position_embeddings", 0) or 1 << 30)

    def encode(self, texts: list[str]) -> list[list[int]]:
        """Token ids without special tokens."""
        if not texts:
            return []
        ids: list[list[int]] = self.tokenizer(texts, add_special_tokens=False)["input_ids"]
        return ids

    @property
    def prefix(self) -> list[int]:
        """What a text starts with for this model: the token for the beginning, or nothing."""
        bos = self.tokenizer.bos_token_id
        return [] if bos is None else [int(bos)]

    def take_usage(self) -> dict[str, float]:
        """Tokens scored, padding and seconds since the last call."""
        taken = dict(self.usage)
        self.usage.update(dict.fromkeys(self.usage, 0))
        return taken

    # ---- scores -------------------------------------------------------------------------------

    def losses(self, sequences: Sequence[Scored]) -> np.ndarray[Any, Any]:
        """Mean loss (nats a token) over the targets of each sequence; NaN where it has none. Float64, shape (n,)."""
        out = np.full(len(sequences), np.nan)
        for rows, hidden, batch in self._batches([(i, s.ids) for i, s in enumerate(sequences) if s.targets]):
            spans = [(sequences[i].first, len(sequences[i].ids)) for i in rows]
            losses = self._target_losses(hidden, batch, spans)
            begin = 0
            for i, (first, last) in zip(rows, spans, strict=True):
                out[i] = losses[begin : begin + last - first].mean()
                begin += last - first
        return out

    def last_logits(self, sequences: Sequence[Sequence[int]], tokens: Sequence[int]) -> np.ndarray[Any, Any]:
        """Logits of `tokens` for what follows each sequence, shape (n, len(tokens))."""
        import torch

        out = np.full((len(sequences), len(tokens)), np.nan)
        for rows, hidden, _ in self._batches([(i, s) for i, s in enumerate(sequences) if len(s)]):
            at = torch.tensor([len(sequences[i]) - 1 for i in rows], device=self.device)
            state = hidden[torch.arange(len(rows), device=self.device), at]
            out[rows] = self._logits(state)[:, list(tokens)].double().cpu().numpy()
        return out

    def _batches(self, items: list[tuple[int, Sequence[int]]]) -> Iterator[tuple[list[int], Any, Any]]:
        """(rows, hidden states, token ids) of batches of similar length, longest first; padded on the right.

        A causal model never looks to the right, so padding there changes nothing and needs no mask.
        """
        import torch

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

    def _hidden(self, batch: Any) -> Any:
        """Hidden states, or logits where the model does more than one multiplication to get from one to the other."""
        if self._plain_head:
            return self.model.base_model(input_ids=batch, use_cache=False).last_hidden_state
        return self.model(input_ids=batch, use_cache=False).logits

    def _logits(self, states: Any) -> Any:
        return (self.model.get_output_embeddings()(states) if self._plain_head else states).float()

    def _target_losses(self, hidden: Any, batch: Any, spans: list[tuple[int, int]]) -> np.ndarray[Any, Any]:
        """Losses of all targets of a batch, one after the other. Logits exist for a slice of targets at a time."""
        import torch

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
        return torch.cat(parts).double().cpu().numpy()


def load_classifier(path: str, *, device: str = "auto") -> tuple[Any, Any, Any]:
    """(model, tokenizer, device) of a sequence classification model, such as a reward model."""
    from transformers import AutoModelForSequenceClassification, AutoTokenizer

    place = _device(device)
    tokenizer = AutoTokenizer.from_pretrained(path, local_files_only=True, trust_remote_code=False)
    model = AutoModelForSequenceClassification.from_pretrained(
        path, local_files_only=True, trust_remote_code=False, dtype=_dtype(place)
    )
    return model.to(place).eval(), tokenizer, place


def chat_prompt(tokenizer: Any, messages: list[dict[str, str]], template: str) -> str:
    """What stands before an answer, as text: by the tokenizer's own chat template, or message by message.

    template: chat, plain, or auto: chat where the tokenizer has a template.
    """
    if template == "chat" or (template == "auto" and getattr(tokenizer, "chat_template", None)):
        text: str = tokenizer.apply_chat_template(messages, tokenize=False, add_generation_prompt=True)
        return text
    return "".join(f"{m['content']}\n" for m in messages)
