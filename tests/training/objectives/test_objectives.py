"""Losses against transformers, TRL and closed forms; normalisation over micro-batches, workers and sources."""

from __future__ import annotations

import math
from pathlib import Path
from typing import Any

import pytest
import torch
from transformers import AutoTokenizer

from tests.training.setup import SHAPES
from training.config import DpoConfig, ModelConfig, OptimizerConfig
from training.data.batches import collate, micro_batches
from training.data.rows import Row, rows_of
from training.model.build import build_model, parameter_groups
from training.model.cost import matmul_parameters, model_flops
from training.model.schedule import learning_rate
from training.objectives import Causal, Dpo, Scorer
from training.objectives.dpo import pair_losses


@pytest.fixture(scope="module")
def tokenizer(tiny_model: Path) -> Any:
    return AutoTokenizer.from_pretrained(tiny_model)


def make(tiny_model: Path, tokenizer: Any, kind: str = "llama", **options: Any) -> Scorer:
    return Scorer(build_model(ModelConfig(shape=SHAPES[kind], tokenizer=str(tiny_model), dtype="fp32", **options), tokenizer, 0))  # fmt: skip


def gradients(scorer: Scorer) -> torch.Tensor:
    return torch.cat([p.grad.flatten() for p in scorer.parameters() if p.grad is not None])


def run_step(scorer: Scorer, objective: Any, rows: list[Row], micro: int, world: int = 1) -> tuple[float, torch.Tensor]:
    """A whole optimizer step's loss and gradient, over micro-batches and (one after the other) workers."""
    scorer.zero_grad()
    keys = [(r.source, i) for i, r in enumerate(rows)]
    counts = objective.counts(rows)
    total = 0.0
    accumulation = math.ceil(math.ceil(len(rows) / world) / micro)
    for rank in range(world):
        for batch in micro_batches(rows, keys, rank=rank, world=world, micro=micro, accumulation=accumulation, pad=0, pairs=objective.pairs):  # fmt: skip
            loss, _ = objective.loss(scorer, batch, counts)
            loss.backward()
            total += float(loss.detach())
    return total, gradients(scorer)


def sft_rows(tokens: dict[str, str], n: int, packing: bool = False) -> list[Row]:
    (source,) = rows_of([tokens["sft"]], 128, packing=packing)
    return [source.row(i) for i in range(n)]


@pytest.mark.parametrize("kind", list(SHAPES))
def test_sft_loss_equals_transformers_on_masked_labels(tiny_model: Path, tokenizer: Any, tokens: dict[str, str], kind: str) -> None:  # fmt: skip
    scorer = make(tiny_model, tokenizer, kind)
    rows = sft_rows(tokens, 5)
    ours, _ = run_step(scorer, Causal((1.0,)), rows, 5)
    batch = collate(rows, pad=0, pairs=False)
    labels = torch.where(batch.targets, batch.ids, -100)
    theirs = scorer.model(input_ids=batch.ids, attention_mask=(batch.segments >= 0).long(), labels=labels).loss
    assert ours == pytest.approx(float(theirs), abs=1e-5)


def test_trap_01_02_03_accumulation_and_workers_change_nothing(tiny_model: Path, tokenizer: Any, tokens: dict[str, str]) -> None:  # fmt: skip
    scorer = make(tiny_model, tokenizer)
    rows = sft_rows(tokens, 8)
    assert len({r.length for r in rows}) > 3, "lengths are uneven"
    loss, gradient = run_step(scorer, Causal((1.0,)), rows, 8)
    for micro, world in ((1, 1), (2, 1), (3, 1), (2, 2), (2, 4)):
        other, grown = run_step(scorer, Causal((1.0,)), rows, micro, world)
        assert other == pytest.approx(loss, abs=1e-6), (micro, world)
        assert torch.allclose(grown, gradient, rtol=1e-5, atol=1e-7)
    short, _ = run_step(scorer, Causal((1.0,)), rows[:6], 2, 2)  # the last step of an epoch: fewer rows, as many passes
    whole, _ = run_step(scorer, Causal((1.0,)), rows[:6], 6)
    assert short == pytest.approx(whole, abs=1e-6)


def test_trap_15_a_micro_batch_without_targets_gives_no_gradient(tiny_model: Path, tokenizer: Any, tokens: dict[str, str]) -> None:  # fmt: skip
    import numpy as np

    scorer = make(tiny_model, tokenizer)
    row = sft_rows(tokens, 1)[0]
    masked = Row(row.ids, (np.zeros_like(row.targets[0]),), 0)
    loss, gradient = run_step(scorer, Causal((1.0,)), [masked], 1)
    assert loss == 0.0 and float(gradient.abs().max()) == 0.0
    mixed, _ = run_step(scorer, Causal((1.0,)), [row, masked], 1)
    alone, _ = run_step(scorer, Causal((1.0,)), [row], 1)
    assert mixed == pytest.approx(alone, abs=1e-7)


