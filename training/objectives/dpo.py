"""Direct preference optimisation (Rafailov et al. 2023) and its relatives, as losses over pairs."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field

import torch
from torch import Tensor
from torch.nn.functional import logsigmoid, relu

from training.config import DpoConfig
from training.data.batches import Batch
from training.data.rows import Row
from training.objectives.objective import TokenLosses

__all__ = ["Dpo", "Reference", "pair_losses"]

Reference = Callable[[Batch], Tensor]
"""Log-probabilities of a batch's answers by the reference model, shape `[2 pairs]`, all chosen ones first."""

# sums over the pairs of a step
_LOGGED = (
    "loss_sum",
    "pairs",
    "rewards/chosen",
    "rewards/rejected",
    "rewards/margins",
    "rewards/accuracies",
    "logps/chosen",
    "logps/rejected",
    "kl",
    "nll_sum",
    "nll_targets",
)


def pair_losses(config: DpoConfig, policy: Tensor, reference: Tensor, lengths: Tensor) -> Tensor:
    """Loss of each pair.

    With h = (policy - reference) of the chosen answer minus that of the rejected one, the losses are:

    * sigmoid: -log s(beta h)
    * sigmoid_norm: the same, with log-probabilities divided by the answers' lengths
    * ipo: (h - 1 / (2 beta))^2, with log-probabilities divided by the answers' lengths, as TRL has it
    * hinge: max(0, 1 - beta h)
    * robust: ((1 - e) (-log s(beta h)) - e (-log s(-beta h))) / (1 - 2 e), e being the label smoothing

    Args:
        config: Kind of the loss, beta and label smoothing.
        policy: Summed log-probabilities of the answers, shape `[2 pairs]`, all chosen ones first.
        reference: The same by the reference model.
        lengths: Number of tokens of each answer, shape `[2 pairs]`.

    Returns:
        Losses, float32, shape `[pairs]`.
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
    """The mean loss over the pairs of a step.

    Attributes:
        config: The `dpo` section.
        weights: Weight of each source.
        reference: Log-probabilities by the frozen model; needed by `loss`.
        pairs: True: rows are preferences.
    """

    config: DpoConfig
    weights: tuple[float, ...]
    reference: Reference | None = None
    pairs: bool = field(default=True, init=False)

    def counts(self, rows: Sequence[Row]) -> Tensor:
        """Number of pairs, and of targets of chosen answers (for the likelihood term)."""
        good = [r for r in rows if r.target_count]
        targets = sum(int(r.targets[0][1:].sum()) for r in good)
        return torch.tensor([float(len(good)), float(targets)], dtype=torch.float64)

    @staticmethod
    def log_probabilities(scorer: TokenLosses, batch: Batch) -> tuple[Tensor, Tensor]:
        """Summed log-probability and number of targets of each row, both of shape `[rows]`."""
        losses = scorer(batch.ids, batch.segments, batch.positions, batch.targets, batch.packed)
        row = batch.targets.nonzero(as_tuple=True)[0]
        lengths = batch.targets.sum(dim=1)
        if len(row) == 0:
            return losses.sum().expand(len(batch.ids)), lengths
        zero = torch.zeros(len(batch.ids), device=losses.device, dtype=losses.dtype)
        return zero.index_add(0, row, -losses), lengths

    def loss(self, scorer: TokenLosses, batch: Batch, counts: Tensor) -> tuple[Tensor, dict[str, Tensor]]:
        """This micro-batch's part of the step's loss, and sums to log."""
        policy, lengths = self.log_probabilities(scorer, batch)
        if not batch.indices:
            nothing = torch.zeros(1, dtype=torch.float64, device=policy.device)
            return policy.sum() * 0.0, dict.fromkeys(_LOGGED, nothing)
        assert self.reference is not None, "the loop sets it before the first step"
        with torch.no_grad():
            reference = self.reference(batch).to(policy.device, policy.dtype)
        losses = pair_losses(self.config, policy, reference, lengths)
        total = losses.sum() / counts[0].clamp_min(1).to(losses.device, torch.float32)
        if self.config.sft_weight:
            targets = counts[1].clamp_min(1).to(losses.device, torch.float32)
            total = total - self.config.sft_weight * policy.chunk(2)[0].sum() / targets
        return total, self._sums(losses.detach(), policy.detach(), reference, lengths)

    def _sums(self, losses: Tensor, policy: Tensor, reference: Tensor, lengths: Tensor) -> dict[str, Tensor]:
        """What is logged, summed over the pairs of a micro-batch, float64, shape `[1]` each."""
        chosen, rejected = policy.chunk(2)
        good, bad = (self.config.beta * (policy - reference)).chunk(2)
        half_right = 0.5 * (good == bad).float().sum()  # ties
        sums = {
            "loss_sum": losses.sum(),
            "pairs": torch.tensor(float(len(losses))),
            "rewards/chosen": good.sum(),
            "rewards/rejected": bad.sum(),
            "rewards/margins": (good - bad).sum(),
            "rewards/accuracies": (good > bad).float().sum() + half_right,
            "logps/chosen": chosen.sum(),
            "logps/rejected": rejected.sum(),
            "kl": (policy - reference).sum() / 2,
            "nll_sum": -chosen.sum(),
            "nll_targets": lengths.chunk(2)[0].sum(),
        }
        return {name: value.double().reshape(1).to(policy.device) for name, value in sums.items()}

    def metrics(self, sums: dict[str, Tensor], names: Sequence[str]) -> dict[str, float]:
        """Means over the pairs of a step."""
        pairs = float(sums["pairs"]) or 1.0
        out = {"loss": float(sums["loss_sum"]) / pairs, "pairs": float(sums["pairs"])}
        nll = float(sums["nll_sum"]) / max(float(sums["nll_targets"]), 1.0)
        if self.config.sft_weight:
            out["loss"] += self.config.sft_weight * nll
        out |= {k: float(sums[k]) / pairs for k in _LOGGED if "/" in k or k == "kl"}
        return {**out, "nll": nll}
