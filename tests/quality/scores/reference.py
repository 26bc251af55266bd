"""The loss of one sequence, by plain transformers."""

from __future__ import annotations

from typing import Any

import torch


def reference_loss(model: Any, ids: list[int], start: int) -> float:
    """Mean loss of ids[start:], by the model's own loss."""
    labels = [-100] * start + ids[start:]
    return float(model(input_ids=torch.tensor([ids]), labels=torch.tensor([labels])).loss)
