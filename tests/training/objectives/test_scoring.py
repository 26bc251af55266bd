"""The shared forward pass: packed samples are isolated, padding changes nothing."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import torch

from raylib.errors import TrainingError
from tests.training.setup import SHAPES, scorer_of
from training.config import ModelConfig
from training.data.batches import collate
from training.data.rows import Row, rows_of
from training.data.tokenizer import Tokenizer
from training.model.build import _layers, build_model


@pytest.mark.parametrize("attention", ["sdpa", "eager", "varlen"])
@pytest.mark.parametrize("kind", list(SHAPES))
def test_packed_samples_do_not_see_each_other(
    tiny_model: Path, tokenizer: Tokenizer, kind: str, attention: str
) -> None:
    scorer = scorer_of(tiny_model, tokenizer, kind, attention=attention).eval()
    rng = np.random.default_rng(0)
    parts = [rng.integers(3, 500, size=n) for n in (7, 1, 1, 12, 30)]
    ones = [np.ones(len(p), np.uint8) for p in parts]

    def losses(ids: list[np.ndarray], masks: list[np.ndarray]) -> torch.Tensor:
        batch = collate([Row(tuple(ids), tuple(masks), 0)], pad=0, pairs=False)
        with torch.no_grad():
            found: torch.Tensor = scorer(batch.ids, batch.segments, batch.positions, batch.targets, batch.packed)
        return found

    packed = losses(parts, ones)
    separate = torch.cat([losses([p], [m]) for p, m in zip(parts, ones, strict=True) if len(p) > 1])
    assert torch.allclose(packed, separate, atol=1e-4), "one token predicts nothing, and nothing across a border"
    changed = losses([rng.integers(3, 500, size=7), *parts[1:]], ones)
    assert torch.equal(changed[6:], packed[6:]), "another first sample changes no bit of the others"


@pytest.mark.slow
def test_flex_attention_hides_the_same(tiny_model: Path, tokenizer: Tokenizer) -> None:
    rng = np.random.default_rng(0)
    rows = [
        Row(tuple(rng.integers(3, 500, size=n) for n in sizes), tuple(np.ones(n, np.uint8) for n in sizes), 0)
        for sizes in ((7, 1, 40), (12, 20, 9))
    ]
    batch = collate(rows, pad=0, pairs=False, width=64)
    found = []
    for attention in ("sdpa", "flex"):
        scorer = scorer_of(tiny_model, tokenizer, "llama", attention=attention).eval()
        with torch.no_grad():  # on a CPU flex attention has no backward pass
            found.append(scorer(batch.ids, batch.segments, batch.positions, batch.targets, batch.packed))
    assert batch.ids.shape == (2, 64)
    assert torch.allclose(found[0], found[1], atol=1e-4)


@pytest.mark.parametrize("compiled", [False, True])
@pytest.mark.parametrize("kind", list(SHAPES))
def test_varlen_attention_has_the_gradients_of_the_dense_mask(
    tiny_model: Path, tokenizer: Tokenizer, kind: str, compiled: bool
) -> None:
    if compiled and kind != "llama":
        pytest.skip("compiling takes long; one kind is enough")
    rng = np.random.default_rng(0)
    rows = [
        Row(tuple(rng.integers(3, 500, size=n) for n in sizes), tuple(np.ones(n, np.uint8) for n in sizes), 0)
        for sizes in ((7, 1, 40), (12, 20, 9), (64,), (3,))
    ]
    batch = collate(rows, pad=0, pairs=False, width=64)
    found = []
    for attention in ("sdpa", "varlen"):
        scorer = scorer_of(tiny_model, tokenizer, kind, attention=attention)
        if compiled:
            for layer in _layers(scorer.plain):
                layer.compile(dynamic=False, backend="eager")
        losses = scorer(batch.ids, batch.segments, batch.positions, batch.targets, batch.packed)
        losses.sum().backward()
        found.append((losses.detach(), {n: p.grad for n, p in scorer.named_parameters() if p.grad is not None}))
    (losses, gradients), (others, their) = found
    assert torch.allclose(losses, others, atol=1e-4)
    assert gradients.keys() == their.keys()
    for name, gradient in gradients.items():
        assert torch.allclose(gradient, their[name], atol=1e-3 * float(gradient.abs().max()) + 1e-6), name


def test_varlen_attention_refuses_dropout_of_attention_weights(tiny_model: Path, tokenizer: Tokenizer) -> None:
    shape = {**SHAPES["llama"], "attention_dropout": 0.1}
    config = ModelConfig(shape=shape, tokenizer=str(tiny_model), dtype="fp32", attention="varlen")
    with pytest.raises(TrainingError, match=r"attention_dropout = 0\.1"):
        build_model(config, tokenizer, 0)


def test_padding_changes_nothing(tiny_model: Path, tokenizer: Tokenizer, tokens: dict[str, str]) -> None:
    scorer = scorer_of(tiny_model, tokenizer, "llama").eval()
    (source,) = rows_of([tokens["sft"]], 128, packing=False)
    rows = [source.row(i) for i in range(6)]
    together = collate(rows, pad=0, pairs=False)
    with torch.no_grad():
        all_ = scorer(together.ids, together.segments, together.positions, together.targets, together.packed)
        alone = []
        for row in rows:
            b = collate([row], pad=0, pairs=False)
            wide = torch.nn.functional.pad(b.ids, (0, 100), value=5)
            grown = [
                torch.nn.functional.pad(x, (0, 100), value=v)
                for x, v in ((b.segments, -1), (b.positions, 0), (b.targets, False))
            ]
            alone.append(scorer(wide, *grown, False))
    assert torch.allclose(all_, torch.cat(alone), atol=1e-5)
