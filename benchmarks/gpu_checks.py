"""Is it right on this GPU, and how fast is the product's own loop? Parts of `train_gpu.py --plan lease`.

    python benchmarks/gpu_checks.py limits --out limits.json          # matrix products and copies, the ceilings
    python benchmarks/gpu_checks.py equal --shape 1b --out equal.json # kinds of attention, against float32
    python benchmarks/gpu_checks.py loop --shape 1b --out loop.json   # the product's loop: evaluation, kill, resume

`limits` and `equal` need torch and transformers only.
"""

from __future__ import annotations

import argparse
import json
import os
import signal
import statistics
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

import numpy as np
import torch

HERE = Path(__file__).resolve().parent
sys.path.insert(0, str(HERE))
from train_gpu import SHAPES, Bench, scoring  # noqa: E402 - a benchmark is a script


def timed(call: Any, repeats: int = 20) -> float:
    """Median seconds of a call, by the device's own clock."""
    for _ in range(3):
        call()
    if not torch.cuda.is_available():
        begun = time.perf_counter()
        call()
        return time.perf_counter() - begun
    taken = []
    for _ in range(repeats):
        begin, end = (torch.cuda.Event(enable_timing=True) for _ in range(2))
        begin.record()
        call()
        end.record()
        end.synchronize()
        taken.append(begin.elapsed_time(end) / 1000)
    return statistics.median(taken)


def limits(o: argparse.Namespace) -> dict[str, Any]:
    """What the machine can do: bf16 matrix products on random data, and copies in its memory."""
    size, count = (8192, 2**30) if o.device == "cuda" else (256, 2**20)
    a, b = (torch.randn(size, size, device=o.device, dtype=torch.bfloat16) for _ in range(2))
    source = torch.randn(count, device=o.device)
    target = torch.empty_like(source)
    product, copy = timed(lambda: a @ b), timed(lambda: target.copy_(source))
    found = {"product_tflops": 2 * size**3 / product / 1e12, "copy_tb_s": 8 * count / copy / 1e12}
    if o.device == "cuda":
        query = "name,driver_version,power.limit,clocks.sm,temperature.gpu"
        asked = ["nvidia-smi", f"--query-gpu={query}", "--format=csv,noheader"]
        found["gpu"] = subprocess.run(asked, capture_output=True, text=True, check=False).stdout.strip()
    return found


def equal(o: argparse.Namespace) -> dict[str, Any]:
    """Losses and gradients of packed rows in bf16, by every kind of attention, against the dense mask in float32."""
    bench = Bench(argparse.Namespace(**vars(o) | {"checkpointing": False, "liger": False, "attention": "sdpa"}))
    ids, segments, positions, targets = bench.rows("sft", 0)

    def passed(attention: str, *, dtype: torch.dtype = torch.bfloat16, compiled: bool = False) -> tuple[Any, Any]:
        bench.options.compile = compiled
        model = bench.model(attention=attention)
        if dtype is not torch.bfloat16:  # a cast to bf16 would round the rotary frequencies, which are float32
            model = model.to(dtype)
        scorer = scoring().Scorer(model, compiled=compiled)
        losses = scorer(ids, segments, positions, targets, True)
        losses.mean().backward()
        return losses.detach().float(), [p.grad.float().cpu() for p in model.parameters()]

    def alone() -> tuple[Any, Any]:
        """Each sequence in a row of its own, without padding or mask."""
        bench.options.compile = False
        scorer = scoring().Scorer(bench.model(attention="sdpa"))
        count, found = int(targets.sum()), []
        for row in range(len(ids)):
            for number in range(int(segments[row].max()) + 1):
                own = segments[row] == number
                cut = [t[row][own][None] for t in (ids, segments * 0, positions, targets)]
                losses = scorer(*cut, False)
                (losses.sum() / count).backward()
                found.append(losses.detach().float()[: int(cut[3].sum())])
        return torch.cat(found), [p.grad.float().cpu() for p in scorer.model.parameters()]

    torch.backends.cuda.matmul.allow_tf32 = False
    right_losses, right = passed("sdpa", dtype=torch.float32)
    whole = sum(float(g.square().sum()) for g in right) ** 0.5
    ways: dict[str, Any] = {"sdpa": lambda: passed("sdpa"), "one sequence a row": alone}
    ways |= {"varlen": lambda: passed("varlen"), "varlen, compiled": lambda: passed("varlen", compiled=True)}
    if o.device == "cuda":
        ways |= {"flex": lambda: passed("flex"), "flex, compiled": lambda: passed("flex", compiled=True)}
    found: dict[str, Any] = {}
    for name, way in ways.items():
        try:
            losses, gradients = way()
        except Exception as error:  # noqa: BLE001 - a kind that fails is a result; the others go on
            found[name] = {"error": f"{type(error).__name__}: {error}"[:400]}
            continue
        off = sum(float((g - r).square().sum()) for g, r in zip(gradients, right, strict=True)) ** 0.5
        found[name] = {
            "loss_error": float((losses - right_losses).norm() / right_losses.norm()),
            "gradient_error": off / whole,
        }
        print(json.dumps({name: found[name]}), flush=True)
    return found


