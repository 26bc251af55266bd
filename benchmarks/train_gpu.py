"""Training speed on one GPU, in one command that needs torch and transformers only (and DeepSpeed, where installed).

    python benchmarks/train_gpu.py                       # LLaMA-7B shape, 2,048 tokens, bf16, on this GPU
    python benchmarks/train_gpu.py --attention varlen --compile --micro 3 --accumulation 8
    python benchmarks/train_gpu.py --plan lease --out FOLDER   # all that one wants to know, in ten minutes, unattended
    python benchmarks/train_gpu.py --shape tiny --steps 3 --device cpu     # does it run at all?

Measured: pretraining rows, packed SFT rows, DPO with a precomputed and with an online reference, all through the
forward pass of `training.objectives.scoring`; beside them a plain PyTorch step of the same model and rows (`control`),
and a step of transformers' Trainer. Of each: non-padding tokens/s, model TFLOPs by 6 N_mm + 12 L H S a token
(recomputation not counted, and with the causal half of attention), share of the GPU's dense bf16 peak, peak memory.
The plan also compares losses and gradients of all kinds of attention with float32, and runs the product's own loop
(`gpu_checks.py`, `gpu_plan.py`); for that the machine needs pydantic, orjson, numba, pyarrow, typer, and DeepSpeed.
Optimizers: `bf16` keeps AdamW's states in bf16 (8 bytes a parameter in all: fits 80 GB); `fp32` keeps a float32 master
and states, as DeepSpeed does when it is installed and `--deepspeed` is given (16 to 18 bytes: needs 141 GB for 7B).
"""

from __future__ import annotations

import argparse
import gc
import importlib
import itertools
import json
import statistics
import sys
import time
import types
from pathlib import Path
from typing import Any

import torch

SHAPES = {
    "7b": {
        "hidden_size": 4096,
        "intermediate_size": 11008,
        "num_hidden_layers": 32,
        "num_attention_heads": 32,
        "vocab_size": 32000,
    },
    "1b": {
        "hidden_size": 2048,
        "intermediate_size": 5632,
        "num_hidden_layers": 22,
        "num_attention_heads": 32,
        "num_key_value_heads": 4,
        "vocab_size": 32000,
    },
    "300m": {
        "hidden_size": 1024,
        "intermediate_size": 2816,
        "num_hidden_layers": 20,
        "num_attention_heads": 16,
        "vocab_size": 32000,
    },
    "tiny": {
        "hidden_size": 64,
        "intermediate_size": 128,
        "num_hidden_layers": 2,
        "num_attention_heads": 4,
        "vocab_size": 512,
    },
}
PEAKS = {"H200 NVL": 836e12, "H200": 989e12, "H100 PCIe": 756e12, "H100 NVL": 835e12, "H100": 989e12, "A100": 312e12}


def scoring() -> Any:
    """The project's forward pass, without what its packages import: this needs nothing but torch and transformers."""
    root = Path(__file__).resolve().parents[1]
    if sys.modules.get("training"):
        return importlib.import_module("training.objectives.scoring")
    for name in ("training", "training.objectives"):
        package = types.ModuleType(name)
        package.__path__ = [str(root / name.replace(".", "/"))]
        sys.modules[name] = package
    return importlib.import_module("training.objectives.scoring")


