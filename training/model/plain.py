"""The plain PyTorch backend: one process, no DeepSpeed."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from raylib.errors import TrainingError
from training.config import TrainConfig
from training.model.build import parameter_groups
from training.model.saving import Writer
from training.model.world import World
from training.objectives import Scorer

__all__ = ["PlainBackend"]


class PlainBackend:
    """AdamW on one process: for debugging, and as the reference that DeepSpeed is compared with."""

    def __init__(self, config: TrainConfig, module: Scorer, world: World) -> None:
        self.config, self.world = config, world
        self._dtype = {"bf16": torch.bfloat16, "fp16": torch.float16, "fp32": torch.float32}[config.model.dtype]
        if self._dtype is torch.float16:
            raise TrainingError("model.dtype: fp16 needs loss scaling; use backend deepspeed, or bf16")
        self.module = module.to(world.device)
        self.scorer = self._forward if self._dtype is not torch.float32 else self.module
        options = config.optimizer
        groups = parameter_groups(module, options.weight_decay, config.parallel.layers_a_group)
        self._optimizer = torch.optim.AdamW(groups, lr=options.learning_rate, betas=options.betas, eps=options.epsilon)

    def _forward(self, *arguments: Any) -> Tensor:
        with torch.autocast(self.world.device.type, dtype=self._dtype):
            out: Tensor = self.module(*arguments)
        return out

    def backward(self, loss: Tensor) -> None:
        loss.backward()

    def step(self, rate: float) -> float:
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
        self._optimizer.zero_grad(set_to_none=True)

    def save(self, folder: Path, writer: Writer) -> None:
        writer.save({"module": self.module.state_dict(), "optimizer": self._optimizer.state_dict()}, folder / "state.pt")  # fmt: skip

    def load(self, folder: Path) -> None:
        state = torch.load(folder / "state.pt", map_location=self.world.device, weights_only=True)
        self.module.load_state_dict(state["module"])
        self._optimizer.load_state_dict(state["optimizer"])

    def weights(self) -> dict[str, Tensor] | None:
        return {name: value.detach().cpu() for name, value in self.module.model.state_dict().items()}
