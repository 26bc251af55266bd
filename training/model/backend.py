"""The backend protocol: what the loop asks of DeepSpeed or plain PyTorch."""

from __future__ import annotations

from pathlib import Path
from typing import Any, Protocol

from torch import Tensor

from training.model.saving import Writer
from training.objectives import Scorer

__all__ = ["Backend"]


class Backend(Protocol):
    """A model that is being trained. `scorer` is called like the module that was given."""

    scorer: Any
    module: Scorer

    def backward(self, loss: Tensor) -> None:
        """Add a micro-batch's gradients: `loss` is its part of the step's loss."""
        ...

    def step(self, rate: float) -> float:
        """Clip, update with this learning rate, clear gradients. Returns the gradient norm before clipping."""
        ...

    def discard(self) -> None:
        """Clear gradients without an update."""
        ...

    def save(self, folder: Path, writer: Writer) -> None:
        """Have weights and optimizer states written as they are now; all workers call it."""
        ...

    def load(self, folder: Path) -> None: ...

    def weights(self) -> dict[str, Tensor] | None:
        """All weights of the wrapped model on worker 0, float32 or as trained; None on the others. All workers call it."""
        ...