def token_folder(folder: Path, tokens: int, vocabulary: int, seed: int = 0) -> str:
    """A token folder of documents of random tokens, in which every second token follows from the one before it."""
    rng = np.random.default_rng(seed)
    ids = rng.integers(3, vocabulary, tokens).astype(np.uint32)
    ids[1::2] = (ids[::2][: len(ids[1::2])] * 7 + 11) % (vocabulary - 3) + 3
    cuts = np.unique(np.minimum(np.cumsum(rng.integers(200, 2000, tokens // 200)), tokens))
    starts = np.concatenate([[0], cuts]).astype(np.int64)
    folder.mkdir(parents=True)
    ids.tofile(folder / "tokens.bin")
    np.save(folder / "starts.npy", starts)
    info = {"dtype": "uint32", "tokens": tokens, "samples": len(starts) - 1, "kind": "pretrain", "key": folder.name}
    info |= {"vocabulary": vocabulary, "tokenizer": "", "options": {}, "cut": 0, "dropped": {}}
    (folder / "tokens.json").write_text(json.dumps(info))
    return str(folder)


def loop_config(o: argparse.Namespace, folder: Path, name: str, shape: str, backend: str) -> dict[str, Any]:
    """A pretraining run of the product."""
    length = o.length
    return {
        "objective": "pretrain",
        "output": str(folder),
        "name": name,
        "batch": o.micro * o.accumulation,
        "micro_batch": o.micro,
        "steps": o.steps,
        "evaluate_every": max(2, o.steps // 2),
        "save_every": max(2, o.steps // 2),
        "keep": 1,
        "model": {
            "shape": {"model_type": "llama", "max_position_embeddings": length, **SHAPES[shape]},
            "tokenizer": str(folder / "tokenizer"),
            "attention": "varlen",
            "compile": o.compile,
            "dtype": "bf16",
        },
        "data": {
            "train": [{"path": str(folder / "tokens")}],
            "evaluation": [{"path": str(folder / "held")}],
            "sequence_length": length,
        },
        "optimizer": {"learning_rate": 1e-4, "warmup": 2},
        "parallel": {"backend": backend, "zero_stage": 2},
    }


_RUN = """
import json, sys
sys.path.insert(0, sys.argv[2])
from training.config import TrainConfig
from training.loop.launch import run
run(TrainConfig.from_dict(json.load(open(sys.argv[1]))), mode="here", say=lambda line: print(line, flush=True))
"""


def train(config: dict[str, Any], folder: Path, kill_at: str = "") -> list[dict[str, Any]]:
    """Run the product's loop in a process of its own; with `kill_at`, kill it once this path exists, and go on.

    Returns:
        The metrics of its steps.
    """
    file = folder / f"{config['name']}.json"
    file.write_text(json.dumps(config))
    command = [sys.executable, "-c", _RUN, str(file), str(HERE.parent)]
    place = Path(config["output"]) / config["name"]
    with subprocess.Popen(command) as process:
        while process.poll() is None:
            if kill_at and (place / kill_at).exists():
                process.send_signal(signal.SIGKILL)
                process.wait()
                print(f"killed at {kill_at}", flush=True)
                return train(config, folder)
            time.sleep(0.05)
    if process.returncode:
        raise RuntimeError(f"the run {config['name']} ended with {process.returncode}")
    lines = [json.loads(line) for line in (place / "metrics.jsonl").read_text().splitlines()]
    return list({line["step"]: line for line in lines if "loss" in line}.values())


def loop(o: argparse.Namespace) -> dict[str, Any]:
    """The product's loop with both backends; then a run that is killed, beside one that is not."""
    sys.path.insert(0, str(HERE.parent))
    from examples.tiny_model import train_tokenizer

    found: dict[str, Any] = {}
    with tempfile.TemporaryDirectory() as place:
        folder = Path(place)
        train_tokenizer(["一段文字，用来训练分词器。", "Some text for a tokenizer."] * 50, 300).save_pretrained(
            folder / "tokenizer"
        )
        vocabulary = int(SHAPES[o.shape]["vocab_size"])
        rows = o.micro * o.accumulation * (o.steps + 2)
        token_folder(folder / "tokens", rows * o.length, vocabulary)
        token_folder(folder / "held", 8 * o.length, vocabulary, seed=1)
        for backend in o.backends.split(","):
            try:
                steps = train(loop_config(o, folder, backend, o.shape, backend), folder)
            except RuntimeError as error:  # the others go on
                found[backend] = {"error": str(error)}
                continue
            later = [s for s in steps if s["step"] > 3] or steps
            seconds = statistics.median(s["seconds"] for s in later)
            found[backend] = {
                "seconds": seconds,
                "tokens_per_second": later[0]["step_tokens"] / seconds,
                "losses": [s["loss"] for s in steps],
                **{k: statistics.median(s[k] for s in later) for k in later[0] if k.startswith("seconds_")},
                **{k: later[-1][k] for k in ("tflops", "mfu", "memory_gib") if k in later[-1]},
            }
            print(json.dumps({backend: found[backend]}), flush=True)
        at = f"checkpoints/step-{max(2, o.steps // 2)}"
        small = [loop_config(o, folder, n, o.small, "deepspeed") for n in ("undisturbed", "killed")]
        undisturbed = [s["loss"] for s in train(small[0], folder)]
        killed = [s["loss"] for s in train(small[1], folder, kill_at=at)]
        worst = max(abs(a - b) for a, b in zip(undisturbed, killed, strict=True))
        found["resume"] = {"steps": len(killed), "undisturbed": undisturbed, "killed": killed, "largest": worst}
        print(json.dumps({"resume": found["resume"]}), flush=True)
        found["exported"] = sorted(p.name for p in (folder / "killed" / "checkpoints" / "final").iterdir())
    return found


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("part", choices=["limits", "equal", "loop"])
    parser.add_argument("--shape", choices=SHAPES, default="1b")
    parser.add_argument("--small", choices=SHAPES, default="300m", help="shape of the runs that are killed and not")
    parser.add_argument("--length", type=int, default=2048)
    parser.add_argument("--micro", type=int, default=2)
    parser.add_argument("--accumulation", type=int, default=4)
    parser.add_argument("--steps", type=int, default=10)
    parser.add_argument("--compile", action="store_true")
    parser.add_argument("--backends", default="deepspeed,plain")
    parser.add_argument("--device", default="cuda" if torch.cuda.is_available() else "cpu")
    parser.add_argument("--out", type=Path)
    options = parser.parse_args()
    if options.device == "cpu":
        os.environ.setdefault("DS_ACCELERATOR", "cpu")
    found = {"limits": limits, "equal": equal, "loop": loop}[options.part](options)
    print(json.dumps(found))
    if options.out:
        options.out.write_text(json.dumps(found, indent=1))


if __name__ == "__main__":
    main()
