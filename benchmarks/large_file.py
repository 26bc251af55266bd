"""One file of 10 GB against one of 1 GB: does memory depend on the size of a file?

RAYLIB_TEST_DATA=... python benchmarks/large_file.py [--gigabytes 10] [--folder FOLDER]
"""

from __future__ import annotations

import argparse
import tempfile
from pathlib import Path

from engine import _with_dedup, run_recipe
from measure import data_file, scaled_input, write_section


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--gigabytes", type=float, default=10)
    parser.add_argument("--folder", help="where there is room for the file and what is made of it")
    options = parser.parse_args()
    lines = [
        "13 rules and exact deduplication, Ray, 2 actors; one file of JSON lines.",
        "",
        "| file | records | whole process | MB/s after start | peak PSS, process tree |",
        "|---|---|---|---|---|",
    ]
    with tempfile.TemporaryDirectory(dir=options.folder) as name:
        folder = Path(name)
        for size in (options.gigabytes / 10, options.gigabytes):
            source = scaled_input(data_file("pretrain_zh.jsonl.gz"), folder / f"{size:g}gb.jsonl", size)
            done, summary = run_recipe(source, folder / "out", "stages=" + _with_dedup())
            lines.append(
                f"| {size:g} GB | {summary['records_in']:,} | {done.seconds:.0f} s | "
                f"{summary['mb_per_second']} | {done.peak_pss_mb:.0f} MB |"
            )
            print(lines[-1], flush=True)
            source.unlink()
    write_section("One large file", lines)


if __name__ == "__main__":
    main()
