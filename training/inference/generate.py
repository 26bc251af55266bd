"""Answers of a model to prompts: by transformers in batches of similar length, by vLLM, or by an endpoint."""

from __future__ import annotations

import logging
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from functools import partial
from importlib import import_module
from pathlib import Path
from typing import TYPE_CHECKING, Literal

import orjson

from raylib.atomic import mend_last_line
from raylib.chat import Renderer, RenderOptions, stop_ids
from raylib.errors import ParameterError, RecordError, TrainingError, attempt
from raylib.extras import optional
from raylib.locking import locked_file
from raylib.model_folders import loaded, model_folder
from raylib.outputs import output_file
from training.data.tokenizer import Tokenizer, pad_id, saved_tokenizer
from training.inference.endpoint_generator import EndpointGenerator
from training.inference.prompts import AnswerRecord, Prompt, prompts_of, read_answers, split_answer
from training.inference.sampling import AnswersPrompts, Conversations, PartlyAnswered, Sampling, Tools

if TYPE_CHECKING:
    from torch import Tensor
    from transformers import PreTrainedModel


__all__ = ["GenerateOptions", "Generated", "Generator", "VllmGenerator", "generate_file"]

_PURPOSE = "generation without --endpoint"
_log = logging.getLogger("raylib")


class _Rendering:
    """A tokenizer, and conversations rendered as the model of its folder was taught."""

    def __init__(self, path: str, render: RenderOptions | None) -> None:
        place = model_folder(path, "model")
        self.tokenizer: Tokenizer = saved_tokenizer(place, "model")
        self.renderer = Renderer(self.tokenizer, render, stops=stop_ids(place))
        self.stops, self._tail = self.renderer.stops(), self.renderer.tail()

    def answer_of(self, text: str) -> str:
        """What a model has written, without what the template writes between an answer and its end."""
        return text.removesuffix(self._tail)

    def prompts(self, conversations: Conversations, tools: Tools | None) -> tuple[dict[int, list[int]], dict[int, str]]:
        """Tokens of the prompts that can be rendered, and why the others cannot, by their number."""
        made: dict[int, list[int]] = {}
        refused: dict[int, str] = {}
        for number, messages in enumerate(conversations):
            given = None if tools is None else tools[number]
            prompt = attempt(partial(self.renderer.prompt, messages, given))
            if isinstance(prompt, RecordError):
                refused[number] = str(prompt)
            else:
                made[number] = prompt
        return made, refused


def _all_answers(answers: Mapping[int, str], refused: Mapping[int, str], count: int) -> list[str]:
    """Answers in order. Raises PartlyAnswered if some conversations were refused."""
    if refused:
        raise PartlyAnswered([answers.get(i) for i in range(count)], list(refused.values()))
    return [answers[i] for i in range(count)]


