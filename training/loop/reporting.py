"""Metrics of a run: lines for people, JSON lines for programs, TensorBoard and Weights & Biases if wanted."""

from __future__ import annotations

import importlib
import importlib.util
import math
import statistics
from collections import deque
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, BinaryIO, Protocol

import orjson
import psutil
import torch

from raylib.atomic import mend_last_line
from raylib.errors import TrainingError
from training.config import TrainConfig
from training.model.world import World

if TYPE_CHECKING:
    from torch.utils.tensorboard import SummaryWriter

__all__ = ["Reporter", "StepPlace", "peak_flops"]


# dense bf16 peaks of accelerators, operations per second, as their makers state them
_PEAKS = {
    "H200": 989e12,
    "H100 PCIe": 756e12,
    "H100 NVL": 835e12,
    "H100": 989e12,
    "A100": 312e12,
    "A800": 312e12,
    "H800": 989e12,
}
_ROBUST = 1.4826  # makes the median deviation of a normal distribution its standard deviation


def peak_flops() -> float | None:
    """Peak of this accelerator in dense bf16, operations per second; None if it is not known."""
    if not torch.cuda.is_available():
        return None
    name = torch.cuda.get_device_name()
    return next((value for part, value in _PEAKS.items() if part in name), None)


class _WandbRun(Protocol):
    """The part of a run of Weights & Biases that is used here."""

    def log(self, data: dict[str, float | str]) -> None:
        """Record metrics."""

    def finish(self, *, exit_code: int) -> None:
        """End the run; any exit code but 0 marks it as failed."""


@dataclass(frozen=True)
class StepPlace:
    """Where in a run a step is.

    Attributes:
        step: Number of the step in its phase, from 1.
        steps: Number of steps of the phase.
        total: Number of the step over all phases, from 1.
        phase: Name of the phase; empty if there are no phases.
        epoch: Number of epochs done in the phase.
    """

    step: int
    steps: int
    total: int
    phase: str
    epoch: float


