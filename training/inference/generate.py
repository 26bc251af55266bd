"""Answers of a model to prompts: by transformers in batches of similar length, by vLLM, or by an endpoint."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

__all__ = ["EndpointGenerator", "Generator", "Sampling", "VllmGenerator"]


Message = dict[str, str]


@dataclass(frozen=True)
class Sampling:
    """temperature 0: greedy. seed: of sampling."""

    max_new_tokens: int = 512
    temperature: float = 0.0
    top_p: float = 1.0
    top_k: int = 0
    repetition_penalty: float = 1.0
    seed: int = 0


class Generator:
    """A saved model that answers conversations, rendered exactly as for training."""

    def __init__(self, path: str, *, template: str = "auto", device: str = "auto") -> None:
        import torch
        from transformers import AutoModelForCausalLM, AutoTokenizer

        from training.data.templates import Renderer

        place = torch.device(device if device != "auto" else "cuda" if torch.cuda.is_available() else "cpu")
        self.tokenizer = AutoTokenizer.from_pretrained(path, local_files_only=True, trust_remote_code=False)
        dtype = torch.bfloat16 if place.type == "cuda" else torch.float32
        model: Any = AutoModelForCausalLM.from_pretrained(
            path, local_files_only=True, trust_remote_code=False, dtype=dtype
        )
        self.model, self.device = model.to(place).eval(), place
        self.renderer = Renderer(self.tokenizer, template)

    def answer(self, conversations: Sequence[Sequence[Message]], sampling: Sampling | None = None, *, batch: int = 16) -> list[str]:  # fmt: skip
        """The next answer to each conversation, without its end token."""
        import torch

        sampling = sampling or Sampling()
        prompts = [self.renderer.prompt(c) for c in conversations]
        end = self.renderer.answer("")  # several tokens in some templates: the last one is what ends a turn
        stops = sorted({*end[-1:], self.tokenizer.eos_token_id})
        tail = str(self.tokenizer.decode(end[:-1], skip_special_tokens=True))
        pad = self.tokenizer.pad_token_id if self.tokenizer.pad_token_id is not None else self.tokenizer.eos_token_id
        options: dict[str, Any] = {"max_new_tokens": sampling.max_new_tokens, "eos_token_id": stops, "pad_token_id": pad, "repetition_penalty": sampling.repetition_penalty, "do_sample": sampling.temperature > 0}  # fmt: skip
        if sampling.temperature > 0:
            options |= {"temperature": sampling.temperature, "top_p": sampling.top_p, "top_k": sampling.top_k}
        limit = int(getattr(self.model.config, "max_position_embeddings", 1 << 30)) - sampling.max_new_tokens
        order = sorted(range(len(prompts)), key=lambda i: -len(prompts[i]))
        out = [""] * len(prompts)
        torch.manual_seed(sampling.seed)
        for begin in range(0, len(order), batch):
            rows = order[begin : begin + batch]
            ids = [prompts[i][-max(limit, 1) :] for i in rows]
            width = max(map(len, ids))
            # padding stands on the left here: what is generated goes on from the last column
            tokens = torch.tensor([[pad] * (width - len(i)) + i for i in ids], device=self.device)
            mask = torch.tensor([[0] * (width - len(i)) + [1] * len(i) for i in ids], device=self.device)
            with torch.inference_mode():
                made = self.model.generate(input_ids=tokens, attention_mask=mask, **options)[:, width:].tolist()
            for row, answer in zip(rows, made, strict=True):
                cut = next((k for k, t in enumerate(answer) if t in stops), len(answer))
                text = str(self.tokenizer.decode(answer[:cut], skip_special_tokens=True))
                out[row] = text.removesuffix(tail)
        return out


class VllmGenerator:
    """The same by vLLM, for many prompts on a GPU; rendered by us, so that the tokens are those of training."""

    def __init__(self, path: str, *, template: str = "auto", **options: Any) -> None:
        from transformers import AutoTokenizer

        from raylib.errors import TrainingError
        from training.data.templates import Renderer

        try:
            from vllm import LLM
        except ImportError as error:
            raise TrainingError("--engine vllm: the package is not installed; use transformers, or serve the model elsewhere and give --endpoint") from error  # fmt: skip
        self.tokenizer = AutoTokenizer.from_pretrained(path, local_files_only=True, trust_remote_code=False)
        self.renderer = Renderer(self.tokenizer, template)
        self._model = LLM(model=path, trust_remote_code=False, **options)

    def answer(self, conversations: Sequence[Sequence[Message]], sampling: Sampling | None = None, *, batch: int = 0) -> list[str]:  # fmt: skip
        """The next answer to each conversation; `batch` is vLLM's own affair."""
        from vllm import SamplingParams

        sampling = sampling or Sampling()
        end = self.renderer.answer("")
        wanted = SamplingParams(
            max_tokens=sampling.max_new_tokens, temperature=sampling.temperature, top_p=sampling.top_p, top_k=sampling.top_k or -1,
            repetition_penalty=sampling.repetition_penalty, seed=sampling.seed, stop_token_ids=sorted({*end[-1:], self.tokenizer.eos_token_id}),
        )  # fmt: skip
        made = self._model.generate([{"prompt_token_ids": self.renderer.prompt(c)} for c in conversations], wanted)
        tail = str(self.tokenizer.decode(end[:-1], skip_special_tokens=True))
        return [str(m.outputs[0].text).removesuffix(tail) for m in made]


class EndpointGenerator:
    """The same by an OpenAI-compatible endpoint, whose server renders. Failed requests raise TrainingError."""

    def __init__(self, model: str, base_url: str = "", *, cache: str = "", concurrency: int = 8) -> None:
        from quality.models.endpoint import Endpoint

        self._endpoint = Endpoint(model, base_url, cache=cache, concurrency=concurrency)

    def answer(self, conversations: Sequence[Sequence[Message]], sampling: Sampling | None = None, *, batch: int = 0) -> list[str]:  # fmt: skip
        """The next answer to each conversation; top_k and the penalty of repetitions are not part of the protocol."""
        from raylib.errors import TrainingError

        sampling = sampling or Sampling()
        asked = [[dict(m) for m in c] for c in conversations]
        answers = self._endpoint.ask(asked, str, temperature=sampling.temperature, top_p=sampling.top_p, max_tokens=sampling.max_new_tokens, seed=sampling.seed)  # fmt: skip
        failed = [a.error for a in answers if a.value is None]
        if failed:
            raise TrainingError(f"{len(failed)} of {len(answers)} requests failed: {failed[0]}")
        return [str(a.value) for a in answers]
