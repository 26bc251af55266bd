"""Direct preference optimisation (Rafailov et al. 2023) and its relatives, as losses over pairs."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import Any

import torch
from torch import Tensor
from torch.nn.functional import logsigmoid, relu

from training.config import DpoConfig
from training.data.batches import Batch
from training.data.rows import Row

__all__ = ["Dpo", "pair_losses"]

Reference = Callable[[Batch], Tensor]


def pair_losses(config: DpoConfig, policy: Tensor, reference: Tensor, lengths: Tensor) -> Tensor:
    """Loss of each pair, float32, shape (pairs,).

    policy, reference: summed log-probabilities of answers, shape (2 pairs,), all chosen ones first. lengths: tokens
    of these answers. h = (policy - reference) of the chosen minus that of the rejected:
    sigmoid: -log s(beta h). ipo: (h / mean lengths - 1 / (2 beta))^2, with both log-ratios a token, as TRL has it.
    hinge: max(0, 1 - beta h). robust: ((1 - e) (-log s(beta h)) - e (-log s(-beta h))) / (1 - 2 e).
    sigmoid_norm: sigmoid with log-ratios a token.
    """
    ratios = policy - reference
    if config.loss in ("ipo", "sigmoid_norm"):
        ratios = ratios / lengths.clamp_min(1)
    chosen, rejected = ratios.chunk(2)
    h = chosen - rejected
    beta, e = config.beta, config.label_smoothing
    if config.loss == "ipo":
        return (h - 1 / (2 * beta)) ** 2
    if config.loss == "hinge":
        return relu(1 - beta * h)
    if config.loss == "robust":
        return (-(1 - e) * logsigmoid(beta * h) + e * logsigmoid(-beta * h)) / (1 - 2 * e)
    return -(1 - e) * logsigmoid(beta * h) - e * logsigmoid(-beta * h)


@dataclass
class Dpo:
    """The loss of a step is the mean over its pairs. `reference` gives log-probabilities of the frozen model."""

    config: DpoConfig
    weights: tuple[float, ...]
    reference: Reference | None = None
    pairs: bool = field(default=True, init=False)

    def counts(self, rows: Sequence[Row]) -> Tensor:
        """Pairs, and targets of chosen answers (for the likelihood term)."""
        good = [r for r in rows if r.target_count]
        return torch.tensor([float(len(good)), float(sum(int(r.targets[0][1:].sum()) for r in good))], dtype=torch.float64)  # fmt: skip

    @staticmethod
    def log_probabilities(scorer: Any, batch: Batch) -> tuple[Tensor, Tensor]:
        """Summed log-probability and number of targets of each row, shape (rows,)."""
        losses = scorer(batch.ids, batch.segments, batch.positions, batch.targets, batch.packed)
        row = batch.targets.nonzero(as_tuple=True)[0]
        lengths = batch.targets.sum(dim=1)
        if len(row) == 0:
            return losses.sum().expand(len(batch.ids)), lengths
        zero = torch.zeros(len(batch.ids), device=losses.device, dtype=losses.dtype)
        return zero.index_add(0, row, -losses), lengths

    def loss(self, scorer: Any, batch: Batch, counts: Tensor) -> tuple[Tensor, dict[str, Tensor]]:
        """This micro-batch's part of the step's loss, and sums of what is logged."""
        policy, lengths = self.log_probabilities(scorer, batch)
        if not batch.indices:
            return policy.sum() * 0.0, {k: torch.zeros(1, dtype=torch.float64, device=policy.device) for k in _LOGGED}
        assert self.reference is not None
        with torch.no_grad():
            reference = self.reference(batch).to(policy.device, policy.dtype)
        losses = pair_losses(self.config, policy, reference, lengths)
        total = losses.sum() / counts[0].clamp_min(1).to(losses.device, torch.float32)
        chosen, rejected = policy.chunk(2)
        if self.config.sft_weight:
            total = total - self.config.sft_weight * chosen.sum() / counts[1].clamp_min(1).to(losses.device, torch.float32)  # fmt: skip
        rewards = self.config.beta * (policy - reference).detach()
        good, bad = rewards.chunk(2)
        logged = {
            "loss_sum": losses.detach().sum(), "pairs": torch.tensor(float(len(losses))),
            "rewards/chosen": good.sum(), "rewards/rejected": bad.sum(), "rewards/margins": (good - bad).sum(),
            # a tie is half right
            "rewards/accuracies": (good > bad).float().sum() + 0.5 * (good == bad).float().sum(),
            "logps/chosen": chosen.detach().sum(), "logps/rejected": rejected.detach().sum(),
            "kl": (policy - reference).detach().sum() / 2,
            "nll_sum": -chosen.detach().sum(), "nll_targets": lengths.chunk(2)[0].sum(),
        }  # fmt: skip
        return total, {k: v.double().reshape(1).to(policy.device) for k, v in logged.items()}

    def metrics(self, sums: dict[str, Tensor], names: Sequence[str]) -> dict[str, float]:
        """Means over the pairs of a step, from sums over all workers."""
        pairs = float(sums["pairs"]) or 1.0
        out = {"loss": float(sums["loss_sum"]) / pairs, "pairs": float(sums["pairs"])}
        nll = float(sums["nll_sum"]) / max(float(sums["nll_targets"]), 1.0)
        if self.config.sft_weight:
            out["loss"] += self.config.sft_weight * nll
        out |= {k: float(sums[k]) / pairs for k in _LOGGED if "/" in k or k == "kl"}
        return {**out, "nll": nll}


_LOGGED = ("loss_sum", "pairs", "rewards/chosen", "rewards/rejected", "rewards/margins", "rewards/accuracies", "logps/chosen", "logps/rejected", "kl", "nll_sum", "nll_targets")  # fmt: skip
