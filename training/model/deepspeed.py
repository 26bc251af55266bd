"""The DeepSpeed backend: ZeRO stages 0 to 3, and its configuration."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from raylib.errors import TrainingError
from training.config import TrainConfig
from training.model.build import parameter_groups
from training.model.operators import load_operators, release_buffers
from training.model.saving import Writer
from training.model.world import World
from training.objectives import Scorer

__all__ = ["DeepSpeedBackend", "to_universal"]


class DeepSpeedBackend:
    """A DeepSpeed engine of any ZeRO stage."""

    def __init__(self, config: TrainConfig, module: Scorer, world: World, *, universal: bool = False) -> None:
        load_operators()
        import deepspeed

        self.config, self.world, self.module = config, world, module
        self._engine, *_ = deepspeed.initialize(
            model=module,
            model_parameters=parameter_groups(module, config.optimizer.weight_decay, config.parallel.layers_a_group),
            config=deepspeed_config(config, world) | ({"checkpoint": {"load_universal": True}} if universal else {}),
        )
        world.barrier()
        release_buffers()
        self.scorer = self._engine

    def backward(self, loss: Tensor) -> None:
        # gradients are averaged over workers; our loss is already the worker's part of the whole
        self._engine.backward(loss * self.world.size, scale_wrt_gas=False)
        if not self._engine.is_gradient_accumulation_boundary():
            self._engine.step()

    def step(self, rate: float) -> float:
        for group in self._engine.optimizer.param_groups:
            group["lr"] = rate
        # without ZeRO in float32 the engine clips but does not tell the norm
        grads = [p.grad for p in self.module.parameters() if p.grad is not None] if not self.config.parallel.zero_stage else []  # fmt: skip
        own = float(torch.nn.utils.get_total_norm(grads)) if grads else float("nan")
        self._engine.step()
        norm = self._engine.get_global_grad_norm()
        return own if norm is None else float(norm)

    def discard(self) -> None:
        # an engine keeps its own count of micro-batches: only a step ends one, so it is taken with no rate
        for group in self._engine.optimizer.param_groups:
            group["lr"] = 0.0
        self._engine.step()

    def save(self, folder: Path, writer: Writer) -> None:
        from deepspeed.runtime.checkpoint_engine.torch_checkpoint_engine import TorchCheckpointEngine

        class Engine(TorchCheckpointEngine):  # type: ignore[misc]
            """Files by our writer: it copies, so DeepSpeed need not."""

            def save(self, state_dict: Any, path: str) -> None:
                writer.save(state_dict, path)

            def preserves_storage_sharing(self) -> bool:
                return not writer.background

        self._engine.checkpoint_engine = Engine()
        self._engine.save_checkpoint(str(folder), tag="deepspeed", save_latest=False)

    def load(self, folder: Path) -> None:
        found, _ = self._engine.load_checkpoint(str(folder), tag="deepspeed", load_lr_scheduler_states=False)
        if found is None:
            raise TrainingError(f"{folder} holds no state that DeepSpeed can load")

    def set_updates(self, count: int) -> None:
        """Tell the optimizer how many updates it has made: ZeRO-3 forgets that when it loads a universal checkpoint."""
        inside = getattr(self._engine.optimizer, "optimizer", self._engine.optimizer)
        for state in inside.state.values():
            if "exp_avg" in state:
                state["step"] = torch.tensor(float(count))

    def weights(self) -> dict[str, Tensor] | None:
        if self.config.parallel.zero_stage == 3:
            state = self._engine._zero3_consolidated_16bit_state_dict()
        else:
            state = self._engine.module.state_dict()
        if self.world.rank or state is None:
            return None
        return {name.removeprefix("model."): value.detach().cpu() for name, value in state.items()}


def deepspeed_config(config: TrainConfig, world: World) -> dict[str, Any]:
    """The configuration for `deepspeed.initialize`."""
    options, parallel = config.optimizer, config.parallel
    zero: dict[str, Any] = {"stage": parallel.zero_stage, "contiguous_gradients": world.size > 1, "overlap_comm": False}
    if parallel.zero_stage == 3:
        zero |= {"sub_group_size": 5e8, "stage3_gather_16bit_weights_on_model_save": True, "stage3_param_persistence_threshold": 1e5}  # fmt: skip
    if parallel.offload and parallel.zero_stage:
        zero["offload_optimizer"] = {"device": "cpu", "pin_memory": world.device.type == "cuda"}
    return {
        "train_batch_size": config.micro_batch * config.accumulation * world.size,
        "train_micro_batch_size_per_gpu": config.micro_batch,
        "gradient_accumulation_steps": config.accumulation,
        "gradient_clipping": options.clip,
        "zero_optimization": zero,
        "zero_allow_untested_optimizer": True,
        "zero_force_ds_cpu_optimizer": False,
        "optimizer": {
            "type": "AdamW",
            # the optimizer of torch: nothing to compile, and the same arithmetic as without DeepSpeed
            "params": {"lr": options.learning_rate, "betas": list(options.betas), "eps": options.epsilon, "torch_adam": True},
        },
        "bf16": {"enabled": config.model.dtype == "bf16"},
        "fp16": {"enabled": config.model.dtype == "fp16"},
        "data_types": {"grad_accum_dtype": "fp32"},
        "steps_per_print": 1 << 30,
        "wall_clock_breakdown": False,
    }  # fmt: skip


def to_universal(checkpoint: Path, out: Path) -> None:
    """Rewrite a checkpoint so that any number of workers can load it (DeepSpeed's universal format)."""
    import contextlib
    import io
    from types import SimpleNamespace

    from deepspeed.checkpoint.ds_to_universal import main

    options = SimpleNamespace(
        input_folder=str(checkpoint / "deepspeed"), output_folder=str(out / "deepspeed"), num_extract_workers=1,
        num_merge_workers=1, keep_temp_folder=False, strict=True, inject_missing_state=True,
    )  # fmt: skip
    with contextlib.redirect_stdout(io.StringIO()):
        main(options)
