"""Preference losses against closed forms and TRL."""

from __future__ import annotations

import copy
import math
from pathlib import Path
from typing import Any

import pytest
import torch
from transformers import AutoTokenizer

from tests.training.setup import preference_rows, run_step, scorer_of
from training.config import DpoConfig
from training.data.batches import collate
from training.data.rows import Row
from training.data.tokenizer import Tokenizer
from training.objectives import Dpo
from training.objectives.dpo import pair_losses


def fixed() -> tuple[torch.Tensor, torch.Tensor, torch.Tensor]:
    policy = torch.tensor([-10.0, -12.0, -8.5, -11.0, -11.5, -13.0])
    reference = torch.tensor([-10.5, -11.0, -9.0, -10.0, -12.0, -12.0])
    return policy, reference, torch.tensor([5, 6, 7, 4, 8, 9])


def test_losses_against_closed_forms() -> None:
    policy, reference, lengths = fixed()
    beta, e = 0.3, 0.2

    def sigma(x: float) -> float:
        return 1 / (1 + math.exp(-x))

    ratios = (policy - reference).tolist()
    h = [ratios[i] - ratios[i + 3] for i in range(3)]
    per_token = [r / n for r, n in zip(ratios, lengths.tolist(), strict=True)]
    t = [per_token[i] - per_token[i + 3] for i in range(3)]
    expected = {
        "sigmoid": [-math.log(sigma(beta * x)) for x in h],
        "hinge": [max(0.0, 1 - beta * x) for x in h],
        "ipo": [(x - 1 / (2 * beta)) ** 2 for x in t],
        "sigmoid_norm": [-math.log(sigma(beta * x)) for x in t],
        "robust": [(-(1 - e) * math.log(sigma(beta * x)) + e * math.log(sigma(-beta * x))) / (1 - 2 * e) for x in h],
    }
    for name, values in expected.items():
        config = DpoConfig(beta=beta, loss=name, label_smoothing=e if name == "robust" else 0.0)  # type: ignore[arg-type]
        assert torch.allclose(pair_losses(config, policy, reference, lengths), torch.tensor(values), atol=1e-6), name
    smooth = pair_losses(DpoConfig(beta=beta, label_smoothing=e), policy, reference, lengths)
    assert torch.allclose(
        smooth,
        torch.tensor([-(1 - e) * math.log(sigma(beta * x)) - e * math.log(sigma(-beta * x)) for x in h]),
        atol=1e-6,
    )


@pytest.mark.slow
@pytest.mark.parametrize("loss", ["sigmoid", "ipo", "hinge", "robust"])
def test_dpo_equals_trl_on_the_same_batch(
    tiny_model: Path, tokenizer: Tokenizer, tokens: dict[str, str], loss: str, tmp_path: Path
) -> None:
    from datasets import Dataset
    from trl import DPOConfig, DPOTrainer

    scorer, frozen = scorer_of(tiny_model, tokenizer), scorer_of(tiny_model, tokenizer)
    with torch.no_grad():  # the policy has moved away from the reference
        for i, p in enumerate(scorer.parameters()):
            p.add_(0.02 * torch.randn(p.shape, generator=torch.Generator().manual_seed(i)))
    rows = preference_rows(tokens, 4)
    smoothing = 0.1 if loss == "robust" else 0.0
    config = DpoConfig(beta=0.1, loss=loss, label_smoothing=smoothing)  # type: ignore[arg-type]
    batch = collate(rows, pad=0, pairs=True, indices=[(0, i) for i in range(4)])
    objective = Dpo(config, (1.0,), reference=lambda b: Dpo.log_probabilities(frozen, b)[0])
    with torch.no_grad():
        ours, sums = objective.loss(scorer, batch, objective.counts(rows))
    metrics = objective.metrics(sums, ["pairs"])

    def example(row: Row) -> dict[str, list[int]]:
        start = int(row.targets[0].argmax())
        return {
            "prompt_ids": row.ids[0][:start].tolist(),
            "chosen_ids": row.ids[0][start:].tolist(),
            "rejected_ids": row.ids[1][start:].tolist(),
        }

    options = DPOConfig(
        output_dir=str(tmp_path),
        beta=0.1,
        loss_type=[loss],
        label_smoothing=smoothing,
        report_to=[],
        use_cpu=True,
        bf16=False,
        max_length=None,
        per_device_train_batch_size=4,
        gradient_checkpointing=False,
    )
    texts = Dataset.from_list([{"prompt": "a", "chosen": "b", "rejected": "c"}])
    trainer: Any = DPOTrainer(
        model=copy.deepcopy(scorer.model),
        ref_model=copy.deepcopy(frozen.model),
        args=options,
        train_dataset=texts,
        processing_class=AutoTokenizer.from_pretrained(tiny_model),
    )
    collated = trainer.data_collator([example(r) for r in rows])
    trainer.model.eval()
    with torch.no_grad():
        theirs = trainer.compute_loss(trainer.model, dict(collated.items()))
    assert float(ours) == pytest.approx(float(theirs), abs=1e-5)
    logged = {k: v[-1] for k, v in trainer._metrics["eval"].items()} or {
        k: v[-1] for k, v in trainer._metrics["train"].items()
    }
    for name in ("rewards/chosen", "rewards/rejected", "rewards/margins", "logps/chosen", "logps/rejected"):
        assert metrics[name] == pytest.approx(logged[name], abs=1e-4), name


def test_step_zero_and_the_names_of_metrics(tiny_model: Path, tokenizer: Tokenizer, tokens: dict[str, str]) -> None:
    scorer = scorer_of(tiny_model, tokenizer, checkpointing=True)
    frozen = scorer_of(tiny_model, tokenizer)
    rows = preference_rows(tokens, 4)
    batch = collate(rows, pad=0, pairs=True, indices=[(0, i) for i in range(4)])
    objective = Dpo(DpoConfig(), (1.0,), reference=lambda b: Dpo.log_probabilities(frozen, b)[0])
    loss, sums = objective.loss(scorer.train(), batch, objective.counts(rows))
    metrics = objective.metrics(sums, [""])
    assert float(loss) == pytest.approx(math.log(2), abs=1e-6)
    assert metrics["rewards/margins"] == pytest.approx(0, abs=1e-5)
    assert metrics["rewards/accuracies"] == pytest.approx(0.5, abs=0.5)
    loss.backward()
    optimizer = torch.optim.SGD(scorer.parameters(), 0.5)
    optimizer.step()
    _, sums = objective.loss(scorer, batch, objective.counts(rows))
    after = objective.metrics(sums, [""])
    assert after["rewards/margins"] > 0
    assert after["rewards/chosen"] > after["rewards/rejected"]


@pytest.mark.slow
def test_preference_steps_do_not_depend_on_batches(
    tiny_model: Path, tokenizer: Tokenizer, tokens: dict[str, str]
) -> None:
    scorer, frozen = scorer_of(tiny_model, tokenizer), scorer_of(tiny_model, tokenizer, "llama")
    rows = preference_rows(tokens, 6)
    objective = Dpo(DpoConfig(sft_weight=0.5), (1.0,), reference=lambda b: Dpo.log_probabilities(frozen, b)[0])
    loss, gradient = run_step(scorer, objective, rows, 6)
    for micro, world in ((1, 1), (2, 1), (2, 2), (1, 4)):
        other, grown = run_step(scorer, objective, rows, micro, world)
        assert other == pytest.approx(loss, abs=1e-5)
        assert torch.allclose(grown, gradient, rtol=1e-4, atol=1e-6)
