"""The stage `safety_screen`: harmful documents, prompts and responses by category."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Literal

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.compute as pc

from cleaning.lexicons import load_lexicon
from quality.models.answer import Usage
from quality.models.chat import INCIDENTAL, Chat, check_endpoint
from quality.models.endpoint import Endpoint
from quality.models.stage import ModelStage
from quality.scores.classify import Classify
from quality.scores.screening import ANSWER, CATEGORIES, ask, categories_of, declines, harmless_stance
from quality.text.turns import exchanges, instruction_of, reasoning_of_answers, response_of
from raylib.errors import ParameterError
from raylib.extras import require
from raylib.paths import MadePath, PathName
from raylib.stage import Outcome, keep_all, stage, with_columns

__all__ = ["CATEGORIES", "SafetyScreen", "ask", "categories_of", "harmless_stance"]


@dataclass(frozen=True)
class _Helpers:
    """What a screen asks beside its lexicon: classifiers of prompts and of responses, and the judge."""

    of_prompts: Classify | None
    of_responses: Classify | None
    judge: Endpoint | None


@dataclass
class _Findings:
    """Findings about N records, each a list of N; a category is empty where there is no harm."""

    prompts: list[str]
    responses: list[str]
    prompt_risk: list[str]
    response_risk: list[str]
    words: list[str]
    judged: list[bool] = field(default_factory=list)
    unjudged: list[str | None] = field(default_factory=list)

    def __post_init__(self) -> None:
        self.judged = [False] * len(self.prompts)
        self.unjudged = [None] * len(self.prompts)


@stage("safety_screen", kind="score")
@dataclass(frozen=True)
class SafetyScreen(ModelStage[_Helpers]):
    """Add the harm in a record by category: `prompt_risk`, `response_risk` (empty for none), `refusal` and `safety`.

    Categories: political, sexual, violence, gambling_fraud, discrimination, privacy, self_harm, weapons_drugs. Risk is
    found by a lexicon, by a fastText classifier and by a judge at an OpenAI-compatible endpoint, whose word counts
    above the others'. A response that declines or dissuades is harmless whatever words it takes, and so is one that
    speaks of a crime to judge it, to prevent it or to teach about it. `safety` is `safe`;
    `refused`, a harmful prompt with a proper refusal, worth keeping as safety data; `answered`, a risky prompt with an
    answer in which nothing harmful was found; or `unsafe`, a harmful response or document. Nothing is cut:
    `keep_where: safety != "unsafe"` does that.

    The reasoning of an answer and its calls of tools are part of the response, for they are learnt with it; whether it
    declines is seen from the answer alone. What tools returned was neither asked nor answered: only the judge sees it.

    Attributes:
        lexicon: Lexicon of harmful words: `safety` (built in), or a file with `word=>category` per line.
        min_hits: Number of different words of the lexicon from which a response counts as harmful; a prompt needs one.
        classifier: Path of a fastText classifier; empty means none.
        classifier_label: Label of the classifier that means harmful.
        classifier_category: Category of what the classifier finds.
        min_probability: Probability of that label from which a text counts as harmful.
        judge: Name of the judge's model at the endpoint; empty means no judge.
        base_url: URL of the endpoint up to `/v1`; empty means the environment variable OPENAI_BASE_URL.
        key_env: Environment variable that holds the key.
        concurrency: Number of requests in flight.
        timeout: Seconds that one request may take.
        unanswered: What becomes of a record about which the judge gave no answer after all retries (5xx, time-outs,
            broken connections): `open` leaves its shard for the same command to do again, and the run ends with an
            error; `unscored` keeps it with what lexicon and classifier found.
        probe: Whether one small request is sent when a run begins, and by each worker before its first question, so
            that a wrong key or a dead endpoint is found out before any work.
        cache: Path of the cache of the judge's answers; empty means no cache.

    Raises:
        ParameterError: If a classifier comes without a label, or its category is not one of the categories.
    """

    lexicon: PathName = "safety"
    min_hits: int = 3
    classifier: PathName = ""
    classifier_label: str = ""
    classifier_category: str = "discrimination"
    min_probability: float = 0.9
    judge: str = ""
    base_url: str = ""
    key_env: str = "OPENAI_API_KEY"
    concurrency: int = 8
    timeout: float = 60.0
    unanswered: Literal["open", "unscored"] = "open"
    probe: bool = True
    cache: MadePath = "~/.cache/raylib/judge.sqlite"

    def __post_init__(self) -> None:
        if self.classifier and not self.classifier_label:
            raise ParameterError("classifier_label: name the label of the classifier that means harmful")
        if self.classifier_category not in CATEGORIES:
            raise ParameterError(f"classifier_category must be one of {', '.join(CATEGORIES)}")

    @property
    def model_based(self) -> bool:
        """Whether there is a judge: its answers are expensive, so they are committed at once."""
        return bool(self.judge)

    def check(self) -> None:
        """Check that lexicon, classifier and endpoint are there. Raises ParameterError."""
        unknown = set(load_lexicon(self.lexicon).categories) - set(CATEGORIES)
        if unknown:
            valid = ", ".join(CATEGORIES)
            raise ParameterError(f"lexicon: {self.lexicon}: categories {sorted(unknown)} are none of {valid}")
        if self.classifier and not Path(self.classifier).exists():
            raise ParameterError(f"classifier: no file or folder {self.classifier!r}")
        if self.classifier:
            require("fasttext", purpose="the classifier of safety_screen")
        if self.judge:
            require("httpx", "tenacity", purpose="the judge of safety_screen")
            check_endpoint(self.base_url, self.key_env)

    def probes(self) -> Mapping[str, Callable[[], None]]:
        """One small request to the judge."""
        return Chat.of(self, self.judge).probes(ANSWER) if self.judge and self.probe else {}

    def incidental(self) -> frozenset[str]:
        """How the endpoint is reached and how often it is tried does not change what it says."""
        return INCIDENTAL

    def load(self) -> _Helpers:
        """Load the classifier and open the cache."""
        of_prompts = of_responses = None
        if self.classifier:
            label = self.classifier_label
            of_prompts = Classify(self.classifier, column="p", label=label, part="instruction")
            of_responses = Classify(self.classifier, column="p", label=label, part="response")
            of_prompts.setup()
            of_responses.setup()
        return _Helpers(of_prompts, of_responses, Endpoint.of(self, self.judge) if self.judge else None)

    def notes(self) -> Mapping[str, float]:
        """Requests, tokens and cost of the judge since the last call."""
        judge = self.loaded.judge if self.is_loaded else None
        return (judge.usage if judge is not None else Usage()).take()

    def __call__(self, table: pa.Table) -> Outcome:
        """Add the columns."""
        prompts, responses = (pc.fill_null(a, "") for a in (instruction_of(table), response_of(table)))
        refusal = declines(responses)
        found = self._by_lexicon(prompts.to_pylist(), _with_reasoning(responses, reasoning_of_answers(table)))
        if len(table) and (self.classifier or self.judge):
            self._by_classifier(table, found)
            self._by_judge(table, found)
        safety = _verdicts(found, refusal, harmless_stance(responses))
        columns: dict[str, pa.Array] = {
            "prompt_risk": pa.array(found.prompt_risk, pa.string()),
            "response_risk": pa.array(found.response_risk, pa.string()),
            "safety_words": pa.array(found.words, pa.string()),
            "refusal": pa.array(refusal.astype(np.bool_)),
            "safety": pa.array(safety, pa.string()),
        }
        if self.judge:
            columns["safety_unjudged"] = pa.array(found.unjudged, pa.string())
        return keep_all(with_columns(table, columns))

    def _by_lexicon(self, prompts: list[str], responses: list[str]) -> _Findings:
        """What the lexicon finds."""
        prompt_risk, prompt_words = categories_of(prompts, self.lexicon, 1)
        response_risk, response_words = categories_of(responses, self.lexicon, self.min_hits)
        pairs = zip(prompt_words, response_words, strict=True)
        words = [", ".join(w for w in pair if w) for pair in pairs]
        return _Findings(prompts, responses, prompt_risk, response_risk, words)

    def _by_classifier(self, table: pa.Table, found: _Findings) -> None:
        """Add what the classifier finds in texts without another risk."""
        parts = (
            (self.loaded.of_prompts, found.prompts, found.prompt_risk),
            (self.loaded.of_responses, found.responses, found.response_risk),
        )
        for classifier, texts, risks in parts:
            if classifier is None:
                continue
            for i, p in enumerate(classifier(table).kept["p"].to_pylist()):
                if p >= self.min_probability and texts[i] and not risks[i]:
                    risks[i] = self.classifier_category

    def _by_judge(self, table: pa.Table, found: _Findings) -> None:
        """Put the judge's findings in place of all others."""
        if self.loaded.judge is None:
            return
        questions = [pair.question for pair in exchanges(table)]
        for i, answer in enumerate(ask(self.loaded.judge, questions, found.responses)):
            if answer.value is None:
                found.unjudged[i] = answer.error
            else:
                found.prompt_risk[i], found.response_risk[i] = answer.value.prompt, answer.value.response
                found.judged[i] = True


def _with_reasoning(responses: pa.Array, reasoning: Sequence[str]) -> list[str]:
    """Responses with the reasoning that led to them behind them, where a judge's view of a long one ends last."""
    pairs = zip(responses.to_pylist(), reasoning, strict=True)
    return [f"{said}\n\n[reasoning] {thought}" if thought and thought != said else said for said, thought in pairs]


def _verdicts(found: _Findings, refusal: npt.NDArray[np.bool_], harmless: npt.NDArray[np.bool_]) -> list[str]:
    """The column `safety`. Clears `response_risk` of a response with a harmless stance, unless the judge gave it."""
    safety = []
    for i, refused in enumerate(refusal):
        if harmless[i] and not found.judged[i]:
            found.response_risk[i] = ""
        if found.response_risk[i]:
            safety.append("unsafe")
        elif found.prompt_risk[i]:
            safety.append("refused" if refused else "answered")
        else:
            safety.append("safe")
    return safety
