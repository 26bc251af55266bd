"""Preferences out of several answers to each prompt: best against worst, over a margin."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

__all__ = ["PairOptions", "build_pairs"]


@dataclass(frozen=True)
class PairOptions:
    """margin: least difference of scores. max_length_ratio: longest to shortest answer of a pair, so that length is not
    what is learnt; 0: no limit. per_prompt: pairs of a prompt at most."""

    margin: float = 0.5
    max_length_ratio: float = 3.0
    per_prompt: int = 1


def build_pairs(
    answers: Sequence[Mapping[str, Any]], options: PairOptions | None = None
) -> tuple[list[dict[str, Any]], dict[str, Any]]:
    """Pairs, and a report.

    answers: records with `id`, `prompt` (messages), `response` and `score` (None: not scored); those of one id are
    answers to one prompt. Ties, margins that are too small, equal answers and unscored ones give no pair, and are
    counted. The report holds counts, the mean margin, and how much longer chosen answers are than rejected ones, with
    the share of pairs whose chosen answer is the longer one: far from a half means that length can be learnt instead.
    """
    options = options or PairOptions()
    prompts: dict[str, list[Mapping[str, Any]]] = {}
    for row in answers:
        prompts.setdefault(str(row["id"]), []).append(row)
    pairs: list[dict[str, Any]] = []
    lost = {"unscored": 0, "one_answer": 0, "margin": 0, "length": 0}
    for name, rows in prompts.items():
        scored = [r for r in rows if r.get("score") is not None]
        lost["unscored"] += len(rows) - len(scored)
        distinct = {r["response"].strip(): r for r in sorted(scored, key=lambda r: float(r["score"]))}
        ranked = sorted(distinct.values(), key=lambda r: (-float(r["score"]), r["response"]))
        if len(ranked) < 2:
            lost["one_answer"] += 1
            continue
        made = 0
        reason = "margin"
        for good, bad in ((ranked[i], ranked[-1 - i]) for i in range(len(ranked) // 2)):
            if made >= options.per_prompt:
                break
            margin = float(good["score"]) - float(bad["score"])
            if margin < options.margin or margin <= 0:
                break
            sizes = sorted((len(good["response"]), len(bad["response"])))
            if options.max_length_ratio and sizes[1] > options.max_length_ratio * max(sizes[0], 1):
                reason = "length"
                continue
            pairs.append(
                {
                    "id": name if made == 0 else f"{name}#{made + 1}", "prompt": list(good["prompt"]),
                    "chosen": good["response"], "rejected": bad["response"],
                    "chosen_score": float(good["score"]), "rejected_score": float(bad["score"]),
                }
            )  # fmt: skip
            made += 1
        if not made:
            lost[reason] += 1
    chosen, rejected = (np.array([len(p[k]) for p in pairs], float) for k in ("chosen", "rejected"))
    report: dict[str, Any] = {"prompts": len(prompts), "pairs": len(pairs), "without_pair": lost}
    if pairs:
        report |= {
            "mean_margin": round(float(np.mean([p["chosen_score"] - p["rejected_score"] for p in pairs])), 4),
            "mean_chosen_length": round(float(chosen.mean()), 1),
            "mean_rejected_length": round(float(rejected.mean()), 1),
            "chosen_longer": round(float((chosen > rejected).mean() + 0.5 * (chosen == rejected).mean()), 4),
        }
    return pairs, report
