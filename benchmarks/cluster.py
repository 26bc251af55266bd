"""Two hosts against one, each pinned to a core of its own: a cleaning recipe over a real network of namespaces.

    sudo RAYLIB_TEST_DATA=... python benchmarks/cluster.py

The driver and the reader run on the head, which shares the same cores: what they take is part of the result.
"""

from __future__ import annotations

import argparse
import statistics
import sys
import tempfile
from pathlib import Path

import orjson
from measure import ROOT, data_file, scaled_input, write_section

sys.path.insert(0, str(ROOT))

from tests.raylib.cluster.hosts import Hosts

_ROUNDS = 3
_GIGABYTES = 0.3
_RECIPE = """
name: cleaning
input: {path: IN, kind: document}
output: {path: OUT}
stages: [to_simplified, {clean: {source: web, length: {min: 128}, chinese_ratio: {min: 0.5}}}]
"""


def speed_of(hosts: Hosts, recipe: Path, out: Path) -> tuple[float, float]:
    """MB/s of a run after its actors were there, and its cleaned MB."""
    hosts.head.run(
        "python", "-m", "raylib", "run", str(recipe), "--fresh", "-q", "--address", hosts.address, timeout=600
    )
    summary = orjson.loads((out / "summary.json").read_bytes())
    return summary["mb_per_second"], summary["bytes_in"] / 1e6


def main() -> None:
    argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter).parse_args()
    speeds: dict[int, list[float]] = {1: [], 2: []}
    with tempfile.TemporaryDirectory() as name:
        source = scaled_input(data_file("pretrain_zh.jsonl.gz"), Path(name) / "in.jsonl", _GIGABYTES)
        recipe = Path(name) / "recipe.yaml"
        recipe.write_text(_RECIPE.replace("IN", str(source)).replace("OUT", f"{name}/out"))
        for turn in range(_ROUNDS):
            for workers in (1, 2):  # in turn, as a machine's speed drifts
                with Hosts(Path(name) / f"{turn}-{workers}", workers, pinned=True) as hosts:
                    speed, size = speed_of(hosts, recipe, Path(name) / "out")
                    speeds[workers].append(speed)
                    print(workers, f"{speed:.1f} MB/s", flush=True)
    one, two = (statistics.median(speeds[n]) for n in (1, 2))
    lines = [
        (
            f"Cleaning chain `web` on {size:.0f} MB, median of {_ROUNDS} rounds in turn: one host {one:.1f} "
            f"MB/s, two hosts {two:.1f} MB/s = **{two / one:.2f} times**. Each host is pinned to one core; "
            "the head with driver and reader shares these cores."
        )
    ]
    print("\n".join(lines))
    write_section("Two hosts against one", lines)


if __name__ == "__main__":
    main()