def test_trap_41_sources_are_normalised_apart_and_weighted(tiny_model: Path, tokenizer: Any, tokens: dict[str, str]) -> None:  # fmt: skip
    scorer = make(tiny_model, tokenizer)
    sources = rows_of([tokens["pretrain"], tokens["sft"]], 128, packing=True)
    text, chat = [sources[0].row(i) for i in range(3)], [sources[1].row(i) for i in range(2)]
    one = Causal((1.0,))
    chat_as_first = [Row(r.ids, r.targets, 0) for r in chat]
    a, ga = run_step(scorer, one, text, 2)
    b, gb = run_step(scorer, one, chat_as_first, 2)
    mixed, gm = run_step(scorer, Causal((3.0, 1.0)), [*text, *chat], 2)
    assert mixed == pytest.approx(0.75 * a + 0.25 * b, abs=1e-5)
    assert torch.allclose(gm, 0.75 * ga + 0.25 * gb, atol=1e-6)
    only, g = run_step(scorer, Causal((0.0, 1.0)), [*text, *chat], 2)
    assert only == pytest.approx(b, abs=1e-6) and torch.allclose(g, gb, atol=1e-7), "weight 0 leaves no gradient"


def test_trap_27_the_next_token_is_learnt(tiny_model: Path, tokenizer: Any) -> None:
    import numpy as np

    scorer = make(tiny_model, tokenizer)
    cycle = np.tile(np.arange(10, 20), 6)
    row = Row((cycle,), (np.ones(60, np.uint8),), 0)
    optimizer = torch.optim.AdamW(scorer.parameters(), 1e-2)
    for _ in range(60):
        run_step(scorer, Causal((1.0,)), [row], 1)
        optimizer.step()
    with torch.no_grad():
        said = scorer.model(input_ids=torch.tensor(cycle[:30][None])).logits[0, -1].argmax()
    assert int(said) == 10, "after 19 comes 10: t + 1, not t + 2"


# ---- preferences ----------------------------------------------------------------------------------


def preference_rows(tokens: dict[str, str], n: int) -> list[Row]:
    (source,) = rows_of([tokens["preference"]], 128, packing=True)
    return [source.row(i) for i in range(n)]


def fixed() -> tuple[torch.Tensor, torch.Tensor, torch.Tensor]:
    policy = torch.tensor([-10.0, -12.0, -8.5, -11.0, -11.5, -13.0])
    reference = torch.tensor([-10.5, -11.0, -9.0, -10.0, -12.0, -12.0])
    return policy, reference, torch.tensor([5, 6, 7, 4, 8, 9])


def test_trap_22_losses_against_closed_forms() -> None:
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
    assert torch.allclose(smooth, torch.tensor([-(1 - e) * math.log(sigma(beta * x)) - e * math.log(sigma(-beta * x)) for x in h]), atol=1e-6)  # fmt: skip


@pytest.mark.slow
@pytest.mark.parametrize("loss", ["sigmoid", "ipo", "hinge", "robust"])
def test_dpo_equals_trl_on_the_same_batch(tiny_model: Path, tokenizer: Any, tokens: dict[str, str], loss: str, tmp_path: Path) -> None:  # fmt: skip
    import copy

    from datasets import Dataset
    from trl import DPOConfig, DPOTrainer

    scorer, frozen = make(tiny_model, tokenizer), make(tiny_model, tokenizer)
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
        return {"prompt_ids": row.ids[0][:start].tolist(), "chosen_ids": row.ids[0][start:].tolist(), "rejected_ids": row.ids[1][start:].tolist()}  # fmt: skip

    options = DPOConfig(output_dir=str(tmp_path), beta=0.1, loss_type=[loss], label_smoothing=smoothing, report_to=[], use_cpu=True, bf16=False, max_length=None, per_device_train_batch_size=4, gradient_checkpointing=False)  # fmt: skip
    texts = Dataset.from_list([{"prompt": "a", "chosen": "b", "rejected": "c"}])
    trainer = DPOTrainer(model=copy.deepcopy(scorer.model), ref_model=copy.deepcopy(frozen.model), args=options, train_dataset=texts, processing_class=tokenizer)  # fmt: skip
    collated = trainer.data_collator([example(r) for r in rows])
    trainer.model.eval()
    with torch.no_grad():
        theirs = trainer.compute_loss(trainer.model, dict(collated.items()))
    assert float(ours) == pytest.approx(float(theirs), abs=1e-5)
    logged = {k: v[-1] for k, v in trainer._metrics["eval"].items()} or {k: v[-1] for k, v in trainer._metrics["train"].items()}  # fmt: skip
    for name in ("rewards/chosen", "rewards/rejected", "rewards/margins", "logps/chosen", "logps/rejected"):
        assert metrics[name] == pytest.approx(logged[name], abs=1e-4), name


