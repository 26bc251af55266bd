"""Answers of an OpenAI-compatible endpoint to prompts."""

from __future__ import annotations

from collections.abc import Sequence

from quality.models.endpoint import Endpoint
from quality.text.turns import Message
from raylib.errors import TrainingError
from training.inference.sampling import Conversations, Sampling

__all__ = ["EndpointGenerator", "PartlyAnswered"]


def _messages(conversations: Conversations) -> list[list[Message]]:
    """Conversations as an endpoint takes them."""
    return [[Message(role=m["role"], content=m["content"]) for m in turns] for turns in conversations]


class PartlyAnswered(TrainingError):
    """An endpoint refused some conversations, or gave no answer to them after all retries.

    Args:
        answers: Answers to all conversations; None where there is none.
        reasons: Why, for each that has none.
    """

    def __init__(self, answers: Sequence[str | None], reasons: Sequence[str]) -> None:
        super().__init__(f"{len(reasons)} of {len(answers)} prompts got no answer: {reasons[0]}")
        self.answers, self.reasons = answers, reasons


class EndpointGenerator:
    """The same by an OpenAI-compatible endpoint, whose server renders the prompts.

    Args:
        model: Name of the model at the endpoint.
        base_url: URL of the endpoint up to `/v1`. If empty, OPENAI_BASE_URL is used.
        cache: Path of a cache of answers. If empty, there is none.
        concurrency: Number of requests at a time.
    """

    def __init__(self, model: str, base_url: str = "", *, cache: str = "", concurrency: int = 8) -> None:
        self._endpoint = Endpoint(model, base_url, cache=cache, concurrency=concurrency, unanswered="unscored")

    def answer(self, conversations: Conversations, sampling: Sampling | None = None, *, batch: int = 0) -> list[str]:
        """The next answer to each conversation. The protocol knows neither `top_k` nor `repetition_penalty`.

        Raises:
            PartlyAnswered: if some conversations got no answer.
            EndpointError: if the endpoint refuses all, or does not answer.
        """
        sampling = sampling or Sampling()
        answers = self._endpoint.ask(
            _messages(conversations),
            str,
            temperature=sampling.temperature,
            top_p=sampling.top_p,
            max_tokens=sampling.max_new_tokens,
            seed=sampling.seed,
        )
        if any(a.value is None for a in answers):
            raise PartlyAnswered([a.value for a in answers], [a.error for a in answers if a.value is None])
        return [str(a.value) for a in answers]
