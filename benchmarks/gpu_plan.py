"""The plan of `train_gpu.py --plan lease`: every part in a process of its own, the most wanted first.

A part that fails or hangs costs its own figures and nothing else. Each answer is written as soon as it is there.
"""

from __future__ import annotations

import argparse
import json
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

HERE = Path(__file__).resolve().parent


def parts(o: argparse.Namespace) -> list[tuple[str, list[str], float]]:
    """(name, command, seconds at most) of each part; the shapes of `--shape tiny` fit a CPU."""
    toy = o.shape == "tiny"

    def rows(micro: int, accumulation: int) -> list[str]:
        return ["--micro", "2" if toy else str(micro), "--accumulation", "2" if toy else str(accumulation)]

    size = ["--length", str(o.length), "--device", o.device]
    steps = ["--steps", "2", "--warmup", "1"] if toy else ["--steps", "4", "--warmup", "2"]
    fast = [] if toy else ["--compile"]
    speed = ["train_gpu.py", *size, "--shape", o.shape, *steps]
    trained, pairs = [*speed, *rows(3, 8), *fast], [*speed, *rows(2, 4)]
    middle = [*size, "--shape", "tiny" if toy else "1b"]
    middle_rows = [*middle, *rows(8, 4), *fast]
    varlen = ["--attention", "varlen"]
    found = [
        ("limits", ["gpu_checks.py", "limits", "--device", o.device], 60.0),
        ("equal", ["gpu_checks.py", "equal", *middle, "--micro", "2"], 120.0),
        ("varlen", [*trained, *varlen, "control", "pretrain", "sft"], 200.0),
        ("float32 master", [*trained, *varlen, "--optimizer", "fp32", "pretrain"], 100.0),
        ("dpo", [*pairs, *fast, *varlen, "sft", "dpo", "dpo-online"], 180.0),
        ("middle", ["train_gpu.py", *middle_rows, "--optimizer", "fp32", *varlen, "control", "pretrain"], 100.0),
        (
            "loop",
            [
                "gpu_checks.py",
                "loop",
                *middle_rows,
                "--small",
                "tiny" if toy else "300m",
                "--steps",
                "4" if toy else "8",
            ],
            300.0,
        ),
        *((kind, [*trained, "--attention", kind, "pretrain"], 100.0) for kind in (() if toy else ("flex", "sdpa"))),
        ("eager", [*pairs, *varlen, "control", "pretrain", "trainer"], 120.0),
    ]
    if unknown := set(o.parts) - {name for name, _, _ in found}:
        raise SystemExit(f"the plan has no part {', '.join(sorted(unknown))}; it has {', '.join(p[0] for p in found)}")
    return [p for p in found if not o.parts or p[0] in o.parts]


def run(o: argparse.Namespace) -> None:
    """Do all parts that the time allows, and write `plan.json` and `section.md` into the folder `--out`."""
    folder: Path = o.out or Path("gpu-plan")
    folder.mkdir(parents=True, exist_ok=True)
    begun, found = time.monotonic(), {}
    for name, command, most in parts(o):
        left = o.limit - (time.monotonic() - begun)
        if left < 20:
            found[name] = {"error": "no time was left"}
            continue
        found[name] = one(name, command, min(most, left), folder)
        (folder / "plan.json").write_text(json.dumps(found, indent=1))
        (folder / "section.md").write_text("\n".join(section(found)) + "\n")
    print("\n".join(section(found)))


def one(name: str, command: list[str], most: float, folder: Path) -> dict[str, Any]:
    """Run one part; its figures, or why there are none."""
    answer, log = folder / f"{name.replace(' ', '-')}.json", folder / f"{name.replace(' ', '-')}.log"
    begun = time.monotonic()
    print(f"== {name}: {' '.join(command)}", flush=True)
    with open(log, "w", encoding="utf-8") as file:
        script = [sys.executable, str(HERE / command[0]), *command[1:], "--out", str(answer)]
        with subprocess.Popen(script, stdout=file, stderr=subprocess.STDOUT) as process:
            try:
                process.wait(most)
                told = f"ended with {process.returncode}"
            except subprocess.TimeoutExpired:
                process.kill()
                told = f"stopped after {most:.0f} s"
    taken = time.monotonic() - begun
    if answer.is_file() and told == "ended with 0":
        print(f"   {taken:.0f} s", flush=True)
        return dict(json.loads(answer.read_text())) | {"took": taken}
    lines = log.read_text(errors="replace").splitlines()
    print("\n".join(["   " + told, *lines[-12:]]), flush=True)
    done = [json.loads(line) for line in lines if line.startswith('{"') and line.endswith("}")]
    return {"error": told, "took": taken, "told": done, "last": lines[-5:]}


def section(found: dict[str, Any]) -> list[str]:
    """The figures as lines of markdown."""
    lines = ["| what | tokens/s | model TFLOPs | share of peak | peak memory | step |", "|---|---|---|---|---|---|"]
    for part, answer in found.items():
        rows = list(answer.get("found", {}).values()) or answer.get("told", [])
        for row in rows:
            if "tokens_per_second" not in row or "name" not in row:
                continue
            lines.append(
                f"| {part}: {row['name']} | {row['tokens_per_second']:,.0f} | {row['tflops']:.0f} "
                f"| {100 * row.get('mfu', 0):.1f} % | {row.get('memory_gib', 0):.1f} GiB | {row['seconds']:.2f} s |"
            )
    for name in ("limits", "equal", "loop"):
        if name in found:
            lines += ["", f"{name}: `{json.dumps(found[name])}`"]
    lines += ["", *(f"{n}: {a['error']}" for n, a in found.items() if "error" in a)]
    return lines
