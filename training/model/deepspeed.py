"""The DeepSpeed backend: ZeRO stages 0 to 3, and its configuration."""

from __future__ import annotations

import contextlib
import io
from pathlib import Path
from types import SimpleNamespace
from typing import TYPE_CHECKING

import torch
from torch import Tensor

from raylib.errors import TrainingError
from raylib.extras import optional
from training.config import TrainConfig
from training.model.build import parameter_groups
from training.model.operators import load_operators, release_buffers
from training.model.saving import Writer
from training.model.world import World
from training.objectives import Scorer, TokenLosses

if TYPE_CHECKING:
    from deepspeed import DeepSpeedEngine
    from deepspeed.runtime.checkpoint_engine.torch_checkpoint_engine import TorchCheckpointEngine

__all__ = ["DeepSpeedBackend", "deepspeed_config", "to_universal"]

_PURPOSE = "parallel.backend: deepspeed"


class DeepSpeedBackend:
    """A DeepSpeed engine of any ZeRO stage.

    Args:
        config: The run.
        module: The model.
        world: This worker among the others.
        universal: Whether the engine is about to load a checkpoint that `to_universal` made.
    """

    def __init__(self, config: TrainConfig, module: Scorer, world: World, *, universal: bool = False) -> None:
        load_operators()
        deepspeed = optional("deepspeed", purpose=_PURPOSE)
        self.config, self.world, self.module = config, world, module
        options = deepspeed_config(config, world)
        if universal:
            options["checkpoint"] = {"load_universal": True}
        self._engine: DeepSpeedEngine
        self._engine, *_ = deepspeed.initialize(
            model=module,
            model_parameters=parameter_groups(module, config.optimizer.weight_decay, config.parallel.layers_a_group),
            config=options,
        )
        world.barrier()
        release_buffers()
        self.scorer: TokenLosses = self._engine

    def backward(self, loss: Tensor) -> None:
        """Add a micro-batch's gradients."""
        # gradients are averaged over workers, but our loss is already the worker's part of the whole
        self._engine.backward(loss * self.world.size, scale_wrt_gas=False)
        if not self._engine.is_gradient_accumulation_boundary():
            self._engine.step()

    def step(self, rate: float) -> float:
        """Clip, update, clear gradients; returns the norm before clipping."""
        self._set_rate(rate)
        own = float("nan") if self.config.parallel.zero_stage else self._own_norm()
        self._engine.step()
        norm = self._engine.get_global_grad_norm()
        return own if norm is None else float(norm)

    def _own_norm(self) -> float:
        """Norm of the gradients; without ZeRO in float32 the engine clips but does not report it."""
        gradients = [p.grad for p in self.module.parameters() if p.grad is not None]
        return float(torch.nn.utils.get_total_norm(gradients)) if gradients else float("nan")

    def discard(self) -> None:
        """Clear gradients without an update."""
        # the engine counts micro-batches itself, and only a step ends the count, so one is taken with rate 0
        self._set_rate(0.0)
        self._engine.step()

    def _set_rate(self, rate: float) -> None:
        for group in self._engine.optimizer.param_groups:
            group["lr"] = rate

    def save(self, folder: Path, writer: Writer) -> None:
        """Have all states written by our writer."""
        self._engine.checkpoint_engine = _engine_that_writes_by(writer)
        self._engine.save_checkpoint(str(folder), tag="deepspeed", save_latest=False)

    def load(self, folder: Path) -> None:
        """Read what `save` wrote."""
        found, _ = self._engine.load_checkpoint(str(folder), tag="deepspeed", load_lr_scheduler_states=False)
        if found is None:
            raise TrainingError(f"{folder} holds no state that DeepSpeed can load")

    def set_updates(self, count: int) -> None:
        """Set the number of updates that the optimizer counts; ZeRO-3 forgets it with a universal checkpoint."""
        inside = getattr(self._engine.optimizer, "optimizer", self._engine.optimizer)
        for state in inside.state.values():
            if "exp_avg" in state:
                state["step"] = torch.tensor(float(count))

    def weights(self) -> dict[str, Tensor] | None:
        """All weights on worker 0, None on others."""
        engine = self._engine
        if self.config.parallel.zero_stage == 3:
            state = engine._zero3_consolidated_16bit_state_dict()  # noqa: SLF001 - the public form only writes a file
        else:
            state = engine.module.state_dict()
        if self.world.rank or state is None:
            return None
        return {name.removeprefix("model."): value.detach().cpu() for name, value in state.items()}


def _engine_that_writes_by(writer: Writer) -> TorchCheckpointEngine:
    """A checkpoint engine of DeepSpeed whose files our writer writes."""
    module = "deepspeed.runtime.checkpoint_engine.torch_checkpoint_engine"
    base = optional(module, extra="train", purpose=_PURPOSE).TorchCheckpointEngine

    class Engine(base):  # type: ignore[misc, valid-type] # DeepSpeed has no types
        """Files by our writer. It copies states, so DeepSpeed need not."""

        def save(self, state_dict: dict[str, object], path: str) -> None:
            writer.save(state_dict, path)

        def preserves_storage_sharing(self) -> bool:
            return not writer.background

    return Engine()


def deepspeed_config(config: TrainConfig, world: World) -> dict[str, object]:
    """The configuration for `deepspeed.initialize`."""
    options = config.optimizer
    adam: dict[str, object] = {"lr": options.learning_rate, "betas": list(options.betas), "eps": options.epsilon}
    # PyTorch's optimizer: there is nothing to compile, and the arithmetic is the same as without DeepSpeed
    adam["torch_adam"] = True
    return {
        "train_batch_size": config.micro_batch * config.accumulation * world.size,
        "train_micro_batch_size_per_gpu": config.micro_batch,
        "gradient_accumulation_steps": config.accumulation,
        "gradient_clipping": options.clip,
        "zero_optimization": _zero_options(config, world),
        "zero_allow_untested_optimizer": True,
        "zero_force_ds_cpu_optimizer": False,
        "optimizer": {"type": "AdamW", "params": adam},
        "bf16": {"enabled": config.model.dtype == "bf16"},
        "fp16": {"enabled": config.model.dtype == "fp16"},
        "data_types": {"grad_accum_dtype": "fp32"},
        "steps_per_print": 1 << 30,
        "wall_clock_breakdown": False,
    }


def _zero_options(config: TrainConfig, world: World) -> dict[str, object]:
    """The section `zero_optimization`."""
    parallel = config.parallel
    zero: dict[str, object] = {
        "stage": parallel.zero_stage,
        "contiguous_gradients": world.size > 1,
        "overlap_comm": False,
    }
    if parallel.zero_stage == 3:
        zero |= {
            "sub_group_size": 5e8,
            "stage3_gather_16bit_weights_on_model_save": True,
            "stage3_param_persistence_threshold": 1e5,
        }
    if parallel.offload and parallel.zero_stage:
        zero["offload_optimizer"] = {"device": "cpu", "pin_memory": world.device.type == "cuda"}
    return zero


def to_universal(checkpoint: Path, out: Path) -> None:
    """Rewrite a checkpoint in DeepSpeed's universal format, which any number of workers can load."""
    converter = optional("deepspeed.checkpoint.ds_to_universal", purpose=_PURPOSE)
    options = SimpleNamespace(
        input_folder=str(checkpoint / "deepspeed"),
        output_folder=str(out / "deepspeed"),
        num_extract_workers=1,
        num_merge_workers=1,
        keep_temp_folder=False,
        strict=True,
        inject_missing_state=True,
    )
    with contextlib.redirect_stdout(io.StringIO()):
        converter.main(options)