class Generator:
    """A saved model that answers conversations, rendered exactly as for training.

    Args:
        path: Path of the model's folder.
        render: How conversations are rendered; None renders them by the model's own template.
        device: Device, such as `cpu` or `cuda:1`; `auto` uses a GPU if there is one.
    """

    def __init__(self, path: str, *, render: RenderOptions | None = None, device: str = "auto") -> None:
        torch = optional("torch", purpose=_PURPOSE)
        transformers = optional("transformers", purpose=_PURPOSE)
        place = torch.device(device if device != "auto" else "cuda" if torch.cuda.is_available() else "cpu")
        self._rendering = _Rendering(path, render)
        self.tokenizer, self.renderer = self._rendering.tokenizer, self._rendering.renderer
        dtype = torch.bfloat16 if place.type == "cuda" else torch.float32
        model: PreTrainedModel = loaded(
            lambda: transformers.AutoModelForCausalLM.from_pretrained(
                path, local_files_only=True, trust_remote_code=False, dtype=dtype
            ),
            path,
            "model",
        )
        self.model, self.device = model.to(place).eval(), place

    def answer(
        self,
        conversations: Conversations,
        sampling: Sampling | None = None,
        *,
        batch: int = 16,
        tools: Tools | None = None,
    ) -> list[str]:
        """Answer conversations.

        Args:
            conversations: Messages of each conversation, up to a question.
            sampling: How tokens are drawn.
            batch: Number of conversations that are answered at once. It does not change greedy answers.
            tools: Tools of each conversation.

        Returns:
            What the model writes after each generation prompt, reasoning included, without the token that ends it.

        Raises:
            PartlyAnswered: if the template refuses some conversations.
        """
        torch = optional("torch", purpose=_PURPOSE)
        sampling = sampling or Sampling()
        prompts, refused = self._rendering.prompts(conversations, tools)
        limit = max(1, int(getattr(self.model.config, "max_position_embeddings", 1 << 30)) - sampling.max_new_tokens)
        cut = sum(len(ids) > limit for ids in prompts.values())
        if cut:
            _log.warning("%d prompts are longer than %d tokens and lose their beginning", cut, limit)
        order = sorted(prompts, key=lambda i: -len(prompts[i]))
        out: dict[int, str] = {}
        torch.manual_seed(sampling.seed)
        for begin in range(0, len(order), batch):
            rows = order[begin : begin + batch]
            answers = self._generate([prompts[i][-limit:] for i in rows], sampling)
            out.update(zip(rows, answers, strict=True))
        return _all_answers(out, refused, len(conversations))

    def _generate(self, prompts: Sequence[list[int]], sampling: Sampling) -> list[str]:
        """Answer one batch of prompts."""
        torch = optional("torch", purpose=_PURPOSE)
        pad = pad_id(self.tokenizer)
        options: dict[str, object] = {
            "max_new_tokens": sampling.max_new_tokens,
            "eos_token_id": self._rendering.stops,
            "pad_token_id": pad,
            "repetition_penalty": sampling.repetition_penalty,
            "do_sample": sampling.temperature > 0,
        }
        if sampling.temperature > 0:
            options |= {"temperature": sampling.temperature, "top_p": sampling.top_p, "top_k": sampling.top_k}
        width = max(map(len, prompts))
        # padding is on the left here, because generation continues from the last column
        ids = torch.tensor([[pad] * (width - len(p)) + p for p in prompts], device=self.device)
        mask = torch.tensor([[0] * (width - len(p)) + [1] * len(p) for p in prompts], device=self.device)
        with torch.inference_mode():
            made: Tensor = self.model.generate(input_ids=ids, attention_mask=mask, **options)
        return [self._text(row) for row in made[:, width:].tolist()]

    def _text(self, ids: list[int]) -> str:
        """Text of the tokens before the first one that ends an answer."""
        cut = next((k for k, token in enumerate(ids) if token in self._rendering.stops), len(ids))
        return self._rendering.answer_of(self.tokenizer.decode(ids[:cut], skip_special_tokens=True))


class VllmGenerator:
    """The same by vLLM, for many prompts on a GPU. Prompts are rendered here, so their tokens are those of training.

    Args:
        path: Path of the model's folder.
        render: How conversations are rendered; None renders them by the model's own template.
        options: Further arguments of `vllm.LLM`.
    """

    def __init__(self, path: str, *, render: RenderOptions | None = None, **options: object) -> None:
        try:
            self._vllm = import_module("vllm")
        except ImportError as error:
            raise TrainingError(
                "--engine vllm: the package is not installed; use transformers, or serve the model elsewhere and give "
                "--endpoint"
            ) from error
        self._rendering = _Rendering(path, render)
        self._model = self._vllm.LLM(model=path, trust_remote_code=False, **options)

    def answer(
        self,
        conversations: Conversations,
        sampling: Sampling | None = None,
        *,
        batch: int = 0,
        tools: Tools | None = None,
    ) -> list[str]:
        """The next answer to each conversation. vLLM makes its own batches, so `batch` is not used."""
        sampling = sampling or Sampling()
        prompts, refused = self._rendering.prompts(conversations, tools)
        wanted = self._vllm.SamplingParams(
            max_tokens=sampling.max_new_tokens,
            temperature=sampling.temperature,
            top_p=sampling.top_p,
            top_k=sampling.top_k or -1,
            repetition_penalty=sampling.repetition_penalty,
            seed=sampling.seed,
            stop_token_ids=self._rendering.stops,
        )
        made = self._model.generate([{"prompt_token_ids": ids} for ids in prompts.values()], wanted)
        answers = {i: self._rendering.answer_of(str(m.outputs[0].text)) for i, m in zip(prompts, made, strict=True)}
        return _all_answers(answers, refused, len(conversations))


