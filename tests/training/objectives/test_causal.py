"""The loss of next tokens against transformers, and its normalisation over micro-batches, workers and sources."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import torch

from tests.training.setup import SHAPES, run_step, scorer_of, sft_rows
from training.data.batches import collate
from training.data.rows import Row, rows_of
from training.data.tokenizer import Tokenizer
from training.objectives import Causal


@pytest.mark.parametrize("kind", list(SHAPES))
def test_sft_loss_equals_transformers_on_masked_labels(
    tiny_model: Path, tokenizer: Tokenizer, tokens: dict[str, str], kind: str
) -> None:
    scorer = scorer_of(tiny_model, tokenizer, kind)
    rows = sft_rows(tokens, 5)
    ours, _ = run_step(scorer, Causal((1.0,)), rows, 5)
    batch = collate(rows, pad=0, pairs=False)
    labels = torch.where(batch.targets, batch.ids, -100)
    theirs = scorer.model(input_ids=batch.ids, attention_mask=(batch.segments >= 0).long(), labels=labels).loss
    assert ours == pytest.approx(float(theirs), abs=1e-5)


def test_accumulation_and_workers_change_nothing(
    tiny_model: Path, tokenizer: Tokenizer, tokens: dict[str, str]
) -> None:
    scorer = scorer_of(tiny_model, tokenizer)
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


def test_a_micro_batch_without_targets_gives_no_gradient(
    tiny_model: Path, tokenizer: Tokenizer, tokens: dict[str, str]
) -> None:
    scorer = scorer_of(tiny_model, tokenizer)
    row = sft_rows(tokens, 1)[0]
    masked = Row(row.ids, (np.zeros_like(row.targets[0]),), 0)
    loss, gradient = run_step(scorer, Causal((1.0,)), [masked], 1)
    assert loss == 0.0
    assert float(gradient.abs().max()) == 0.0
    mixed, _ = run_step(scorer, Causal((1.0,)), [row, masked], 1)
    alone, _ = run_step(scorer, Causal((1.0,)), [row], 1)
    assert mixed == pytest.approx(alone, abs=1e-7)


def test_sources_are_normalised_apart_and_weighted(
    tiny_model: Path, tokenizer: Tokenizer, tokens: dict[str, str]
) -> None:
    scorer = scorer_of(tiny_model, tokenizer)
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
    assert only == pytest.approx(b, abs=1e-6)
    assert torch.allclose(g, gb, atol=1e-7), "weight 0 leaves no gradient"


@pytest.mark.slow
def test_the_next_token_is_learnt(tiny_model: Path, tokenizer: Tokenizer) -> None:
    scorer = scorer_of(tiny_model, tokenizer)
    cycle = np.tile(np.arange(10, 20), 6)
    row = Row((cycle,), (np.ones(60, np.uint8),), 0)
    optimizer = torch.optim.AdamW(scorer.parameters(), 1e-2)
    for _ in range(60):
        run_step(scorer, Causal((1.0,)), [row], 1)
        optimizer.step()
    with torch.no_grad():
        said = scorer.model(input_ids=torch.tensor(cycle[:30][None])).logits[0, -1].argmax()
    assert int(said) == 10, "after 19 comes 10: t + 1, not t + 2"