class Bench:
    """One machine, one shape, one way of stepping."""

    def __init__(self, options: argparse.Namespace) -> None:
        self.options = options
        self.device = torch.device(options.device)
        self.length = options.length
        self.shape = SHAPES[options.shape]
        scoring()

    def model(self, *, train: bool = True, attention: str = "") -> Any:
        from transformers import AutoConfig, AutoModelForCausalLM

        o = self.options
        attention = attention or o.attention
        if attention == "varlen":
            varlen = importlib.import_module("training.objectives.varlen")
            varlen.register_varlen()
            attention = varlen.VARLEN
        attention = {"flash": "flash_attention_2", "flex": "flex_attention"}.get(attention, attention)
        config = AutoConfig.for_model("llama", max_position_embeddings=self.length, **self.shape)
        torch.manual_seed(0)
        with torch.device(self.device):
            model = AutoModelForCausalLM.from_config(config, attn_implementation=attention, dtype=torch.bfloat16)
        model.config.use_cache = False
        if o.checkpointing and train:
            model.gradient_checkpointing_enable(gradient_checkpointing_kwargs={"use_reentrant": False})
        if o.liger:
            from liger_kernel.transformers import _apply_liger_kernel_to_instance

            _apply_liger_kernel_to_instance(model=model, cross_entropy=False, fused_linear_cross_entropy=False)
        if o.compile:
            for layer in model.model.layers:
                layer.compile(dynamic=False)
        return model.train(train)

    def rows(self, kind: str, seed: int) -> tuple[torch.Tensor, ...]:
        """ids, segments, positions, targets of a micro-batch: documents or conversations in packed rows, or pairs."""
        rng = torch.Generator().manual_seed(seed)
        count = self.options.micro * (2 if kind == "dpo" else 1)
        ids = torch.randint(3, int(self.shape["vocab_size"]), (count, self.length), generator=rng)
        segments, positions = torch.zeros_like(ids), torch.zeros_like(ids)
        targets = torch.ones_like(ids, dtype=torch.bool)
        mean = {"pretrain": self.length // 2, "sft": max(8, self.length // 6), "dpo": 2 * self.length}[kind]
        for row in range(count):
            at = number = 0
            while at < self.length:
                size = min(int(torch.randint(mean // 2, mean + mean // 2 + 1, (1,), generator=rng)), self.length - at)
                segments[row, at : at + size] = number
                positions[row, at : at + size] = torch.arange(size)
                targets[row, at] = False
                if kind == "sft":
                    targets[row, at : at + size // 3] = False  # the prompt
                elif kind == "dpo":
                    targets[row, at : at + size // 2] = False
                at, number = at + size, number + 1
        return tuple(t.to(self.device) for t in (ids, segments, positions, targets))

    def flops(self, model: Any) -> tuple[float, float]:
        """Of a trained token: 6 N_mm + 12 L H S, and with half of the attention term."""
        weights = sum(m.weight.numel() for m in model.modules() if isinstance(m, torch.nn.Linear))
        attention = 12.0 * int(self.shape["num_hidden_layers"]) * int(self.shape["hidden_size"]) * self.length
        return 6.0 * weights + attention, 6.0 * weights + attention / 2

    def measure(self, name: str, step: Any, tokens: int, flops: tuple[float, float]) -> dict[str, Any]:
        o, cuda = self.options, self.device.type == "cuda"
        for _ in range(o.warmup):
            step()
        if cuda:
            torch.cuda.synchronize()
            torch.cuda.reset_peak_memory_stats()
        taken = []
        for _ in range(o.steps):
            begun = time.perf_counter()
            step()
            if cuda:
                torch.cuda.synchronize()
            taken.append(time.perf_counter() - begun)
        return self.told(name, taken, tokens, flops)

    def told(self, name: str, taken: list[float], tokens: int, flops: tuple[float, float]) -> dict[str, Any]:
        """Figures of steps of `tokens` tokens."""
        cuda = self.device.type == "cuda"
        seconds = statistics.median(taken)
        rate = tokens / seconds
        found: dict[str, Any] = {
            "name": name,
            "tokens_per_second": rate,
            "tflops": rate * flops[0] / 1e12,
            "tflops_causal": rate * flops[1] / 1e12,
            "seconds": seconds,
            "slowest": max(taken),
        }
        if cuda:
            kind = torch.cuda.get_device_name()
            peak = next((v for k, v in PEAKS.items() if k in kind), None)
            found |= {"memory_gib": torch.cuda.max_memory_allocated() / 2**30, "device": kind}
            if peak:
                found["mfu"] = found["tflops"] * 1e12 / peak
        print(json.dumps(found), flush=True)
        return found

    def stepper(self, module: Any) -> tuple[Any, Any]:
        """(backward, step) of the optimizer asked for."""
        o = self.options
        if o.deepspeed:
            import deepspeed

            groups: dict[int, list[Any]] = {}
            for name, parameter in module.named_parameters():
                numbers = [int(p) for p in name.split(".") if p.isdigit()]
                groups.setdefault(numbers[0] // 4 if numbers else -1, []).append(parameter)
            engine, *_ = deepspeed.initialize(
                model=module,
                model_parameters=[{"params": p} for p in groups.values()],
                config={
                    "train_micro_batch_size_per_gpu": o.micro,
                    "gradient_accumulation_steps": o.accumulation,
                    "gradient_clipping": 1.0,
                    "bf16": {"enabled": True},
                    "data_types": {"grad_accum_dtype": "fp32" if o.shape == "tiny" else "bf16"},
                    "zero_optimization": {
                        "stage": o.deepspeed,
                        "overlap_comm": False,
                        "contiguous_gradients": False,
                        "sub_group_size": 5e8,
                    },
                    "zero_allow_untested_optimizer": True,
                    "steps_per_print": 1 << 30,
                    "optimizer": {"type": "AdamW", "params": {"lr": 1e-5, "torch_adam": True}},
                },
            )

            def backward(loss: torch.Tensor) -> None:
                engine.backward(loss, scale_wrt_gas=False)
                if not engine.is_gradient_accumulation_boundary():
                    engine.step()

            return backward, engine.step
        parameters = [p for p in module.parameters() if p.requires_grad]
        master = [p.detach().float().requires_grad_() for p in parameters] if o.optimizer == "fp32" else parameters
        optimizer = torch.optim.AdamW(master, lr=1e-5, fused=self.device.type == "cuda")

        def step() -> None:
            torch.nn.utils.clip_grad_norm_(parameters, 1.0)
            if master is not parameters:
                for m, p in zip(master, parameters, strict=True):
                    m.grad, p.grad = p.grad.float(), None  # one after the other: the copies do not all exist at once
            optimizer.step()
            if master is not parameters:
                with torch.no_grad():
                    for m, p in zip(master, parameters, strict=True):
                        p.copy_(m)
            optimizer.zero_grad(set_to_none=True)

        return (lambda loss: loss.backward()), step

    def ours(self, kind: str, *, online: bool = False) -> dict[str, Any]:
        """Our forward pass and normalisation; with `online`, a frozen copy is asked as well."""
        o = self.options
        module = scoring().Scorer(self.model(), compiled=o.compile)
        reference = scoring().Scorer(self.model(train=False)).requires_grad_(False) if online else None
        batches = [self.rows(kind, i) for i in range(o.accumulation)]
        flops = self.flops(module.model)
        backward, update = self.stepper(module)
        packed = kind != "dpo"

        def log_probabilities(scorer: Any, batch: tuple[torch.Tensor, ...]) -> torch.Tensor:
            losses = scorer(*batch, packed)
            row = batch[3].nonzero(as_tuple=True)[0]
            return losses.new_zeros(len(batch[0])).index_add(0, row, -losses)

        stored = [torch.zeros(len(b[0]), device=self.device) for b in batches]

        def step() -> None:
            for batch, known in zip(batches, stored, strict=True):
                if kind == "dpo":
                    policy = log_probabilities(module, batch)
                    with torch.no_grad():
                        known = log_probabilities(reference, batch) if reference is not None else known
                    chosen, rejected = (policy - known).chunk(2)
                    loss = -torch.nn.functional.logsigmoid(0.1 * (chosen - rejected)).mean() / o.accumulation
                else:
                    loss = module(*batch, packed).sum() / int(batch[3].sum()) / o.accumulation
                backward(loss)
            update()

        tokens = sum(b[0].numel() for b in batches)
        name = {
            "dpo": "DPO, online reference" if online else "DPO, precomputed reference",
            "sft": "SFT, packed",
            "pretrain": "pretraining",
        }[kind]
        return self.measure(name, step, tokens, flops)

    def control(self) -> dict[str, Any]:
        """The same model on unpacked rows with its own loss: what plain PyTorch code does."""
        o, model = self.options, self.model(attention="sdpa")
        batches = [self.rows("pretrain", i)[0] for i in range(o.accumulation)]
        backward, update = self.stepper(model)

        def step() -> None:
            for ids in batches:
                backward(model(input_ids=ids, labels=ids).loss / o.accumulation)
            update()

        return self.measure(
            "control: plain PyTorch, rows of one document", step, sum(b.numel() for b in batches), self.flops(model)
        )

    def trainer(self) -> dict[str, Any]:
        """Transformers' Trainer on the same rows."""
        import tempfile

        from transformers import Trainer, TrainerCallback, TrainingArguments

        o, model = self.options, self.model(attention="sdpa")
        rows = torch.cat([self.rows("pretrain", i)[0] for i in range(o.accumulation)]).cpu()
        total = o.warmup + o.steps
        data = [{"input_ids": r, "labels": r} for r in rows] * total
        stamps: list[float] = []

        class Clock(TrainerCallback):  # type: ignore[misc]
            def on_step_end(self, *_: Any, **__: Any) -> None:
                if torch.cuda.is_available():
                    torch.cuda.synchronize()
                stamps.append(time.perf_counter())

        with tempfile.TemporaryDirectory() as place:
            settings = TrainingArguments(
                place,
                per_device_train_batch_size=o.micro,
                gradient_accumulation_steps=o.accumulation,
                max_steps=total,
                bf16=self.device.type == "cuda",
                use_cpu=self.device.type == "cpu",
                logging_steps=10_000,
                save_strategy="no",
                report_to=[],
                optim="adamw_torch_fused" if self.device.type == "cuda" else "adamw_torch",
                dataloader_num_workers=0,
            )
            Trainer(model, settings, train_dataset=data, callbacks=[Clock()]).train()
        taken = [b - a for a, b in itertools.pairwise(stamps[o.warmup - 1 :])]
        return self.told("transformers Trainer, rows of one document", taken, rows.numel(), self.flops(model))


def compare(found: dict[str, dict[str, Any]]) -> None:
    """Print what the parts say of each other."""
    if "control" in found and "pretrain" in found:
        print(
            "pretraining over the control step: "
            f"{100 * (found['pretrain']['seconds'] / found['control']['seconds'] - 1):+.1f} % time"
        )
    for part in ("dpo", "dpo-online"):
        if part in found and "sft" in found:
            print(
                f"{found[part]['name']}: "
                f"{found[part]['tokens_per_second'] / found['sft']['tokens_per_second']:.2f} of SFT's "
                "tokens/s"
            )


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("parts", nargs="*", help="parts to measure; without any, all of them")
    parser.add_argument("--shape", choices=SHAPES, default="7b")
    parser.add_argument("--length", type=int, default=2048)
    parser.add_argument("--micro", type=int, default=4, help="rows of a pass; of DPO, pairs")
    parser.add_argument("--accumulation", type=int, default=8)
    parser.add_argument("--attention", choices=["sdpa", "eager", "varlen", "flash", "flex"], default="sdpa")
    parser.add_argument("--optimizer", choices=["bf16", "fp32"], default="bf16")
    parser.add_argument("--deepspeed", type=int, choices=[0, 1, 2, 3], default=0, help="ZeRO stage; 0: torch's AdamW")
    parser.add_argument("--compile", action="store_true")
    parser.add_argument("--liger", action="store_true")
    parser.add_argument("--checkpointing", action="store_true")
    parser.add_argument("--warmup", type=int, default=3)
    parser.add_argument("--steps", type=int, default=10)
    parser.add_argument("--device", default="cuda" if torch.cuda.is_available() else "cpu")
    parser.add_argument("--out", type=Path, help="file of the figures; with --plan, folder")
    parser.add_argument("--plan", choices=["lease"], help="run everything, in processes of their own")
    parser.add_argument("--limit", type=float, default=560, help="seconds that the plan may take")
    options = parser.parse_args()
    if options.plan:
        sys.path.insert(0, str(Path(__file__).resolve().parent))
        importlib.import_module("gpu_plan").run(options)
        return
    if options.warmup < 1 or options.steps < 1:
        parser.error("--warmup and --steps are 1 or more")
    bench = Bench(options)
    calls = {
        "control": bench.control,
        "pretrain": lambda: bench.ours("pretrain"),
        "sft": lambda: bench.ours("sft"),
        "dpo": lambda: bench.ours("dpo"),
        "dpo-online": lambda: bench.ours("dpo", online=True),
        "trainer": bench.trainer,
    }
    found: dict[str, dict[str, Any]] = {}
    for part in options.parts or calls:
        if part not in calls:
            parser.error(f"{part!r}: valid are {', '.join(calls)}")
        try:
            found[part] = calls[part]()
        except torch.cuda.OutOfMemoryError:  # the others may fit
            print(json.dumps({"name": part, "error": "out of memory"}), flush=True)
        gc.collect()
        if torch.cuda.is_available():
            torch.cuda.empty_cache()
    compare(found)
    if options.out:
        options.out.write_text(
            json.dumps({"options": vars(options) | {"out": ""}, "torch": torch.__version__, "found": found}, indent=1)
        )


if __name__ == "__main__":
    main()
