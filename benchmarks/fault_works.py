"""What the fault campaign disturbs: recipes with every kind of global stage, tokenising, training; what comes out."""

from __future__ import annotations

import gzip
import os
import subprocess
import sys
import time
from abc import ABC, abstractmethod
from collections import Counter
from dataclasses import dataclass, field
from pathlib import Path

import orjson
import pyarrow.parquet as pq
from measure import ROOT

from tests.raylib.engine.large_input import make_input

__all__ = ["WORKS", "Recipe", "Result", "Tokens", "Training", "Work", "environment", "prepare"]

_GLOBAL = """
- normalise_characters
- length: {min: 20}
- line_dedup
- minhash_dedup
- exact_dedup
- substring_dedup
"""
_VECTORS = """
- exact_dedup
- embed: {dimensions: 32, sample: 500}
- semantic_dedup: {threshold: 0.9}
- cluster: {clusters: 5}
- select: {fraction: 0.7, method: k_center, maps: false}
"""
_SCORED = """
- text_quality: {min_quality: 0.01}
- perplexity: {model: FOLDER/ngram}
- perplexity_buckets
- difficulty_features
- split_stages: {by: perplexity}
- resample: {by: bucket, target: {head: 0.5, middle: 0.3, tail: 0.2}}
"""
_MODEL = """
- exact_dedup
- perplexity: {model: FOLDER/model, max_tokens: 64, device: cpu}
- minhash_dedup
"""
RECIPES = {"global": _GLOBAL, "vectors": _VECTORS, "scored": _SCORED, "model": _MODEL}
WORKS = (*RECIPES, "tokenize", "train")
_NUMBERS = ("records_in", "records_kept", "records_rejected", "characters_kept", "by_reason", "by_source")
_SHAPE = "{model_type: llama, hidden_size: 32, intermediate_size: 64, num_hidden_layers: 2, num_attention_heads: 4}"


@dataclass(frozen=True)
class Result:
    """What a finished work holds: what has to be the same, whatever happened on the way.

    Attributes:
        files: Content of each file.
        numbers: Numbers of the report.
        ids: How often each record is there.
    """

    files: dict[str, bytes]
    numbers: dict[str, object]
    ids: Counter[str] = field(default_factory=Counter)


@dataclass
class Work(ABC):
    """Something that is run in a folder.

    Attributes:
        name: Its name.
        folder: Folder of its input, of its recipe and of all outputs.
        reference: What it gives undisturbed.
        seconds: How long that takes, without Ray.
        lines: Number of steps that its progress counts.
        bytes: Size of its files.
        memory: Bytes of the largest process.
    """

    name: str
    folder: Path
    reference: Result | None = None
    seconds: float = 0.0
    lines: int = 0
    bytes: int = 0
    memory: int = 0

    @abstractmethod
    def make_input(self) -> None:
        """Make what the command reads."""

    @abstractmethod
    def command(self, out: Path, *options: str) -> list[str]:
        """The command line that writes into a folder; a recipe takes options, too."""

    def inline(self) -> list[str]:
        """Options with which it runs without Ray."""
        return []

    @abstractmethod
    def done(self, out: Path) -> int:
        """Number of steps that are done."""

    def progress(self, out: Path) -> float:
        """About which share of the work is done."""
        return self.done(out) / max(self.lines, 1)

    def missing(self, out: Path) -> int:
        """About how many bytes it still writes."""
        return max(self.bytes - _size(out), 0)

    def phase(self, out: Path) -> str:
        """Where it is."""
        return f"{min(int(self.progress(out) * 4), 3) + 1}/4"

    @abstractmethod
    def result(self, out: Path) -> Result:
        """What a finished folder holds."""

    def make_reference(self) -> None:
        """Run it undisturbed, and without Ray: the output does not depend on it."""
        self.make_input()
        out = self.folder / f"reference-{self.name}"
        begun = time.perf_counter()
        errors = self.folder / "errors.txt"
        with errors.open("wb") as stream:
            process = subprocess.Popen(
                self.command(out, *self.inline()),
                cwd=ROOT,
                env=environment(),
                stdout=subprocess.DEVNULL,
                stderr=stream,
                start_new_session=True,
            )
            _, status, usage = os.wait4(process.pid, 0)
            process.returncode = os.waitstatus_to_exitcode(status)
        if process.returncode:
            raise SystemExit(f"{self.name} does not work undisturbed: {errors.read_text()[-2000:]}")
        self.seconds = time.perf_counter() - begun
        self.memory = usage.ru_maxrss << 10
        self.lines = self.done(out)
        self.bytes = _size(out)
        self.reference = self.result(out)


