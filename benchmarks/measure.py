"""Shared by the benchmarks: where the data is, inputs of any size, memory of a process tree, the results file."""

from __future__ import annotations

import gzip
import json
import os
import platform
import subprocess
import sys
import threading
import time
from dataclasses import dataclass
from pathlib import Path

import psutil

ROOT = Path(__file__).resolve().parent.parent
RESULTS = ROOT / "benchmarks" / "RESULTS.md"
sys.path.insert(0, str(ROOT))  # before this folder, where dedup.py and cleaning.py would hide the packages


def data_file(name: str) -> Path:
    """A file of the data folder that RAYLIB_TEST_DATA names."""
    path = Path(os.environ.get("RAYLIB_TEST_DATA", "")) / name
    if not path.is_file():
        raise SystemExit(f"set RAYLIB_TEST_DATA to a folder that holds {name}")
    return path


def scaled_input(source: Path, target: Path, gigabytes: float) -> Path:
    """JSON lines of about `gigabytes`: the source again and again, each time with small changes."""
    if target.is_file() and target.stat().st_size >= gigabytes * 1e9:
        return target
    with gzip.open(source, "rt", encoding="utf-8") as stream:
        rows = [json.loads(line) for line in stream]
    written, copy = 0, 0
    with target.open("wb") as out:
        while written < gigabytes * 1e9:
            for row in rows:
                changed = {"id": f"{row['id']}-{copy}", "source": row["source"], "text": f"{row['text']}（第{copy}份）"}
                line = json.dumps(changed, ensure_ascii=False).encode() + b"\n"
                out.write(line)
                written += len(line)
                if written >= gigabytes * 1e9:
                    break
            copy += 1
    return target


@dataclass
class Measured:
    """One run of a command: seconds on the wall, peak memory of its whole process tree, what it printed."""

    seconds: float
    peak_rss_mb: float
    peak_pss_mb: float
    output: str
    returncode: int
    at_peak: dict[str, float]  # PSS in MB by program, at the moment of the peak


def run_measured(command: list[str], *, interval: float = 0.25, cwd: Path | None = None) -> Measured:
    """Run a command and watch its process tree. PSS counts shared pages once; RSS counts them for each process."""
    begun = time.perf_counter()
    process = subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, cwd=cwd)
    peak: dict[str, float] = {"rss": 0.0, "pss": 0.0}
    at_peak: dict[str, float] = {}
    stop = threading.Event()

    def watch() -> None:
        parent = psutil.Process(process.pid)
        while not stop.is_set():
            rss = pss = 0
            programs: dict[str, float] = {}
            try:
                family = [parent, *parent.children(recursive=True)]
            except psutil.Error:
                return
            for member in family:
                try:
                    info = member.memory_full_info()
                except (psutil.Error, OSError):
                    continue
                rss += info.rss
                pss += info.pss
                try:
                    name = member.name().split("(")[0]
                except psutil.Error:
                    continue
                programs[name] = programs.get(name, 0.0) + info.pss / 1e6
            if pss / 1e6 > peak["pss"]:
                at_peak.clear()
                at_peak.update(programs)
            peak["rss"], peak["pss"] = max(peak["rss"], rss / 1e6), max(peak["pss"], pss / 1e6)
            stop.wait(interval)

    watcher = threading.Thread(target=watch, daemon=True)
    watcher.start()
    output, _ = process.communicate()
    seconds = time.perf_counter() - begun
    stop.set()
    watcher.join()
    return Measured(seconds, peak["rss"], peak["pss"], output, process.returncode, at_peak)


def machine() -> str:
    memory = psutil.virtual_memory().total / 2**30
    return (
        f"{os.cpu_count()} cores, {memory:.0f} GiB, {platform.system()} {platform.machine()}, Python "
        f"{platform.python_version()}"
    )


def write_section(title: str, lines: list[str]) -> None:
    """Replace one section of RESULTS.md (or append it)."""
    old = RESULTS.read_text("utf-8") if RESULTS.is_file() else "# Results\n"
    head, *sections = old.split("\n## ")
    kept = [s for s in sections if not s.startswith(title + "\n")]
    body = f"{title}\n\n{time.strftime('%Y-%m-%d')}, {machine()}.\n\n" + "\n".join(lines).rstrip()
    RESULTS.write_text("\n\n## ".join(part.strip("\n") for part in [head, *kept, body]) + "\n", "utf-8")


def summary_of(out: Path) -> dict[str, object]:
    loaded: dict[str, object] = json.loads((out / "summary.json").read_text("utf-8"))
    return loaded


PYTHON = sys.executable
