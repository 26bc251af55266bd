"""What a run says: lines for people, JSON lines for programs, TensorBoard where it is installed."""

from __future__ import annotations

import importlib.util
import math
import statistics
from collections import deque
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import orjson
import psutil
import torch

from raylib.errors import TrainingError
from training.config import TrainConfig
from training.model.world import World

__all__ = ["Reporter", "peak_flops"]


# dense bf16 peaks of accelerators, FLOP/s, as their makers state them
_PEAKS = {"H200": 989e12, "H100 PCIe": 756e12, "H100 NVL": 835e12, "H100": 989e12, "A100": 312e12, "A800": 312e12, "H800": 989e12}  # fmt: skip


def peak_flops() -> float | None:
    """Peak of this accelerator in dense bf16, FLOP/s; None where it is not known."""
    if not torch.cuda.is_available():
        return None
    name = torch.cuda.get_device_name()
    return next((v for k, v in _PEAKS.items() if k in name), None)


class Reporter:
    """Metrics of steps and evaluations, on worker 0: console, `metrics.jsonl`, TensorBoard, and `report` for Ray."""

    def __init__(
        self, folder: Path, world: World, config: TrainConfig, say: Callable[[str], None], report: Callable[[dict[str, float]], None] | None
    ) -> None:  # fmt: skip
        self.world, self.config, self.say, self.report = world, config, say, report
        self._peak = peak_flops()
        self._recent: deque[float] = deque(maxlen=50)
        self._stream: Any = None
        self._board: Any = None
        self._wandb: Any = None
        if world.rank == 0:
            if config.wandb:
                self._wandb = _wandb(folder, config)
            self._stream = (folder / "metrics.jsonl").open("ab")
            if importlib.util.find_spec("tensorboard") is not None:
                from torch.utils.tensorboard import SummaryWriter

                self._board = SummaryWriter(str(folder / "tensorboard"))

    def step(
        self, step: int, steps: int, phase: str, metrics: dict[str, float], *, total: int, flops: float, epoch: float
    ) -> None:  # fmt: skip
        """One step. Adds tgs (tokens a worker and second), tflops and mfu by `training.models.model_flops`, memory.

        step: of this phase, from 1; total: over all phases.
        """
        seconds = max(metrics["seconds"], 1e-9)
        metrics["tgs"] = metrics["step_tokens"] / seconds / self.world.size
        metrics["tflops"] = metrics["tgs"] * flops / 1e12
        if self._peak:
            metrics["mfu"] = metrics["tflops"] * 1e12 / self._peak
        cuda = torch.cuda.is_available()
        metrics["memory_gb"] = (torch.cuda.max_memory_allocated() if cuda else psutil.Process().memory_info().rss) / 1e9
        metrics["epoch"] = epoch
        spike = self._spike(metrics["loss"])
        if self.world.rank:
            return
        if spike:
            self.say(f"step {step}: loss {metrics['loss']:.4f} is far above its recent level {spike:.4f}")
            metrics["spike"] = 1.0
        self._write(step, total, phase, metrics)
        if step % self.config.log_every == 0 or step == steps:
            shown = f"{phase + ' ' if phase else ''}step {step}/{steps}  loss {metrics['loss']:.4f}"
            if "rewards/accuracies" in metrics:
                shown += f"  margin {metrics['rewards/margins']:.3f}  accuracy {metrics['rewards/accuracies']:.2f}"
            shown += f"  lr {metrics['lr']:.2e}  norm {metrics['grad_norm']:.2f}  {metrics['tgs']:,.0f} tokens/s a worker  {metrics['tflops']:.2f} TFLOPs"  # fmt: skip
            if "mfu" in metrics:
                shown += f"  MFU {metrics['mfu']:.1%}"
            self.say(shown)
            if self.report is not None:
                self.report(metrics)

    def _spike(self, loss: float) -> float:
        """The recent level when a loss lies six robust deviations above it, otherwise 0."""
        level = 0.0
        if len(self._recent) >= 20 and math.isfinite(loss):
            middle = statistics.median(self._recent)
            spread = statistics.median(abs(x - middle) for x in self._recent)
            if loss > middle + 6 * max(1.4826 * spread, 0.02 * abs(middle)):
                level = middle
        if math.isfinite(loss):
            self._recent.append(loss)
        return level

    def evaluation(self, step: int, phase: str, found: Mapping[str, float], seconds: float, *, total: int) -> None:  # fmt: skip
        """One evaluation."""
        if self.world.rank:
            return
        self._write(step, total, phase, {**{f"eval/{k}": v for k, v in found.items()}, "eval/seconds": seconds})
        self.say(
            f"step {step}: evaluation " + ", ".join(f"{k} {v:.4f}" for k, v in found.items()) + f" ({seconds:.1f} s)"
        )
        if self.report is not None:
            self.report({f"eval/{k}": float(v) for k, v in found.items()})

    def _write(self, step: int, total: int, phase: str, values: Mapping[str, float]) -> None:
        labels = {"phase": phase} if phase else {}
        self._stream.write(orjson.dumps({"step": step, "total_step": total, **labels, **values}) + b"\n")
        self._stream.flush()
        if self._wandb is not None:
            self._wandb.log({**labels, **values, "trainer/step": total})
        if self._board is not None:
            for name, value in values.items():
                self._board.add_scalar(name, value, total)

    def close(self) -> None:
        """Flush and close what was opened."""
        if self._stream is not None:
            self._stream.close()
        if self._board is not None:
            self._board.close()
        if self._wandb is not None:
            self._wandb.finish()


def _wandb(folder: Path, config: TrainConfig) -> Any:
    """A run of Weights & Biases of the same name; a resumed run goes on in it."""
    try:
        import wandb
    except ImportError as error:
        raise TrainingError("wandb: the package is not installed: pip install wandb") from error
    name = "".join(c if c.isalnum() or c in "-_" else "-" for c in folder.name)
    return wandb.init(
        project=config.wandb, name=folder.name, id=name, resume="allow", dir=str(folder), config=config.describe()
    )
