"""The backend protocol: what the loop asks of DeepSpeed or plain PyTorch."""

from __future__ import annotations

from pathlib import Path
from typing import Protocol

from torch import Tensor

from training.model.saving import Writer
from training.objectives import Scorer, TokenLosses

__all__ = ["Backend"]


class Backend(Protocol):
    """A model that is being trained, with its optimizer.

    Attributes:
        scorer: Called in place of the module, for the losses of a batch.
        module: The module that was given.
    """

    scorer: TokenLosses
    module: Scorer

    def backward(self, loss: Tensor) -> None:
        """Add a micro-batch's gradients; `loss` is its part of the step's loss."""

    def step(self, rate: float) -> float:
        """Clip gradients, update weights with this learning rate, clear gradients.

        Returns:
            The norm of the gradients before clipping.
        """

    def discard(self) -> None:
        """Clear gradients without an update."""

    def save(self, folder: Path, writer: Writer) -> None:
        """Have weights and optimizer states written as they are now. All workers call it."""

    def load(self, folder: Path) -> None:
        """Read what `save` wrote. All workers call it."""

    def weights(self) -> dict[str, Tensor] | None:
        """All weights of the wrapped model on worker 0, None on the others. All workers call it."""
