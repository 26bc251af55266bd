"""What the fault campaign disturbs: recipes with every kind of global stage, and tokenising; and what must come out."""

from __future__ import annotations

import os
import subprocess
import sys
import time
from collections import Counter
from dataclasses import dataclass, field
from pathlib import Path

import orjson
import pyarrow.parquet as pq
from measure import ROOT

from tests.raylib.chat.jinja import QWEN3
from tests.raylib.chat.planted import tiny_tokenizer
from tests.raylib.engine.large_input import make_input

__all__ = ["WORKS", "Result", "Work", "prepare"]

_GLOBAL = (
    "- normalise_characters\n- length: {min: 20}\n- line_dedup\n- minhash_dedup\n- exact_dedup\n- substring_dedup\n"
)
_VECTORS = """
- exact_dedup
- embed: {dimensions: 32, sample: 500}
- semantic_dedup: {threshold: 0.9}
- cluster: {clusters: 5}
- select: {fraction: 0.7, method: k_center}
"""
_SCORED = "- text_quality\n- minhash_dedup\n- drop_unfinished_tail\n"
RECIPES = {"global": _GLOBAL, "vectors": _VECTORS, "scored": _SCORED}
WORKS = (*RECIPES, "tokenize")

_NUMBERS = ("records_in", "records_kept", "records_rejected", "characters_kept", "by_reason", "by_source")


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
class Work:
    """Something that is run in a folder.

    Attributes:
        name: Its name.
        folder: Folder of its input, of its recipe and of all outputs.
        reference: What it gives undisturbed.
        seconds: How long that takes.
        lines: Number of lines in the manifest then.
        bytes: Size of its files.
    """

    name: str
    folder: Path
    reference: Result | None = None
    seconds: float = 0.0
    lines: int = 0
    bytes: int = 0

    @property
    def is_run(self) -> bool:
        """Whether it is a run of a recipe."""
        return self.name in RECIPES

    def command(self, out: Path) -> list[str]:
        """The command line that writes into a folder."""
        raylib = [sys.executable, "-m", "raylib"]
        if self.is_run:
            return [*raylib, "run", str(self.folder / f"{self.name}.yaml"), "-q", "--set", f"output.path={out}"]
        tokenizer = str(self.folder / "tokenizer")
        return [*raylib, "tokenize", str(self.folder / "in.jsonl"), "-o", str(out), "--tokenizer", tokenizer]

    def progress(self, out: Path) -> float:
        """About which share of the work is done."""
        if not self.is_run:
            parts = list(out.glob("parts-*/*/*.ids"))
            return min(0.3 * bool(parts) + 0.7 * (out / "tokens.bin").exists(), 0.9)
        manifest = out / "manifest.jsonl"
        return manifest.read_bytes().count(b"\n") / max(self.lines, 1) if manifest.exists() else 0.0

    def phase(self, out: Path) -> str:
        """The phase of the last committed task."""
        if not self.is_run:
            return "tokenize"
        manifest = out / "manifest.jsonl"
        lines = manifest.read_bytes().splitlines() if manifest.exists() else []
        for line in reversed(lines):
            if b'"phase":"' in line:
                return line.split(b'"phase":"')[1].split(b'"')[0].decode()
        return "start"

    def result(self, out: Path) -> Result:
        """What a finished folder holds."""
        if not self.is_run:
            names = ("tokens.bin", "starts.npy", "refused.jsonl")
            info = orjson.loads((out / "tokens.json").read_bytes())
            numbers = {key: info[key] for key in ("tokens", "samples", "dropped", "tokens_by_source")}
            return Result({name: (out / name).read_bytes() for name in names}, numbers)
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

    def make_reference(self) -> None:
        """Run it undisturbed."""
        out = self.folder / f"reference-{self.name}"
        inline = ["--set", "engine.mode=inline"] if self.is_run else []  # the output does not depend on it
        begun = time.perf_counter()
        done = subprocess.run(
            [*self.command(out), *inline],
            cwd=ROOT,
            env=environment(),
            capture_output=True,
            text=True,
            check=False,
            timeout=600,
        )
        if done.returncode:
            raise SystemExit(f"{self.name} does not work undisturbed: {done.stderr[-2000:]}")
        self.seconds = time.perf_counter() - begun
        if self.is_run:
            self.lines = (out / "manifest.jsonl").read_bytes().count(b"\n")
        self.bytes = sum(path.stat().st_size for path in out.rglob("*") if path.is_file())
        self.reference = self.result(out)


def environment() -> dict[str, str]:
    """The environment of every command: no cluster of others."""
    return {key: value for key, value in os.environ.items() if key != "RAY_ADDRESS"}


def prepare(folder: Path, records: int) -> dict[str, Work]:
    """Make the input and everything that the works need.

    Args:
        folder: Where to.
        records: Number of records of the input.
    """
    make_input(folder / "in.jsonl", records)
    size = (folder / "in.jsonl").stat().st_size / (1 << 20)
    for name, stages in RECIPES.items():
        (folder / f"{name}.yaml").write_text(
            f"input: {{path: {folder}/in.jsonl}}\noutput: {{path: {folder}/out}}\n"
            f"engine: {{actors: 2, batch_mb: {size / 12:.3f}, work_while_starting: 0}}\nstages:\n{stages}"
        )
    tiny_tokenizer(QWEN3).save_pretrained(folder / "tokenizer")
    return {name: Work(name, folder) for name in WORKS}
