"""Answers of an OpenAI-compatible endpoint to prompts."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import orjson

from quality.models.endpoint import Endpoint
from quality.text.turns import Message
from raylib.messages import AnyMessage
from training.inference.sampling import Conversations, PartlyAnswered, Sampling, Tools

__all__ = ["EndpointGenerator"]


class EndpointGenerator:
    """The same by an OpenAI-compatible endpoint, whose server renders the prompts.

    Args:
        model: Name of the model at the endpoint.
        base_url: URL of the endpoint up to `/v1`. If empty, OPENAI_BASE_URL is used.
        template_options: Variables of the server's chat template, sent as `chat_template_kwargs`, which vLLM and SGLang
            know.
        cache: Path of a cache of answers. If empty, there is none.
        concurrency: Number of requests at a time.
    """

    def __init__(
        self,
        model: str,
        base_url: str = "",
        *,
        template_options: Mapping[str, object] | None = None,
        cache: str = "",
        concurrency: int = 8,
    ) -> None:
        self._endpoint = Endpoint(model, base_url, cache=cache, concurrency=concurrency, unanswered="unscored")
        self._options: dict[str, object] = {"chat_template_kwargs": dict(template_options)} if template_options else {}

    def answer(
        self,
        conversations: Conversations,
        sampling: Sampling | None = None,
        *,
        batch: int = 0,
        tools: Tools | None = None,
    ) -> list[str]:
        """The next answer to each conversation. The protocol knows neither `top_k` nor `repetition_penalty`.

        Raises:
            PartlyAnswered: if some conversations got no answer.
            EndpointError: if the endpoint refuses all, or does not answer.
        """
        answers: list[str | None] = [None] * len(conversations)
        reasons: list[str] = []
        for given, rows in _by_tools(tools or [None] * len(conversations)).items():
            options = {**self._options, **({"tools": orjson.loads(given)} if given else {})}
            found = self._ask([conversations[i] for i in rows], sampling or Sampling(), options)
            for i, (answer, error) in zip(rows, found, strict=True):
                answers[i] = answer
                reasons += [error] if answer is None else []
        if reasons:
            raise PartlyAnswered(answers, reasons)
        return [str(a) for a in answers]

    def _ask(
        self, conversations: Conversations, sampling: Sampling, options: Mapping[str, object]
    ) -> list[tuple[str | None, str]]:
        """The answer to each conversation, or why there is none."""
        wanted: dict[str, Any] = {
            "temperature": sampling.temperature,
            "top_p": sampling.top_p,
            "max_tokens": sampling.max_new_tokens,
            "seed": sampling.seed,
            **options,
        }
        answers = self._endpoint.ask([[_asked(m) for m in turns] for turns in conversations], str, **wanted)
        return [(a.value, a.error) for a in answers]


def _asked(message: AnyMessage) -> Message:
    """A message as an endpoint takes it."""
    return {k: v for k, v in message.items() if k != "loss"}


def _by_tools(tools: Sequence[Sequence[object] | None]) -> dict[str, list[int]]:
    """Numbers of the conversations by their tools as JSON."""
    groups: dict[str, list[int]] = {}
    for number, given in enumerate(tools):
        groups.setdefault(orjson.dumps(given).decode() if given else "", []).append(number)
    return groups
