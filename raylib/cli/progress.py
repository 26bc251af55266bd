"""Progress bars of a run in a terminal, and its summary as a table."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

from raylib.engine import Progress
from raylib.storage.entry import RoundEntry, ShardEntry

if TYPE_CHECKING:
    from raylib.recipe import Recipe

__all__ = ["run_shown"]


class _Bars(Progress):
    """Progress bars with documents/s, MB/s, kept share and time left; plain lines where there is no terminal."""

    def __init__(self) -> None:
        from rich.console import Console
        from rich.progress import BarColumn, TextColumn, TimeElapsedColumn, TimeRemainingColumn
        from rich.progress import Progress as RichProgress

        self.console = Console(stderr=True)
        self._bars = RichProgress(
            TextColumn("{task.description:<42}"),
            BarColumn(bar_width=24),
            TextColumn("{task.percentage:>3.0f} %"),
            TextColumn("{task.fields[speed]}"),
            TimeElapsedColumn(),
            TextColumn("left"),
            TimeRemainingColumn(),
            console=self.console,
            disable=not self.console.is_terminal,
        )
        self._bars.start()
        self._task: Any = None
        self._speed = ""

    def phase(self, name: str, total_bytes: int, total_shards: int | None) -> None:
        import time

        self._finish()
        self._records = self._kept = self._bytes = self._resumed = 0
        self._by_bytes = total_bytes > 0 and total_shards is None
        self._total = total_bytes if self._by_bytes else (total_shards or 1)
        self._begun, self._name = time.perf_counter(), name
        self._task = self._bars.add_task(name, total=self._total, speed="")
        if not self.console.is_terminal:
            self.console.print(f"{name} ...", highlight=False)

    def advance(self, entry: ShardEntry | RoundEntry, done_bytes: int, *, resumed: bool) -> None:
        import time

        if resumed:
            self._resumed += 1
        elif isinstance(entry, ShardEntry):
            self._records += entry.records_in
            self._kept += entry.records_out
            self._bytes += entry.bytes_in
        seconds = max(time.perf_counter() - self._begun, 1e-6)
        speed = f"{self._records / seconds:,.0f} docs/s"
        if self._bytes:
            speed += f"  {self._bytes / 1e6 / seconds:,.1f} MB/s"
        if self._records:
            speed += f"  {100 * self._kept / self._records:.1f} % kept"
        if self._resumed:
            speed += f"  {self._resumed} shards done before"
        self._speed = speed
        if self._by_bytes:
            self._bars.update(self._task, completed=min(done_bytes, self._total), speed=speed)
        else:
            self._bars.update(self._task, advance=1, speed=speed)

    def message(self, text: str) -> None:
        self.console.print(text, highlight=False, style="dim")

    def _finish(self) -> None:
        if self._task is not None:
            self._bars.update(self._task, completed=self._total)
            if not self.console.is_terminal and self._speed:
                self.console.print(f"  {self._speed}", highlight=False)
            self._task = None

    def close(self) -> None:
        self._finish()
        self._bars.stop()


def run_shown(recipe: Recipe, *, fresh: bool, limit: int | None, quiet: bool, update: bool = False) -> None:
    """Run with a progress display, then print the summary."""
    from raylib.engine import run as run_recipe

    bars = None if quiet else _Bars()
    try:
        result = run_recipe(recipe, fresh=fresh, update=update, limit=limit, progress=bars)
    finally:
        if bars is not None:
            bars.close()
    _print_summary(result.path, result.summary)


def _print_summary(path: str, summary: Mapping[str, Any]) -> None:
    from rich.console import Console
    from rich.table import Table

    console = Console()
    table = Table(box=None, pad_edge=False)
    table.add_column("stage")
    for name in ("in", "rejected", "changed", "seconds"):
        table.add_column(name, justify="right")
    for name, counts in summary["by_stage"].items():
        table.add_row(
            name, f"{counts['in']:,}", f"{counts['rejected']:,}", f"{counts['changed']:,}", f"{counts['seconds']:.2f}"
        )
    console.print(table)
    share = 100 * summary["records_kept"] / max(summary["records_in"], 1)
    console.print(
        f"{summary['records_in']:,} records in = {summary['records_kept']:,} kept ({share:.1f} %) + "
        f"{summary['records_rejected']:,} rejected, {summary['seconds']:.1f} s, {summary['mb_per_second']:.1f} MB/s",
        highlight=False,
    )
    if summary["skipped_file_count"]:
        console.print(f"{summary['skipped_file_count']} files with unknown extensions were passed over")
    console.print(f"report: {path}/report.html", highlight=False, soft_wrap=True)