@dataclass(frozen=True)
class GenerateOptions:
    """What answers prompts, and how often.

    Attributes:
        sampling: How tokens are drawn; sample N of a prompt uses the seed plus N.
        samples: Number of answers to each prompt.
        batch: Number of prompts that are answered at once.
        limit: Largest number of prompts; 0 takes all.
        engine: `transformers` or `vllm`; not used with an endpoint.
        endpoint: URL of an OpenAI-compatible endpoint up to `/v1`. If empty, the model is loaded here.
        render: How conversations are rendered; of an endpoint's server, `template_options` alone can be set.
    """

    sampling: Sampling = field(default_factory=Sampling)
    samples: int = 1
    batch: int = 16
    limit: int = 0
    engine: Literal["transformers", "vllm"] = "transformers"
    endpoint: str = ""
    render: RenderOptions = field(default_factory=RenderOptions)

    def __post_init__(self) -> None:
        if self.engine not in ("transformers", "vllm"):
            raise ParameterError(f"engine {self.engine!r}: valid are transformers or vllm")


@dataclass(frozen=True)
class Generated:
    """Number of answers that a file holds, and of those that it held before."""

    answers: int
    held: int


def generate_file(model: str, prompts: str, out: Path, options: GenerateOptions | None = None) -> Generated:
    """Let a model answer prompts, and append the answers to a file as JSON lines.

    Answers of this model that the file holds already are not generated again, so an interrupted call continues when it
    is repeated. The model is loaded only if there is something to generate.

    Args:
        model: Path of the model's folder, or its name at the endpoint.
        prompts: Records with prompts: conversations, preferences, documents or safety records.
        out: File to append to.
        options: What answers, and how often.

    Raises:
        RaylibError: if another process is writing to the file; if there are no prompts; if an endpoint refuses all of
            them or does not answer; at the end, if some prompts got no answer.
    """
    options = options or GenerateOptions()
    asked = prompts_of(prompts, options.limit)
    output_file(out)
    generator: AnswersPrompts | None = None
    reasons: list[str] = []
    with locked_file(out):
        cut = mend_last_line(out)
        if cut:
            _log.warning(
                "%s: the last line was cut; %d bytes are dropped, and that answer is asked for again", out, cut
            )
        held = _held(out, model)
        for part, sample in _parts(asked, held, options):
            generator = generator or _generator(model, options)
            sampling = replace(options.sampling, seed=options.sampling.seed + sample)
            answers: Sequence[str | None]
            try:
                answers = generator.answer(
                    [p.messages for p in part], sampling, batch=options.batch, tools=[p.tools for p in part]
                )
            except PartlyAnswered as error:
                answers = error.answers
                reasons += error.reasons
            _append(out, part, answers, model, sample)
    if reasons:
        missing = f"{len(reasons)} of {len(asked) * options.samples} answers are missing: {reasons[0]}"
        raise TrainingError(f"{missing}. {out} holds the others, and the same command asks for the missing ones again")
    return Generated(len(asked) * options.samples, len(held))


def _held(out: Path, model: str) -> set[tuple[str, int]]:
    """(id, sample) of the answers of a model that a file holds."""
    if not out.is_file():
        return set()
    records = read_answers([str(out)], empty=True)
    return {(record["id"], record["sample"]) for record in records if record["model"] == model}


def _parts(
    asked: Sequence[Prompt], held: set[tuple[str, int]], options: GenerateOptions
) -> Iterator[tuple[list[Prompt], int]]:
    """Prompts without an answer, in parts that are written at once, each with the number of its sample."""
    size = 32 * options.batch
    for sample in range(options.samples):
        left = [prompt for prompt in asked if (prompt.id, sample) not in held]
        for begin in range(0, len(left), size):
            yield left[begin : begin + size], sample


def _generator(model: str, options: GenerateOptions) -> AnswersPrompts:
    if options.endpoint:
        return EndpointGenerator(model, options.endpoint, template_options=options.render.template_options)
    if options.engine == "vllm":
        return VllmGenerator(model, render=options.render)
    return Generator(model, render=options.render)


def _append(out: Path, part: Sequence[Prompt], answers: Sequence[str | None], model: str, sample: int) -> None:
    """Append answers to a file; a prompt without one is left out."""
    with out.open("ab") as stream:
        for prompt, answer in zip(part, answers, strict=True):
            if answer is None:
                continue
            reasoning, response = split_answer(answer)
            record = AnswerRecord(id=prompt.id, prompt=prompt.messages, response=response, model=model, sample=sample)
            if reasoning:
                record["reasoning_content"] = reasoning
            if prompt.tools:
                record["tools"] = prompt.tools
            if prompt.category:
                record["category"] = prompt.category
            stream.write(orjson.dumps(record) + b"\n")
