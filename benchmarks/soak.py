"""An hour of runs, one after the other: do memory and open files of driver and cluster stay where they are?

    python benchmarks/soak.py [--minutes 60]

One driver process and one Ray cluster do the same cleaning and deduplicating run again and again. Every run must give
the same bytes. Memory (PSS of all processes) and descriptors are noted after each run; the report gives the mean of the
first and the last fifth, without the first runs, which fill caches.
"""

from __future__ import annotations

import argparse
import hashlib
import statistics
import tempfile
import time
from pathlib import Path

import psutil
from measure import write_section

from raylib.engine import run
from raylib.recipe import Recipe
from tests.raylib.engine.large_input import STAGES, content, make_input


def state() -> tuple[float, int]:
    """PSS in MB and open descriptors of this process and all of its children."""
    me = psutil.Process()
    found = [usage(process) for process in (me, *me.children(recursive=True))]
    return sum(memory for memory, _ in found) / 1e6, sum(files for _, files in found)


def usage(process: psutil.Process) -> tuple[int, int]:
    """PSS in bytes and open descriptors of a process; nothing if it has ended."""
    try:
        return process.memory_full_info().pss, process.num_fds()
    except psutil.Error:
        return 0, 0


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--minutes", type=float, default=60)
    minutes = parser.parse_args().minutes
    import ray

    ray.init(
        num_cpus=2, include_dashboard=False, log_to_driver=False, logging_level="ERROR", object_store_memory=300 << 20
    )
    seen: list[tuple[float, int]] = []
    digests = set()
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        make_input(folder / "in.jsonl", 10_000)
        (folder / "recipe.yaml").write_text(
            f"input: {{path: {folder}/in.jsonl}}\noutput: {{path: {folder}/out}}\nengine: {{batch_mb: "
            f"0.8, actors: 2}}\nstages:{STAGES}"
        )
        recipe = Recipe.from_file(folder / "recipe.yaml")
        begun = time.monotonic()
        while time.monotonic() - begun < 60 * minutes:
            run(recipe, fresh=True)
            digest = hashlib.blake2b()
            for path, data in content(folder / "out").items():
                digest.update(path.encode() + data)
            digests.add(digest.digest())
            seen.append(state())
            print(
                (
                    f"{(time.monotonic() - begun) / 60:6.1f} min  run {len(seen):4d}  {seen[-1][0]:7.0f} MB  "
                    f"{seen[-1][1]:5d} descriptors"
                ),
                flush=True,
            )
    assert len(digests) == 1, "runs differ"
    part = max(1, len(seen) // 5)
    ends = [seen[min(3, len(seen) - 1) :][:part], seen[-part:]]
    (m0, f0), (m1, f1) = ((statistics.mean(m for m, _ in e), statistics.mean(f for _, f in e)) for e in ends)
    lines = [
        (
            f"{len(seen)} runs in {minutes:g} minutes, all with the same bytes. Memory of driver and cluster "
            f"(PSS) {m0:.0f} MB in the first fifth, {m1:.0f} MB in the last; open descriptors {f0:.0f} and "
            f"{f1:.0f}."
        )
    ]
    print(lines[0])
    write_section("Soak", lines)


if __name__ == "__main__":
    main()
