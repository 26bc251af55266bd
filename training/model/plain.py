"""The plain PyTorch backend: one process, no DeepSpeed."""

from __future__ import annotations

from pathlib import Path

import torch
from torch import Tensor

from raylib.errors import TrainingError
from raylib.model_folders import loaded
from training.config import TrainConfig
from training.model.build import parameter_groups
from training.model.saving import Writer
from training.model.world import World
from training.objectives import Scorer, TokenLosses

__all__ = ["PlainBackend"]

_DTYPES = {"bf16": torch.bfloat16, "fp16": torch.float16, "fp32": torch.float32}


class PlainBackend:
    """AdamW in one process: for debugging, and as the reference that DeepSpeed is compared with."""

    def __init__(self, config: TrainConfig, module: Scorer, world: World) -> None:
        self.config, self.world = config, world
        self._dtype = _DTYPES[config.model.dtype]
        if self._dtype is torch.float16:
            raise TrainingError("model.dtype: fp16 needs loss scaling; use backend deepspeed, or bf16")
        self.module: Scorer = module.to(world.device)
        self.scorer: TokenLosses = self._cast_forward if self._dtype is not torch.float32 else self.module
        options = config.optimizer
        groups = parameter_groups(module, options.weight_decay, config.parallel.layers_a_group)
        self._optimizer = torch.optim.AdamW(
            [dict(group) for group in groups], lr=options.learning_rate, betas=options.betas, eps=options.epsilon
        )

    def _cast_forward(self, ids: Tensor, segments: Tensor, positions: Tensor, targets: Tensor, packed: bool) -> Tensor:
        """Losses, computed in the run's data type from float32 weights."""
        with torch.autocast(self.world.device.type, dtype=self._dtype):
            losses: Tensor = self.module(ids, segments, positions, targets, packed)
        return losses

    def backward(self, loss: Tensor) -> None:
        """Add a micro-batch's gradients."""
        loss.backward()

    def step(self, rate: float) -> float:
        """Clip, update, clear gradients; returns the norm before clipping."""
        parameters = [p for g in self._optimizer.param_groups for p in g["params"]]
        norm = torch.nn.utils.clip_grad_norm_(parameters, self.config.optimizer.clip)
        if not torch.isfinite(norm):
            self.discard()
            return float(norm)
        for group in self._optimizer.param_groups:
            group["lr"] = rate
        self._optimizer.step()
        self._optimizer.zero_grad(set_to_none=True)
        return float(norm)

    def discard(self) -> None:
        """Clear gradients without an update."""
        self._optimizer.zero_grad(set_to_none=True)

    def save(self, folder: Path, writer: Writer) -> None:
        """Have weights and optimizer states written."""
        states = {"module": self.module.state_dict(), "optimizer": self._optimizer.state_dict()}
        writer.save(states, folder / "state.pt")

    def load(self, folder: Path) -> None:
        """Read what `save` wrote."""
        file = folder / "state.pt"
        state = loaded(
            lambda: torch.load(file, map_location=self.world.device, weights_only=True), str(file), "checkpoint"
        )
        self.module.load_state_dict(state["module"])
        self._optimizer.load_state_dict(state["optimizer"])

    def weights(self) -> dict[str, Tensor] | None:
        """All weights of the wrapped model."""
        return {name: value.detach().cpu() for name, value in self.module.model.state_dict().items()}
