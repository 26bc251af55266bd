"""The pretraining recipe on 1 GB in a cgroup of 2 GB: does the kernel end a process, and does the result stay the same?

RAYLIB_TEST_DATA=... python benchmarks/little_memory.py [--gigabytes 1] [--limit-gb 2] [--folder FOLDER]

Needs a folder of cgroups that can be written, so root on most machines.
"""

from __future__ import annotations

import argparse
import tempfile
from pathlib import Path

from fault_places import MemoryLimit
from measure import PYTHON, ROOT, Measured, data_file, run_measured, scaled_input, summary_of, write_section


def run_recipe(source: Path, out: Path, before: list[str]) -> Measured:
    """The whole recipe on two actors, as a command behind `before`."""
    settings = {"input.path": source, "output.path": out, "engine.actors": 2}
    sets = [part for name, value in settings.items() for part in ("--set", f"{name}={value}")]
    recipe = ROOT / "recipes" / "pretrain_zh.yaml"
    return run_measured([*before, PYTHON, "-m", "raylib", "run", str(recipe), "-q", *sets], interval=1, cwd=ROOT)


def kept_bytes(out: Path) -> dict[str, bytes]:
    """The files of kept records."""
    return {str(path.relative_to(out)): path.read_bytes() for path in sorted(out.glob("kept/**/*")) if path.is_file()}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--gigabytes", type=float, default=1)
    parser.add_argument("--limit-gb", type=float, default=2)
    parser.add_argument("--folder", help="where there is room for the file and what is made of it")
    options = parser.parse_args()
    limit = MemoryLimit(int(options.limit_gb * 2**30))
    lines = [
        f"recipes/pretrain_zh.yaml, {options.gigabytes:g} GB of JSON lines in one file, Ray, 2 actors. Nearly all",
        "documents are near copies.",
        "",
        "| memory | processes that the kernel ended | records | kept | whole process | peak PSS, process tree |",
        "|---|---|---|---|---|---|",
    ]
    kept = []
    with tempfile.TemporaryDirectory(dir=options.folder) as name:
        source = scaled_input(data_file("pretrain_zh.jsonl.gz"), Path(name) / "input.jsonl", options.gigabytes)
        enter = ["sh", "-c", 'echo $$ > "$0" && exec "$@"', str(limit.folder / "cgroup.procs")]
        for memory, before in ((f"{options.limit_gb:g} GB", enter), ("of the machine", [])):
            out = Path(name) / f"out{len(kept)}"
            done = run_recipe(source, out, before)
            if done.returncode:
                raise SystemExit(done.output)
            summary = summary_of(out)
            kept.append(kept_bytes(out))
            lines.append(
                f"| {memory} | {limit.killed if before else 0} | {summary['records_in']:,} | "
                f"{summary['records_kept']:,} | {done.seconds:.0f} s | {done.peak_pss_mb:.0f} MB |"
            )
            print(lines[-1], flush=True)
    limit.remove()
    same = "the same bytes" if kept[0] == kept[1] else "DIFFERENT bytes"
    lines += ["", f"Both runs kept {same}. PSS counts the pages of files that are mapped, which the kernel takes back."]
    write_section("Little memory", lines)


if __name__ == "__main__":
    main()
