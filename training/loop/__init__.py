"""The training loop, its launcher, checkpoints and guards."""

from training.loop.loop import Loop

__all__ = ["Loop"]