class Recipe(Work):
    """A run of a recipe."""

    def make_input(self) -> None:
        """Write the recipe, and make its models."""
        if self.name == "scored":
            raylib = [sys.executable, "-m", "raylib", "perplexity", "train", str(self.folder / "in.jsonl")]
            _run([*raylib, "-o", str(self.folder / "ngram"), "--order", "2"])
        if self.name == "model":
            _model(self.folder)
        batches = 36 if self.name == "scored" else 12  # its reader has to live long enough to be killed
        size = (self.folder / "in.jsonl").stat().st_size / (1 << 20)
        (self.folder / f"{self.name}.yaml").write_text(
            f"input: {{path: {self._input()}}}\noutput: {{path: {self.folder}/out}}\n"
            f"engine: {{actors: 2, batch_mb: {size / batches:.4f}, work_while_starting: 0}}\n"
            f"stages:\n{RECIPES[self.name].strip()}\n".replace("FOLDER", str(self.folder))
        )

    def _input(self) -> Path:
        """What it reads: of `scored` a compressed file, which a task of its own reads."""
        plain = self.folder / "in.jsonl"
        if self.name != "scored":
            return plain
        packed = self.folder / "in.jsonl.gz"
        packed.write_bytes(gzip.compress(plain.read_bytes(), mtime=0))
        return packed

    def command(self, out: Path, *options: str) -> list[str]:
        """The command line."""
        recipe = str(self.folder / f"{self.name}.yaml")
        return [sys.executable, "-m", "raylib", "run", recipe, "-q", "--set", f"output.path={out}", *options]

    def inline(self) -> list[str]:
        """Options with which it runs without Ray."""
        return ["--set", "engine.mode=inline"]

    def done(self, out: Path) -> int:
        """Number of lines of the manifest."""
        manifest = out / "manifest.jsonl"
        return manifest.read_bytes().count(b"\n") if manifest.exists() else 0

    def phase(self, out: Path) -> str:
        """The phase of the last committed task."""
        manifest = out / "manifest.jsonl"
        lines = manifest.read_bytes().splitlines() if manifest.exists() else []
        if len(lines) >= self.lines:
            return "end"
        for line in reversed(lines):
            if b'"phase":"' in line:
                return line.split(b'"phase":"')[1].split(b'"')[0].decode()
        return "start"

    def result(self, out: Path) -> Result:
        """What a finished folder holds."""
        files = {
            str(p.relative_to(out)): p.read_bytes() for d in ("kept", "rejected") for p in (out / d).rglob("*.parquet")
        }
        summary = orjson.loads((out / "summary.json").read_bytes())
        numbers = {key: summary[key] for key in _NUMBERS}
        numbers["stages"] = {n: {k: v for k, v in s.items() if k != "seconds"} for n, s in summary["by_stage"].items()}
        ids: Counter[str] = Counter()
        for name in ("kept", "rejected"):
            ids.update(pq.read_table(out / name, columns=["id"])["id"].to_pylist())
        return Result(files, numbers, ids)


class Tokens(Work):
    """A token folder of the same records."""

    def make_input(self) -> None:
        """Make the tokenizer."""
        from tests.raylib.chat.jinja import QWEN3
        from tests.raylib.chat.planted import tiny_tokenizer

        tiny_tokenizer(QWEN3).save_pretrained(self.folder / "tokenizer")

    def command(self, out: Path, *options: str) -> list[str]:
        """The command line."""
        tokenizer = str(self.folder / "tokenizer")
        raylib = [sys.executable, "-m", "raylib", "tokenize", str(self.folder / "in.jsonl")]
        return [*raylib, "-o", str(out), "--tokenizer", tokenizer]

    def done(self, out: Path) -> int:
        """Files that are there: parts first, then those of the set."""
        return sum((out / name).exists() for name in ("tokens.bin", "starts.npy", "tokens.json")) + bool(
            list(out.glob("parts-*"))
        )

    def result(self, out: Path) -> Result:
        """What a finished folder holds."""
        names = ("tokens.bin", "starts.npy", "refused.jsonl")
        info = orjson.loads((out / "tokens.json").read_bytes())
        numbers = {key: info[key] for key in ("tokens", "samples", "dropped", "tokens_by_source")}
        return Result({name: (out / name).read_bytes() for name in names}, numbers)


