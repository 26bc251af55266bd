"""How answers are drawn, and what answers conversations."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Protocol, TypeAlias

from raylib.errors import TrainingError
from raylib.messages import AnyMessage

__all__ = ["AnswersPrompts", "Conversations", "PartlyAnswered", "Sampling", "Tools"]

Conversations: TypeAlias = Sequence[Sequence[AnyMessage]]
Tools: TypeAlias = Sequence[Sequence[object] | None]


@dataclass(frozen=True)
class Sampling:
    """How tokens are drawn.

    Attributes:
        max_new_tokens: Largest number of tokens of an answer.
        temperature: Temperature of sampling; 0 always takes the most likely token.
        top_p: Probability mass of the tokens that are drawn from.
        top_k: Number of tokens that are drawn from; 0 sets no limit.
        repetition_penalty: Factor by which tokens that occurred already become less likely; 1 changes nothing.
        seed: Seed of sampling.
    """

    max_new_tokens: int = 512
    temperature: float = 0.0
    top_p: float = 1.0
    top_k: int = 0
    repetition_penalty: float = 1.0
    seed: int = 0


class PartlyAnswered(TrainingError):
    """Some conversations got no answer: a template or an endpoint refused them, or all retries failed.

    Args:
        answers: Answers to all conversations; None where there is none.
        reasons: Why, for each that has none.
    """

    def __init__(self, answers: Sequence[str | None], reasons: Sequence[str]) -> None:
        super().__init__(f"{len(reasons)} of {len(answers)} prompts got no answer: {reasons[0]}")
        self.answers, self.reasons = answers, reasons


class AnswersPrompts(Protocol):
    """Anything that answers conversations."""

    def answer(
        self,
        conversations: Conversations,
        sampling: Sampling | None = None,
        *,
        batch: int = 16,
        tools: Tools | None = None,
    ) -> list[str]:
        """The next answer to each conversation, without its end token. `tools` holds those of each conversation."""
