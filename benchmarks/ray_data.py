"""The 13 rules on Ray Data instead of our actors, for the comparison in ARCHITECTURE.md.

Uses what Ray Data offers for it: a streaming read, an actor pool for `map_batches`, Parquet out. What our engine
guarantees on top (rejects, resume, quarantine, the same bytes for any number of workers) is not there.
"""

from __future__ import annotations

import argparse
import time
from pathlib import Path
from typing import Any

import pyarrow as pa

from raylib.recipe import Recipe


class Chain:
    """The fused local stages of a recipe as a Ray Data callable class."""

    def __init__(self, recipe: str) -> None:
        self.stages = [s.make() for s in Recipe.from_file(recipe).stages]
        for stage in self.stages:
            stage.setup()

    def __call__(self, table: pa.Table) -> pa.Table:
        table = table.select(["id", "source", "text"]).combine_chunks()
        text = table["text"].cast(pa.large_string()).combine_chunks()
        table = table.set_column(table.column_names.index("text"), "text", text)
        for stage in self.stages:
            table = stage(table).kept.combine_chunks()
        return table


def main(source: str, recipe: str, out: str) -> None:
    import ray

    begun = time.perf_counter()
    ray.init(num_cpus=2, include_dashboard=False, log_to_driver=False, logging_level="ERROR")
    started = time.perf_counter()
    context = ray.data.DataContext.get_current()
    context.enable_progress_bars = False
    data: Any = ray.data.read_json(source, file_extensions=None)
    # two workers on two CPUs, with one CPU left for reading and writing, or these would starve
    data = data.map_batches(
        Chain, fn_constructor_args=(recipe,), batch_format="pyarrow", batch_size=1000, concurrency=2, num_cpus=0.5
    )
    data.write_parquet(out)
    done = time.perf_counter()
    size = sum(p.stat().st_size for p in Path(source).parent.glob(Path(source).name)) / 1e6
    print(f"start {started - begun:.1f} s, run {done - started:.1f} s, {size / (done - started):.1f} MB/s")


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("source", help="JSON lines to read")
    parser.add_argument("recipe", help="recipe whose stages to run")
    parser.add_argument("out", help="folder to write Parquet to")
    main(**vars(parser.parse_args()))
