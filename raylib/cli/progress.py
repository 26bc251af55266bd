"""Progress bars of a run in a terminal, and its summary as a table."""

from __future__ import annotations

import threading
import time
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

from raylib.engine import Progress
from raylib.errors import SourceError
from raylib.reading.found import passed_lines
from raylib.report.unread import why_nothing_was_read
from raylib.storage.entry import RoundEntry, ShardEntry

if TYPE_CHECKING:
    from rich.console import Console
    from rich.progress import Progress as RichProgress
    from rich.progress import TaskID

    from raylib.recipe import Recipe

__all__ = ["Bars", "run_shown"]

_OF_ANOTHER_KIND = ("unknown_layout", "preference", "feedback")  # reasons of rejects


_NARROW = 110  # columns, below which the bar and the speed are short
_EVERY = 30.0  # seconds between lines where there is no terminal


class _Phase:
    """Counts of the phase that is running."""

    def __init__(self, name: str, total_bytes: int, total_shards: int | None) -> None:
        self.name, self.begun = name, time.perf_counter()
        self.by_bytes = total_bytes > 0 and total_shards is None
        self.total = total_bytes if self.by_bytes else (total_shards or 1)
        self.done = self.records = self.kept = self.bytes = self.resumed = 0
        self._done_before = 0  # part of `done`

    def add(self, entry: ShardEntry | RoundEntry, done_bytes: int, *, resumed: bool) -> None:
        """Count a finished shard."""
        before = self.done
        self.done = min(done_bytes, self.total) if self.by_bytes else self.done + 1
        if resumed:
            self.resumed += 1
            self._done_before += self.done - before
        elif isinstance(entry, ShardEntry):
            self.records += entry.records_in
            self.kept += entry.records_out
            self.bytes += entry.bytes_in

    @property
    def share(self) -> float:
        """Share of the phase that is done, 0 to 1."""
        return min(self.done / max(self.total, 1), 1.0)

    @property
    def seconds(self) -> float:
        """Seconds since the phase began."""
        return max(time.perf_counter() - self.begun, 1e-6)

    @property
    def left(self) -> str:
        """The time that is left at the pace of this run; empty while there is none to go by."""
        here = self.done - self._done_before
        if here <= 0 or self.done >= self.total:
            return ""
        return _clock(self.seconds * (self.total - self.done) / here)

    def speed(self, *, short: bool) -> str:
        """Documents and megabytes a second, the kept share, and the shards that an earlier run did."""
        parts = []
        if self.records:
            parts.append(f"{self.records / self.seconds:,.0f}{'/s' if short else ' docs/s'}")
        if self.bytes:
            parts.append(f"{self.bytes / 1e6 / self.seconds:,.1f} MB/s")
        if self.records:
            parts.append(f"{100 * self.kept / self.records:.0f} % kept")
        if self.resumed:
            parts.append(f"{self.resumed} done before")
        return "  ".join(parts)

    def line(self) -> str:
        """The phase in one line, for logs: share, speed and the time that is left."""
        parts = [f"{100 * self.share:.0f} %", self.speed(short=False), self.left and f"{self.left} left"]
        return "  " + ", ".join(part for part in parts if part)


def _clock(seconds: float) -> str:
    minutes, rest = divmod(round(seconds), 60)
    hours, minutes = divmod(minutes, 60)
    return f"{hours}:{minutes:02}:{rest:02}"


class Bars(Progress):
    """Progress of a run: in a terminal a bar of the running phase, below a line for each that has ended.

    Where there is no terminal, a line when a phase begins and ends, and one every half a minute in between.

    Args:
        console: Where to print; by default standard error.
        every: Seconds between lines where there is no terminal.
    """

    def __init__(self, console: Console | None = None, every: float = _EVERY) -> None:
        from rich.console import Console

        self.console = console or Console(stderr=True)
        self._every = every
        self._phase: _Phase | None = None
        self._task: TaskID | None = None
        self._narrow = self.console.width < _NARROW
        self._bars = _live_bar(self.console, narrow=self._narrow)
        self._bars.start()
        self._ended = threading.Event()
        if not self.console.is_terminal:
            threading.Thread(target=self._report, daemon=True).start()

    def phase(self, name: str, total_bytes: int, total_shards: int | None) -> None:
        """Show a new phase; the one before becomes a line."""
        self._finish()
        self._phase = _Phase(name, total_bytes, total_shards)
        self._task = self._bars.add_task(name, total=self._phase.total, speed="", left="")
        if not self.console.is_terminal:
            self.console.print(f"{name} ...", highlight=False, soft_wrap=True)

    def advance(self, entry: ShardEntry | RoundEntry, done_bytes: int, *, resumed: bool) -> None:
        """Count a shard."""
        if self._phase is not None and self._task is not None:
            self._phase.add(entry, done_bytes, resumed=resumed)
            speed = self._phase.speed(short=self._narrow)
            self._bars.update(self._task, completed=self._phase.done, speed=speed, left=self._phase.left)

    def message(self, text: str) -> None:
        """Print a message above the bar."""
        self.console.print(text, highlight=False, style="dim", soft_wrap=True)

    def close(self) -> None:
        """End the display."""
        self._ended.set()
        self._finish()
        self._bars.stop()

    def _finish(self) -> None:
        phase, task, self._phase, self._task = self._phase, self._task, None, None
        if phase is None or task is None:
            return
        self._bars.remove_task(task)
        speed = phase.speed(short=self._narrow)
        if not self.console.is_terminal:
            self.console.print(f"  done in {_clock(phase.seconds)}  {speed}".rstrip(), highlight=False, soft_wrap=True)
            return
        room = self.console.width - len(speed) - 12
        name = phase.name if len(phase.name) <= room else phase.name[: room - 3] + "..."
        self.console.print(f"{name:<{room}} {_clock(phase.seconds):>9}  {speed}", highlight=False, no_wrap=True)

    def _report(self) -> None:
        """Print a line every so often."""
        while not self._ended.wait(self._every):
            phase = self._phase
            if phase is not None:
                self.console.print(phase.line(), highlight=False, soft_wrap=True)