class Training(Work):
    """A training of a tiny model on two workers, which are joined by gloo."""

    def make_input(self) -> None:
        """Make a model, tokens and the configuration."""
        _model(self.folder)
        texts = self.folder / "texts.jsonl"
        lines = (self.folder / "in.jsonl").read_bytes().splitlines()[:200]
        texts.write_bytes(b"\n".join(lines) + b"\n")
        model, tokens = self.folder / "model", self.folder / "tokens"
        raylib = [sys.executable, "-m", "raylib", "tokenize", str(texts), "-o", str(tokens)]
        _run([*raylib, "--tokenizer", str(model)])
        (self.folder / "train.yaml").write_text(
            f"objective: pretrain\noutput: {self.folder}/out\nname: run\nbatch: 4\nmicro_batch: 2\nsteps: 16\n"
            f"save_every: 4\nevaluate_every: 1000\nmodel: {{shape: {_SHAPE}, tokenizer: {model}, dtype: fp32}}\n"
            f"data: {{train: [{{path: {tokens}}}], sequence_length: 128}}\n"
            "parallel: {workers: 2, gpus: 'no'}\n"
        )

    def command(self, out: Path, *options: str) -> list[str]:
        """The command line."""
        recipe = str(self.folder / "train.yaml")
        return [sys.executable, "-m", "raylib", "train", recipe, "--mode", "local", "--set", f"output={out}"]

    def done(self, out: Path) -> int:
        """Number of logged steps."""
        lines = out / "run" / "metrics.jsonl"
        return lines.read_bytes().count(b"\n") if lines.exists() else 0

    def result(self, out: Path) -> Result:
        """The final weights, and the loss of each step."""
        losses = {}
        for line in (out / "run" / "metrics.jsonl").read_bytes().splitlines():
            found = orjson.loads(line)
            if "loss" in found:
                losses[str(found["step"])] = found["loss"]  # of a step that was done again, the last
        weights = {str(p.relative_to(out)): p.read_bytes() for p in (out / "run").rglob("*.safetensors")}
        if not weights:
            raise RuntimeError(f"no weights in {out}")
        return Result(weights, {"losses": losses})


def _size(folder: Path) -> int:
    return sum(path.stat().st_size for path in folder.rglob("*") if path.is_file())


def _model(folder: Path) -> None:
    """A tiny model and its tokenizer."""
    if (folder / "model").exists():
        return
    code = (
        "from pathlib import Path; from examples.tiny_model import build; from tests.texts import ARTICLE, POEM\n"
        f"build([ARTICLE, POEM] * 6, Path({str(folder / 'model')!r}), vocabulary=600, layers=1, width=32, "
        "length=64, batch=8, steps=5, seconds=60)"
    )
    _run([sys.executable, "-c", code])


def _run(command: list[str]) -> None:
    done = subprocess.run(command, cwd=ROOT, env=environment(), capture_output=True, text=True, check=False)
    if done.returncode:
        raise SystemExit(f"{' '.join(command)[:200]}: {done.stderr[-2000:]}")


def environment() -> dict[str, str]:
    """The environment of every command: no cluster of others."""
    return {key: value for key, value in os.environ.items() if key != "RAY_ADDRESS"}


def prepare(folder: Path, records: int) -> dict[str, Work]:
    """Make the input that all works share.

    Args:
        folder: Where to.
        records: Number of records of the input.

    Returns:
        The works by name.
    """
    make_input(folder / "in.jsonl", records)
    kinds: dict[str, type[Work]] = {"tokenize": Tokens, "train": Training}
    return {name: kinds.get(name, Recipe)(name, folder) for name in WORKS}