class Reporter:
    """Writes metrics of steps and evaluations, on worker 0.

    Args:
        folder: Folder of the run.
        world: This worker among the others.
        config: The run.
        say: Receives lines for people.
        report: Receives the metrics of each logged step, for Ray.
    """

    def __init__(
        self,
        folder: Path,
        world: World,
        config: TrainConfig,
        say: Callable[[str], None],
        report: Callable[[dict[str, float]], None] | None,
    ) -> None:
        self.world, self.config, self.say, self.report = world, config, say, report
        self._peak = peak_flops()
        self._recent: deque[float] = deque(maxlen=50)
        self._stream: BinaryIO | None = None
        self._board: SummaryWriter | None = None
        self._wandb: _WandbRun | None = None
        if world.rank == 0:
            if config.wandb:
                self._wandb = _wandb(folder, config)
            mend_last_line(folder / "metrics.jsonl")  # a killed run leaves a part of a line
            self._stream = (folder / "metrics.jsonl").open("ab")
            if importlib.util.find_spec("tensorboard") is not None:
                tensorboard = importlib.import_module("torch.utils.tensorboard")
                self._board = tensorboard.SummaryWriter(str(folder / "tensorboard"))

    def step(self, place: StepPlace, metrics: dict[str, float], flops: float) -> None:
        """Report a step. All workers call it.

        Args:
            place: Where in the run the step is.
            metrics: Its metrics; tgs (tokens per worker and second), tflops, mfu, memory_gb and epoch are added.
            flops: Operations per trained token.
        """
        self._add_speed(metrics, flops)
        metrics["epoch"] = place.epoch
        level = self._spike(metrics["loss"])
        if self.world.rank:
            return
        if level:
            self.say(f"step {place.step}: loss {metrics['loss']:.4f} is far above its recent level {level:.4f}")
            metrics["spike"] = 1.0
        self._write(place.step, place.total, place.phase, metrics)
        if place.step % self.config.log_every == 0 or place.step == place.steps:
            self.say(_line(place, metrics))
            if self.report is not None:
                self.report(metrics)

    def _add_speed(self, metrics: dict[str, float], flops: float) -> None:
        """Add tokens per worker and second, operations per second, and memory."""
        metrics["tgs"] = metrics["step_tokens"] / max(metrics["seconds"], 1e-9) / self.world.size
        metrics["tflops"] = metrics["tgs"] * flops / 1e12
        if self._peak:
            metrics["mfu"] = metrics["tflops"] * 1e12 / self._peak
        cuda = torch.cuda.is_available()
        metrics["memory_gb"] = (torch.cuda.max_memory_allocated() if cuda else psutil.Process().memory_info().rss) / 1e9

    def _spike(self, loss: float) -> float:
        """The recent level of the loss if this one is six robust deviations above it, otherwise 0."""
        level = 0.0
        if len(self._recent) >= 20 and math.isfinite(loss):
            middle = statistics.median(self._recent)
            spread = statistics.median(abs(x - middle) for x in self._recent)
            if loss > middle + 6 * max(_ROBUST * spread, 0.02 * abs(middle)):
                level = middle
        if math.isfinite(loss):
            self._recent.append(loss)
        return level

    def evaluation(self, step: int, phase: str, found: Mapping[str, float], seconds: float, *, total: int) -> None:
        """Report an evaluation.

        Args:
            step: Number of the step in its phase.
            phase: Name of the phase.
            found: Values by name.
            seconds: Time that the evaluation took.
            total: Number of the step over all phases.
        """
        if self.world.rank:
            return
        self._write(step, total, phase, {**{f"eval/{k}": v for k, v in found.items()}, "eval/seconds": seconds})
        values = ", ".join(f"{k} {v:.4f}" for k, v in found.items())
        self.say(f"step {step}: evaluation {values} ({seconds:.1f} s)")
        if self.report is not None:
            self.report({f"eval/{k}": float(v) for k, v in found.items()})

    def _write(self, step: int, total: int, phase: str, values: Mapping[str, float]) -> None:
        """Write values to `metrics.jsonl`, TensorBoard and Weights & Biases."""
        labels = {"phase": phase} if phase else {}
        if self._stream is not None:
            self._stream.write(orjson.dumps({"step": step, "total_step": total, **labels, **values}) + b"\n")
            self._stream.flush()
        if self._wandb is not None:
            self._wandb.log({**labels, **values, "trainer/step": total})
        if self._board is not None:
            for name, value in values.items():
                self._board.add_scalar(name, value, total)

    def __enter__(self) -> Reporter:
        """Nothing to do: everything is open already."""
        return self

    def __exit__(self, kind: type[BaseException] | None, *_: object) -> None:
        """Flush and close everything that was opened. Weights & Biases learns whether the run failed."""
        if self._stream is not None:
            self._stream.close()
        if self._board is not None:
            self._board.close()
        if self._wandb is not None:
            self._wandb.finish(exit_code=0 if kind is None else 1)


def _line(place: StepPlace, metrics: Mapping[str, float]) -> str:
    """The progress line of a step."""
    where = f"{place.phase + ' ' if place.phase else ''}step {place.step}/{place.steps}"
    parts = [where, f"loss {metrics['loss']:.4f}"]
    if "rewards/accuracies" in metrics:
        parts += [f"margin {metrics['rewards/margins']:.3f}", f"accuracy {metrics['rewards/accuracies']:.2f}"]
    parts += [f"lr {metrics['lr']:.2e}", f"norm {metrics['grad_norm']:.2f}"]
    parts += [f"{metrics['tgs']:,.0f} tokens/s per worker", f"{metrics['tflops']:.2f} TFLOPs"]
    if "mfu" in metrics:
        parts.append(f"MFU {metrics['mfu']:.1%}")
    return "  ".join(parts)


def _wandb(folder: Path, config: TrainConfig) -> _WandbRun:
    """A run of Weights & Biases of the same name, which a resumed run continues."""
    try:
        wandb = importlib.import_module("wandb")
    except ImportError as error:
        raise TrainingError("wandb: the package is not installed: pip install wandb") from error
    name = "".join(c if c.isalnum() or c in "-_" else "-" for c in folder.name)
    run: _WandbRun = wandb.init(
        project=config.wandb, name=folder.name, id=name, resume="allow", dir=str(folder), config=config.describe()
    )
    return run
