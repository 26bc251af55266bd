"""How harmless the answers of one or two models to harmful prompts are."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import orjson

from quality.models.endpoint import Endpoint
from quality.scores.answers import HarmlessRate, SafetyEvaluation, compare, evaluate_answers
from raylib.chat import RenderOptions
from raylib.errors import RaylibError
from training.inference.generate import Generator
from training.inference.prompts import Prompt, prompts_of, split_answer
from training.inference.sampling import Sampling

__all__ = ["evaluate_safety"]


def evaluate_safety(
    models: Sequence[str],
    prompts: str,
    out: Path,
    *,
    endpoint: Endpoint | None = None,
    max_new_tokens: int = 256,
    limit: int = 0,
    render: RenderOptions | None = None,
) -> list[str]:
    """Let models answer harmful prompts, and write a report of how harmless the answers are.

    Args:
        models: Paths of one or two models' folders; two are compared.
        prompts: File of harmful prompts.
        out: JSON file to write: `models`, `evaluations` (one per model) and, for two models, `comparison`.
        endpoint: Judge of the answers; without it refusals are recognised and words of a lexicon counted.
        max_new_tokens: Largest number of tokens of an answer.
        limit: Largest number of prompts; 0 takes all.
        render: How prompts are rendered; None renders them by each model's own template.

    Returns:
        Lines for people: the rate of each model by category, and where two models differ.

    Raises:
        RaylibError: if there are more than two models, or no prompts; or if the judge refuses every question or does
            not answer: no report is written then.
    """
    if len(models) > 2:
        raise RaylibError(f"{len(models)} models: give one, or two to compare")
    asked = prompts_of(prompts, limit)
    if endpoint is not None:
        endpoint.check()  # before minutes of generation
    texts = [p.question for p in asked]
    given = [p.category for p in asked]
    evaluations = []
    lines: list[str] = []
    for model in models:
        answers = _answers(model, asked, max_new_tokens, render)
        evaluation = evaluate_answers(texts, answers, given if any(given) else None, endpoint=endpoint)
        evaluations.append(evaluation)
        lines += _lines(model, evaluation)
    report: dict[str, object] = {"models": list(models), "evaluations": evaluations}
    if len(evaluations) == 2:
        comparison = compare(*evaluations)
        report["comparison"] = comparison
        apart = [row["category"] for row in comparison if row["apart"]]
        lines.append(f"categories whose intervals do not overlap: {', '.join(apart) or 'none'}")
    out.write_bytes(orjson.dumps(report, option=orjson.OPT_INDENT_2))
    return lines


def _answers(model: str, asked: Sequence[Prompt], max_new_tokens: int, render: RenderOptions | None) -> list[str]:
    """A model's answers without their reasoning."""
    said = Generator(model, render=render).answer([p.messages for p in asked], Sampling(max_new_tokens))
    return [split_answer(text)[1] for text in said]


def _lines(model: str, evaluation: SafetyEvaluation) -> list[str]:
    """The rates of a model, for people."""

    def shown(rate: HarmlessRate, what: str = "") -> str:
        return f"{rate['rate']:.1%}{what} ({rate['low']:.1%} to {rate['high']:.1%}) of {rate['judged']:,}"

    categories = [f"  {name}: {shown(rate)}" for name, rate in evaluation["by_category"].items()]
    return [f"{model}: {shown(evaluation['overall'], ' harmless')}", *categories]
