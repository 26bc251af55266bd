"""The stage `judge`: quality or difficulty from 1 to 5, by a strong model at an OpenAI-compatible endpoint."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Literal

import pyarrow as pa

from quality.models.answer import Malformed, read_json
from quality.models.chat import INCIDENTAL, Chat, check_endpoint
from quality.models.endpoint import Endpoint
from quality.models.stage import ModelStage
from quality.scores.rubrics import RUBRICS, Rubric
from quality.text.language import prompt_language
from quality.text.shown import shortened
from quality.text.turns import Exchange, Message, exchanges
from raylib.errors import ParameterError
from raylib.extras import require
from raylib.paths import MadePath
from raylib.stage import Outcome, keep_all, stage, with_columns

__all__ = ["RUBRICS", "Judge", "Rubric"]


@dataclass(frozen=True)
class _Scores:
    """Scores of one answer of the judge by criterion, and its reason."""

    by_criterion: Mapping[str, float]
    reason: str


@dataclass(frozen=True)
class _Verdict:
    """The scores of a record, or why it has none."""

    score: float | None = None
    by_criterion: Mapping[str, float] | None = None
    reason: str | None = None
    error: str | None = None


def _scores(text: str, criteria: Sequence[str]) -> _Scores:
    """Read an answer of the judge. Raises Malformed."""
    answer = read_json(text)
    scores = {name: _score(answer.get(name), name) for name in criteria}
    return _Scores(scores, str(answer.get("reason") or "")[:500])


def _score(value: object, name: str) -> float:
    """Read the score of one criterion. Raises Malformed."""
    if isinstance(value, str):
        try:
            value = float(value)
        except ValueError:
            raise Malformed(f"{name} is {value!r}, no number") from None
    if isinstance(value, bool) or not isinstance(value, (int, float)):
        raise Malformed(f"{name} is missing or no number")
    if not 1.0 <= float(value) <= 5.0:
        raise Malformed(f"{name} is {value}, outside of 1 to 5")
    return float(value)


@stage("judge", kind="score")
@dataclass(frozen=True)
class Judge(ModelStage[Endpoint]):
    """Add a score from 1 to 5 by a strong model at an OpenAI-compatible endpoint.

    The score is the mean of its criteria over `samples` answers. Adds the column `quality` or `difficulty` (or
    `column`), one column per criterion (`quality_accuracy`), the judge's reason, and `quality_unscored`: null, or why
    a record has no score: its answer cannot be read, or the server refuses it. Nothing is cut. An endpoint that refuses
    every request (wrong key, no such model) or does not answer stops the run, and the same command continues it.

    The judge sees the last answer without its reasoning, with its calls of tools as `[tool call] name(arguments)`. Of
    what came before it sees what was asked; if there are earlier answers or tools, all turns by role, with reasoning,
    calls and what tools returned.

    Attributes:
        model: Name of the model at the endpoint.
        rubric: What is scored: `quality` (helpfulness, relevance, accuracy, detail) or `difficulty` (knowledge,
            reasoning, constraints).
        base_url: URL of the endpoint up to `/v1`; empty means the environment variable OPENAI_BASE_URL.
        key_env: Environment variable that holds the key.
        column: Name of the new column; empty means the name of the rubric.
        language: Language in which the judge is asked; `auto` means the language of the instruction.
        samples: Number of answers per record.
        temperature: Temperature of the judge. Several samples need one above 0.
        max_tokens: Number of tokens of the longest answer.
        max_characters: Number of characters of a question or response; longer ones lose their middle.
        concurrency: Number of requests of a worker in flight.
        requests_per_minute: Largest number of requests of a worker per minute; 0 means no limit.
        timeout: Seconds that one request may take.
        retries: Further tries after 429, 5xx, time-outs and broken connections.
        malformed_retries: Further tries after an answer that cannot be used.
        first_wait: Longest pause before the first retry, in seconds.
        max_wait: Longest pause before a retry, in seconds.
        give_up_after: Number of records in a row without a score after which a worker stops the run; 0 means no limit.
        unanswered: What becomes of a record that got no answer after all retries (5xx, time-outs, broken connections):
            `open` leaves its shard for the same command to do again, and the run ends with an error; `unscored` keeps
            it without a score.
        probe: Whether one small request is sent when a run begins, and by each worker before its first question, so
            that a wrong key or a dead endpoint is found out before any work.
        price_in: Price of a million tokens of prompts, in any currency.
        price_out: Price of a million tokens of answers.
        budget: Cost at which requests of a worker stop; 0 means no limit. Each worker, and each start of the run, has a
            budget of its own.
        cache: Path of the cache of answers, which makes a rerun free; empty means no cache.

    Raises:
        ParameterError: If `samples` or `concurrency` is below 1, or several samples are wanted at temperature 0.
    """

    model: str
    rubric: Literal["quality", "difficulty"] = "quality"
    base_url: str = ""
    key_env: str = "OPENAI_API_KEY"
    column: str = ""
    language: Literal["auto", "zh", "en"] = "auto"
    samples: int = 1
    temperature: float = 0.0
    max_tokens: int = 256
    max_characters: int = 6000
    concurrency: int = 8
    requests_per_minute: float = 0.0
    timeout: float = 60.0
    retries: int = 5
    malformed_retries: int = 2
    first_wait: float = 0.5
    max_wait: float = 30.0
    give_up_after: int = 50
    unanswered: Literal["open", "unscored"] = "open"
    probe: bool = True
    price_in: float = 0.0
    price_out: float = 0.0
    budget: float = 0.0
    cache: MadePath = "~/.cache/raylib/judge.sqlite"

    def __post_init__(self) -> None:
        if self.samples < 1:
            raise ParameterError(f"samples must be at least 1, is {self.samples}")
        if self.samples > 1 and self.temperature == 0:
            raise ParameterError("samples: several answers at temperature 0 are all the same; raise temperature")
        if self.concurrency < 1:
            raise ParameterError(f"concurrency must be at least 1, is {self.concurrency}")

    def check(self) -> None:
        """Check that there is an endpoint to ask. Raises ParameterError, or MissingExtraError."""
        require("httpx", "tenacity", purpose="the stage judge")
        check_endpoint(self.base_url, self.key_env)

    def probes(self) -> Mapping[str, Callable[[], None]]:
        """One small request to the endpoint."""
        return Chat.of(self, self.model).probes(self._options) if self.probe else {}

    @property
    def _options(self) -> dict[str, float]:
        """Options of each request."""
        return {"temperature": self.temperature, "max_tokens": self.max_tokens}

    def incidental(self) -> frozenset[str]:
        """How the endpoint is reached and how often it is tried does not change what it says."""
        return INCIDENTAL

    def load(self) -> Endpoint:
        """Open the cache."""
        return Endpoint.of(self, self.model)

    def notes(self) -> Mapping[str, float]:
        """Requests, tokens and cost since the last call."""
        return self.loaded.usage.take()

    def __call__(self, table: pa.Table) -> Outcome:
        """Add the columns."""
        rubric = RUBRICS[self.rubric]
        name = self.column or self.rubric
        rows = self._judged(list(exchanges(table)), rubric) if len(table) else []
        columns: dict[str, pa.Array] = {name: pa.array([r.score for r in rows], pa.float64())}
        for criterion in rubric.criteria:
            values = [r.by_criterion[criterion] if r.by_criterion else None for r in rows]
            columns[f"{name}_{criterion}"] = pa.array(values, pa.float64())
        columns[f"{name}_reason"] = pa.array([r.reason for r in rows], pa.large_string())
        columns[f"{name}_unscored"] = pa.array([r.error for r in rows], pa.string())
        return keep_all(with_columns(table, columns))

    def _judged(self, pairs: Sequence[Exchange], rubric: Rubric) -> list[_Verdict]:
        """The verdict about each exchange."""
        prompts: list[list[Message]] = []
        numbers: list[int] = []
        owners: list[int] = []
        for i, pair in enumerate(pairs):
            if not pair.instruction.strip():
                continue
            messages: list[Message] = [{"role": "user", "content": self._prompt(pair, rubric)}]
            for sample in range(self.samples):
                prompts.append(messages)
                numbers.append(sample)
                owners.append(i)
        answers = self.loaded.ask(
            prompts, lambda text: _scores(text, rubric.criteria), numbers=numbers, **self._options
        )
        given: list[list[_Scores]] = [[] for _ in pairs]
        errors = ["no instruction"] * len(pairs)
        for owner, answer in zip(owners, answers, strict=True):
            errors[owner] = answer.error or errors[owner]
            if answer.value is not None:
                given[owner].append(answer.value)
        return [_mean(v, rubric.criteria) if v else _Verdict(error=e) for v, e in zip(given, errors, strict=True)]

    def _prompt(self, pair: Exchange, rubric: Rubric) -> str:
        """The question about an exchange."""
        language = self.language
        if language == "auto":
            language = prompt_language(pair.instruction, letters_per_character=4)
        asked, answered = (shortened(t, self.max_characters) for t in (pair.question, pair.response))
        titles = ("指令", "回答") if language == "zh" else ("Instruction", "Response")
        return f"{rubric.prompts[language]}\n\n[{titles[0]}]\n{asked}\n\n[{titles[1]}]\n{answered}"


def _mean(answers: Sequence[_Scores], criteria: Sequence[str]) -> _Verdict:
    """The mean of several answers, with the reason of the first."""
    means = {name: round(sum(a.by_criterion[name] for a in answers) / len(answers), 4) for name in criteria}
    score = round(sum(means[name] for name in criteria) / len(criteria), 4)
    return _Verdict(score, means, answers[0].reason)