def _live_bar(console: Console, *, narrow: bool) -> RichProgress:
    """The bar of the running phase. Its name gives way, so that share, speed and time stay on a narrow screen."""
    from rich.progress import BarColumn, TaskProgressColumn, TextColumn
    from rich.progress import Progress as RichProgress
    from rich.table import Column

    return RichProgress(
        TextColumn("{task.description}", table_column=Column(ratio=1, no_wrap=True, overflow="ellipsis")),
        BarColumn(bar_width=10 if narrow else 24),
        TaskProgressColumn(table_column=Column(min_width=4, no_wrap=True)),
        TextColumn("{task.fields[speed]}", table_column=Column(no_wrap=True)),
        TextColumn("{task.fields[left]}", table_column=Column(min_width=7, no_wrap=True, justify="right")),
        console=console,
        expand=True,
        transient=True,
        disable=not console.is_terminal,
    )


def run_shown(recipe: Recipe, *, fresh: bool, limit: int | None, quiet: bool, update: bool = False) -> None:
    """Run with a progress display, then print the summary."""
    from raylib.engine import run as run_recipe

    bars = None if quiet else Bars()
    try:
        result = run_recipe(recipe, fresh=fresh, update=update, limit=limit, progress=bars)
    finally:
        if bars is not None:
            bars.close()
    _print_summary(result.path, result.summary)
    unread = why_nothing_was_read(result.path, result.summary)
    if unread:
        raise SourceError(f"input.path {recipe.input.path!r}: {unread}; `raylib inspect` shows what the files hold")


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
    rate = f", {summary['mb_per_second']:.1f} MB/s" if summary["mb_per_second"] else ""  # nothing read: no rate
    share = 100 * summary["records_kept"] / max(summary["records_in"], 1)
    console.print(
        f"{summary['records_in']:,} records in = {summary['records_kept']:,} kept ({share:.1f} %) + "
        f"{summary['records_rejected']:,} rejected, {summary['seconds']:.1f} s{rate}",
        highlight=False,
    )
    for line in passed_lines({why: (part["count"], part["first"]) for why, part in summary["skipped"].items()}):
        console.print(line, highlight=False, markup=False, soft_wrap=True)
    for line in warnings_of(summary):
        Console(stderr=True).print(f"warning: {line}", style="red", highlight=False, soft_wrap=True)
    console.print(f"report: {path}/report.html", highlight=False, soft_wrap=True)


def warnings_of(summary: Mapping[str, Any]) -> list[str]:
    """What a user must not overlook: nothing kept, a stage that rejects everything, or failures that a stage counted.

    Args:
        summary: Content of `summary.json`.
    """
    lines = []
    reasons = sorted(summary["by_reason"].items(), key=lambda item: -item[1])
    main = f"; most frequent: {reasons[0][0]}, {reasons[0][1]:,} records" if reasons else ""
    if summary["records_in"] and not summary["records_kept"]:
        lines.append(f"no record was kept{main}")
    other = sum(summary["by_reason"].get(f"read/{reason}", 0) for reason in _OF_ANOTHER_KIND)
    if other:
        lines.append(
            f"{other:,} records are not of kind {summary['kind']} (rejected as {' or '.join(_OF_ANOTHER_KIND)}); "
            "`raylib inspect` shows the kinds of the files"
        )
    for name, counts in summary["by_stage"].items():
        if counts["in"] and counts["rejected"] == counts["in"]:
            rule = name.split("#")[0]
            lines.append(f"{name} rejected all {counts['in']:,} records that reached it; see `raylib rules {rule}`")
    for name, notes in summary["notes"].items():
        if notes.get("failed"):
            lines.append(f"{name}: {notes['failed']:,} failures; the columns that it added say which, and why")
    return lines
