"""Losses equal those of plain transformers."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import torch
from transformers import AutoModelForCausalLM

from quality.models.language_model import LanguageModel, Scored
from tests.quality.scores.reference import reference_loss
from tests.texts import ARTICLE


def test_losses_count_only_targets(tiny_model: Path) -> None:
    scorer = LanguageModel.load(str(tiny_model))
    ids = scorer.encode([ARTICLE])[0][:40]
    model = AutoModelForCausalLM.from_pretrained(tiny_model).eval()
    got = scorer.losses([Scored(ids, 30), Scored(ids, 0), Scored(ids[:1], 0), Scored([], 0)])
    with torch.no_grad():
        assert got[0] == pytest.approx(reference_loss(model, ids, 30), abs=1e-5)
        assert got[1] == pytest.approx(reference_loss(model, ids, 1), abs=1e-5)
    assert np.isnan(got[2:]).all()
    assert scorer.usage["tokens"] == 80
