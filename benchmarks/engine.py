"""The engine: memory on 1 and 5 GB, Ray against inline on 1 GB, Ray Data on the same chain.

RAYLIB_TEST_DATA=... python benchmarks/engine.py [--large 5] [--folder /tmp/bench] [--skip-large]
"""

from __future__ import annotations

import argparse
import gzip
import shutil
import tempfile
from pathlib import Path

from measure import PYTHON, ROOT, Measured, data_file, run_measured, scaled_input, summary_of, write_section

RECIPE = "benchmarks/recipes/datajuicer_13.yaml"


def run_recipe(source: Path, out: Path, *settings: str, recipe: str = RECIPE) -> tuple[Measured, dict[str, object]]:
    command = [
        PYTHON,
        "-m",
        "raylib",
        "run",
        recipe,
        "--fresh",
        "-q",
        "--set",
        f"input.path={source}",
        "--set",
        f"output.path={out}",
    ]
    for setting in settings:
        command += ["--set", setting]
    done = run_measured(command, cwd=ROOT)
    assert done.returncode == 0, done.output[-3000:]
    summary = summary_of(out)
    shutil.rmtree(out)
    return done, summary


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--large", type=float, default=5, help="gigabytes of the large input")
    parser.add_argument("--folder", default="")
    parser.add_argument("--skip-large", action="store_true")
    options = parser.parse_args()
    source = data_file("pretrain_zh.jsonl.gz")
    folder = Path(options.folder or tempfile.mkdtemp())
    folder.mkdir(parents=True, exist_ok=True)
    small = scaled_input(source, folder / "1gb.jsonl", 1)
    dedup = "stages=" + _with_dedup()
    lines = [
        "| input | chain | mode | whole process | engine | MB/s | peak PSS, process tree | peak RSS |",
        "|---|---|---|---|---|---|---|---|",
    ]

    def row(name: str, chain: str, mode: str, done: Measured, summary: dict[str, object]) -> float:
        engine = float(str(summary["seconds"])) - float(str(summary["seconds_start"]))
        lines.append(
            f"| {name} | {chain} | {mode} | {done.seconds:.0f} s | {engine:.0f} s | {summary['mb_per_second']} "
            f"| {done.peak_pss_mb:.0f} MB | {done.peak_rss_mb:.0f} MB |"
        )
        print(lines[-1], flush=True)
        return engine

    inline = row("1 GB", "13 rules", "inline, 1 core", *run_recipe(small, folder / "out", "engine.mode=inline"))
    ray = row("1 GB", "13 rules", "ray, 2 actors", *run_recipe(small, folder / "out"))
    row("1 GB", "13 rules + exact dedup", "ray, 2 actors", *run_recipe(small, folder / "out", dedup))
    if not options.skip_large:
        large = scaled_input(source, folder / "large.jsonl", options.large)
        row(
            f"{options.large:g} GB",
            "13 rules + exact dedup",
            "ray, 2 actors",
            *run_recipe(large, folder / "out", dedup),
        )
        large.unlink()
    lines += [
        "",
        (
            "Ray over the ideal two-core time (half of inline) on 1 GB, after start: "
            f"{100 * (2 * ray / inline - 1):+.0f} %."
        ),
    ]
    lines += ["", *compare_ray_data(source, folder)]
    print("\n".join(lines))
    write_section("Engine", lines)


def _with_dedup() -> str:
    import yaml

    stages = yaml.safe_load((ROOT / RECIPE).read_text("utf-8"))["stages"]
    return str(yaml.safe_dump([*stages, "exact_dedup"], default_flow_style=True, width=10**6)).strip()


def compare_ray_data(source: Path, folder: Path) -> list[str]:
    """The same chain on Ray Data and on our actors; both read the same plain JSON lines."""
    plain = folder / "plain.jsonl"
    with gzip.open(source, "rb") as stream, plain.open("wb") as out:
        shutil.copyfileobj(stream, out)
    ours, summary = run_recipe(plain, folder / "out")
    theirs = run_measured([PYTHON, "benchmarks/ray_data.py", str(plain), RECIPE, str(folder / "rd")], cwd=ROOT)
    shutil.rmtree(folder / "rd", ignore_errors=True)
    said = theirs.output.strip().splitlines()[-1] if theirs.output.strip() else ""
    return [
        "Ray Data on the same chain and file (pretrain_zh, 73.6 MB plain):",
        "",
        "| engine | whole process | after start | peak PSS |",
        "|---|---|---|---|",
        f"| plain actors (ours) | {ours.seconds:.1f} s | {summary['mb_per_second']} MB/s | {ours.peak_pss_mb:.0f} MB |",
        (
            f"| Ray Data, actor pool | {theirs.seconds:.1f} s | {said or f'failed ({theirs.returncode})'} | "
            f"{theirs.peak_pss_mb:.0f} MB |"
        ),
    ]


if __name__ == "__main__":
    main()