def test_trap_18_21_step_zero_and_the_names_of_metrics(tiny_model: Path, tokenizer: Any, tokens: dict[str, str]) -> None:  # fmt: skip
    scorer = make(tiny_model, tokenizer, checkpointing=True)
    frozen = make(tiny_model, tokenizer)
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
    assert after["rewards/margins"] > 0 and after["rewards/chosen"] > after["rewards/rejected"]


def test_trap_17_preference_steps_do_not_depend_on_batches(tiny_model: Path, tokenizer: Any, tokens: dict[str, str]) -> None:  # fmt: skip
    scorer, frozen = make(tiny_model, tokenizer), make(tiny_model, tokenizer, "llama")
    rows = preference_rows(tokens, 6)
    objective = Dpo(DpoConfig(sft_weight=0.5), (1.0,), reference=lambda b: Dpo.log_probabilities(frozen, b)[0])
    loss, gradient = run_step(scorer, objective, rows, 6)
    for micro, world in ((1, 1), (2, 1), (2, 2), (1, 4)):
        other, grown = run_step(scorer, objective, rows, micro, world)
        assert other == pytest.approx(loss, abs=1e-5)
        assert torch.allclose(grown, gradient, rtol=1e-4, atol=1e-6)


# ---- models ---------------------------------------------------------------------------------------


def test_vocabulary_is_extended_with_means_and_never_shrunk(tiny_model: Path, tokenizer: Any, tmp_path: Path) -> None:
    from raylib.errors import TrainingError

    padded = make(tiny_model, tokenizer).model
    padded.resize_token_embeddings(len(tokenizer) + 24)
    padded.save_pretrained(tmp_path / "padded")
    kept = build_model(ModelConfig(path=str(tmp_path / "padded"), dtype="fp32"), tokenizer, 0)
    assert kept.get_input_embeddings().weight.shape[0] == len(tokenizer) + 24
    larger = AutoTokenizer.from_pretrained(tiny_model)
    larger.add_tokens([f"<extra{i}>" for i in range(40)])
    with pytest.raises(TrainingError, match="extend_vocabulary"):
        build_model(ModelConfig(path=str(tmp_path / "padded"), dtype="fp32"), larger, 0)
    grown = build_model(ModelConfig(path=str(tmp_path / "padded"), dtype="fp32", extend_vocabulary=True), larger, 0)
    weight = grown.get_input_embeddings().weight
    assert weight.shape[0] == len(larger)
    assert torch.allclose(weight[-1], weight[: len(tokenizer) + 24].mean(dim=0), atol=1e-6)


def test_embeddings_alone_and_parameter_groups(tiny_model: Path, tokenizer: Any) -> None:
    scorer = make(tiny_model, tokenizer, train="embeddings")
    trained = [n for n, p in scorer.named_parameters() if p.requires_grad]
    assert all("embed" in n or "lm_head" in n for n in trained) and trained
    whole = make(tiny_model, tokenizer)
    groups = parameter_groups(whole, 0.1, 1)
    assert sum(len(g["params"]) for g in groups) == len(list(whole.parameters()))
    assert all(p.ndim < 2 for g in groups if g["weight_decay"] == 0 for p in g["params"])
    assert len(groups) >= 5, "groups of a layer each, with and without decay"


def test_flops_of_llama_7b() -> None:
    from transformers import AutoConfig, AutoModelForCausalLM

    config = AutoConfig.for_model("llama", hidden_size=4096, intermediate_size=11008, num_hidden_layers=32, num_attention_heads=32, vocab_size=32000)  # fmt: skip
    with torch.device("meta"):
        model = AutoModelForCausalLM.from_config(config)
    assert matmul_parameters(model) == 6_607_077_376
    assert model_flops(model, 2048) / 1e9 == pytest.approx(42.87, abs=0.01)
    assert model_flops(model, 2048, causal=True) / 1e9 == pytest.approx(41.25, abs=0.01)


def test_trap_28_rates_are_a_function_of_the_step() -> None:
    cosine = OptimizerConfig(learning_rate=1.0, warmup=0.1)
    rates = [learning_rate(cosine, s, 100) for s in range(100)]
    assert rates[:10] == pytest.approx([0.1 * (i + 1) for i in range(10)])
    assert rates[10] == 1.0 and rates[55] == pytest.approx(0.5) and 0 < rates[99] < 0.01
    assert learning_rate(OptimizerConfig(learning_rate=1.0, warmup=5), 4, 100) == 1.0
    wsd = [learning_rate(OptimizerConfig(learning_rate=1.0, warmup=0, schedule="wsd", decay=0.2), s, 100) for s in range(100)]  # fmt: skip
    assert wsd[:80] == [1.0] * 80 and wsd[90] == pytest.approx(0.5)
    linear = OptimizerConfig(learning_rate=1.0, warmup=0, schedule="linear", min_ratio=0.1)
    assert learning_rate(linear, 50, 100) == pytest.approx(0.55)
