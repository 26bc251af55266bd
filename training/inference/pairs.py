"""Preferences from several answers to each prompt: best against worst, over a margin."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TypedDict

import numpy as np
import orjson
import pyarrow as pa

from quality.scores.judge import Judge
from quality.scores.reward import RewardModel
from raylib.errors import RaylibError
from raylib.messages import Message, messages_array
from raylib.schema import SCHEMAS
from training.inference.prompts import AnswerRecord, read_answers

__all__ = ["PairOptions", "PairReport", "PreferencePair", "build_pairs", "scorer_of", "write_pairs"]


@dataclass(frozen=True)
class PairOptions:
    """Which answers make a pair.

    Attributes:
        margin: Smallest difference of the two scores.
        max_length_ratio: Largest ratio of the longer to the shorter answer, so that length is not what is learnt. 0
            sets no limit.
        per_prompt: Largest number of pairs of a prompt.
    """

    margin: float = 0.5
    max_length_ratio: float = 3.0
    per_prompt: int = 1


class PreferencePair(TypedDict):
    """A preference with the scores of its answers."""

    id: str
    prompt: list[Message]
    chosen: list[Message]
    rejected: list[Message]
    tools: list[object] | None
    chosen_score: float
    rejected_score: float


class PairReport(TypedDict, total=False):
    """How many pairs were made, and what they are like. Means are there only if there are pairs.

    `without_pair` counts unscored answers, and prompts with one answer, with too small a margin and with too different
    lengths. `chosen_longer` is the share of pairs whose chosen answer is the longer one; far from a half means that
    length can be learnt in place of quality.
    """

    prompts: int
    pairs: int
    without_pair: dict[str, int]
    mean_margin: float
    mean_chosen_length: float
    mean_rejected_length: float
    chosen_longer: float


def build_pairs(
    answers: Sequence[Mapping[str, object]], options: PairOptions | None = None
) -> tuple[list[PreferencePair], PairReport]:
    """Build preferences from scored answers.

    Args:
        answers: Records with `id`, `prompt` (messages), `response` and `score` (None if not scored). Records with the
            same id are answers to the same prompt.
        options: Which answers make a pair.

    Returns:
        The pairs, and a report. Ties, too small margins, equal answers and unscored ones make no pair and are counted.
    """
    options = options or PairOptions()
    prompts: dict[str, list[_Scored]] = {}
    lost = {"unscored": 0, "one_answer": 0, "margin": 0, "length": 0}
    for row in answers:
        scored = prompts.setdefault(str(row["id"]), [])
        if row.get("score") is None:
            lost["unscored"] += 1
        else:
            scored.append(_Scored.of(row))
    pairs: list[PreferencePair] = []
    for name, rows in prompts.items():
        made, reason = _pairs_of_prompt(name, rows, options)
        pairs += made
        if reason:
            lost[reason] += 1
    return pairs, _report(pairs, len(prompts), lost)


@dataclass(frozen=True)
class _Scored:
    """An answer with its score."""

    prompt: list[Message]
    reply: Message
    tools: list[object] | None
    score: float

    @classmethod
    def of(cls, row: Mapping[str, object]) -> _Scored:
        """The answer that a record holds."""
        prompt, score, tools = row["prompt"], row["score"], row.get("tools")
        assert isinstance(prompt, list)
        assert isinstance(score, (int, float))
        return cls(prompt, _reply(row), tools if isinstance(tools, list) else None, float(score))

    @property
    def response(self) -> str:
        """The answer without its reasoning."""
        return str(self.reply["content"])


def _pairs_of_prompt(name: str, rows: Sequence[_Scored], options: PairOptions) -> tuple[list[PreferencePair], str]:
    """The pairs of a prompt, and why there are none."""
    distinct = {r.response.strip(): r for r in sorted(rows, key=lambda r: r.score)}
    ranked = sorted(distinct.values(), key=lambda r: (-r.score, r.response))
    if len(ranked) < 2:
        return [], "one_answer"
    pairs: list[PreferencePair] = []
    reason = "margin"
    for good, bad in ((ranked[i], ranked[-1 - i]) for i in range(len(ranked) // 2)):
        margin = good.score - bad.score
        if len(pairs) >= options.per_prompt or margin < options.margin or margin <= 0:
            break
        if _too_different(good.response, bad.response, options.max_length_ratio):
            reason = "length"
            continue
        pairs.append(
            PreferencePair(
                id=name if not pairs else f"{name}#{len(pairs) + 1}",
                prompt=list(good.prompt),
                chosen=[good.reply],
                rejected=[bad.reply],
                tools=good.tools,
                chosen_score=good.score,
                rejected_score=bad.score,
            )
        )
    return pairs, "" if pairs else reason


def _too_different(first: str, second: str, ratio: float) -> bool:
    """Whether one answer is more than `ratio` times as long as the other; 0 allows everything."""
    short, long = sorted((len(first), len(second)))
    return bool(ratio) and long > ratio * max(short, 1)


def _report(pairs: Sequence[PreferencePair], prompts: int, lost: dict[str, int]) -> PairReport:
    report = PairReport(prompts=prompts, pairs=len(pairs), without_pair=lost)
    if pairs:
        chosen = np.array([_length(p["chosen"]) for p in pairs], float)
        rejected = np.array([_length(p["rejected"]) for p in pairs], float)
        margins = [p["chosen_score"] - p["rejected_score"] for p in pairs]
        longer = float((chosen > rejected).mean() + 0.5 * (chosen == rejected).mean())
        report["mean_margin"] = round(float(np.mean(margins)), 4)
        report["mean_chosen_length"] = round(float(chosen.mean()), 1)
        report["mean_rejected_length"] = round(float(rejected.mean()), 1)
        report["chosen_longer"] = round(longer, 4)
    return report


def _length(reply: Sequence[Message]) -> int:
    """Characters of an answer without its reasoning."""
    return sum(len(str(m["content"])) for m in reply)


def scorer_of(reward_model: str = "", judge: str = "", base_url: str = "") -> RewardModel | Judge | None:
    """A stage that scores answers, or None if neither a reward model nor a judge is given.

    Args:
        reward_model: Path of a reward model's folder.
        judge: Name of a model at an OpenAI-compatible endpoint; not used if there is a reward model.
        base_url: URL of the endpoint. If empty, OPENAI_BASE_URL is used.

    Raises:
        ValueError: if there is no such model or endpoint.
    """
    if not reward_model and not judge:
        return None
    scorer = (
        RewardModel(reward_model, column="score") if reward_model else Judge(judge, base_url=base_url, column="score")
    )
    scorer.check()
    return scorer


def write_pairs(
    answers: Sequence[str], out: Path, options: PairOptions, scorer: RewardModel | Judge | None = None
) -> PairReport:
    """Build preferences from files of answers, and write them as JSON lines.

    Args:
        answers: Files of `raylib generate` with several samples of each prompt.
        out: File to write.
        options: Which answers make a pair.
        scorer: Scores the answers; without it they must have scores.

    Returns:
        The report about the pairs.

    Raises:
        RaylibError: if there are no answers, or if they have no scores and there is no scorer; if no prompt gives a
            pair, with the number of prompts by reason; or if the judge refuses every question or does not answer.
            Nothing is written then; scores that came are in the judge's cache.
    """
    rows = read_answers(answers)
    if scorer is not None:
        rows = _scored(rows, scorer)
    elif any("score" not in row for row in rows):
        raise RaylibError("answers without `score`: give --reward-model or --judge")
    pairs, report = build_pairs(rows, options)
    if not pairs:
        lost = ", ".join(f"{name} {count}" for name, count in report["without_pair"].items() if count)
        raise RaylibError(f"none of {report['prompts']} prompts gives a pair ({lost}); nothing is written")
    out.write_bytes(b"".join(orjson.dumps({k: v for k, v in pair.items() if v is not None}) + b"\n" for pair in pairs))
    return report


def _scored(rows: Sequence[AnswerRecord], scorer: RewardModel | Judge) -> list[AnswerRecord]:
    """The records with their scores."""
    schema = SCHEMAS["conversation"]
    columns = {
        "id": pa.array([str(row["id"]) for row in rows], schema.field("id").type),
        "messages": messages_array([[*row["prompt"], _reply(row)] for row in rows]),
        "tools": pa.array(
            [orjson.dumps(row["tools"]).decode() if row.get("tools") else None for row in rows], pa.large_string()
        ),
        "source": pa.array([""] * len(rows), schema.field("source").type),
        "meta": pa.nulls(len(rows), pa.large_string()),
    }
    table = pa.table(columns, schema=schema)
    scores: list[float | None] = scorer(table).kept["score"].to_pylist()
    return [AnswerRecord(**{**row, "score": score}) for row, score in zip(rows, scores, strict=True)]


def _reply(row: Mapping[str, object]) -> Message:
    """The answer of a record as a message."""
    made: Message = {"role": "assistant", "content": row["response"]}
    if row.get("reasoning_content"):
        made["reasoning_content"] = row["reasoning_content"]
    return made
