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
    size = ["--length", str(o.length), "--device", o.device]
    speed = ["train_gpu.py", *size, "--shape", o.shape, "--steps", "2" if toy else "4", "--warmup", "1" if toy else "2"]
    fast = [] if toy else ["--compile"]
    rows = ["--micro", "2", "--accumulation", "2"] if toy else ["--micro", "3", "--accumulation", "8"]
    pairs = ["--micro", "2", "--accumulation", "2"] if toy else ["--micro", "2", "--accumulation", "4"]
    middle = "tiny" if toy else "1b"
    middle_rows = ["--micro", "2", "--accumulation", "2"] if toy else ["--micro", "8", "--accumulation", "4"]
    kinds = ["varlen"] if toy else ["varlen", "flex", "sdpa"]
    middle_speed = ["train_gpu.py", *size, "--shape", middle, *middle_rows, *fast, "--optimizer", "fp32"]
    checks = ["gpu_checks.py", "loop", *size, *middle_rows, *fast, "--shape", middle]
    found = [
        ("limits", ["gpu_checks.py", "limits", "--device", o.device], 60.0),
        ("equal", ["gpu_checks.py", "equal", *size, "--shape", middle, "--micro", "2"], 120.0),
        ("varlen", [*speed, *rows, *fast, "--attention", "varlen", "control", "pretrain", "sft"], 200.0),
        ("float32 master", [*speed, *rows, *fast, "--attention", "varlen", "--optimizer", "fp32", "pretrain"], 100.0),
        ("dpo", [*speed, *pairs, *fast, "--attention", "varlen", "sft", "dpo", "dpo-online"], 180.0),
        ("middle", [*middle_speed, "--attention", "varlen", "control", "pretrain"], 100.0),
        ("loop", [*checks, "--small", "tiny" if toy else "300m", "--steps", "4" if toy else "8"], 300.0),
    ]
    for kind in kinds[1:]:
        found.append((kind, [*speed, *rows, *fast, "--attention", kind, "pretrain"], 100.0))
    found.append(("eager", [*speed, *pairs, "--attention", "varlen", "control", "pretrain", "trainer"], 120.0))
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
