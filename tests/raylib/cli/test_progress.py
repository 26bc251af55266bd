"""What a run shows while it works: on 80 columns, with many phases, without a terminal, and at its end."""

from __future__ import annotations

import io
import time

import pytest
from rich.console import Console

from raylib.cli.progress import Bars, _Phase, warnings_of
from raylib.storage.entry import ShardEntry
from raylib.storage.names import Phase, ShardName

NAME = "to_simplified + length + fix_encoding + strip_markup + drop_lines ..."


def entry(number: int) -> ShardEntry:
    return ShardEntry(
        phase=Phase.segment(0),
        shard=ShardName(0, number),
        key="k",
        files={},
        records_in=4000,
        records_out=3000,
        bytes_in=9_000_000,
        consumed=0,
        seconds=1.0,
    )


def shown(width: int, *, terminal: bool, every: float = 30.0, pause: float = 0.0) -> str:
    out = io.StringIO()
    bars = Bars(Console(file=out, width=width, height=24, force_terminal=terminal, color_system=None), every)
    for number in range(30):
        bars.phase(f"{number} {NAME}", 0, 4)
        for shard in range(2):
            bars.advance(entry(shard), 0, resumed=False)
        time.sleep(pause)
        bars._bars.refresh()
    bars.close()
    return out.getvalue()


@pytest.mark.parametrize("width", [60, 80, 200])
def test_the_running_phase_keeps_bar_share_and_speed(width: int) -> None:
    lines = [line for line in shown(width, terminal=True).replace("\r", "\n").splitlines() if "━" in line]
    assert lines
    for line in lines[-3:]:
        assert "50%" in line
        assert "MB/s" in line
        assert "% kept" in line
        assert len(line) <= width + 12  # and what moves the cursor


def test_every_phase_that_ended_is_one_line_of_a_narrow_terminal() -> None:
    ended = [line for line in shown(80, terminal=True).replace("\r", "\n").splitlines() if "0:00:0" in line]
    assert {line.split()[0].split("K")[-1] for line in ended} == {str(n) for n in range(30)}
    assert all("MB/s" in line for line in ended)


def test_without_a_terminal_there_are_lines_in_between() -> None:
    lines = shown(80, terminal=False, every=0.02, pause=0.05).splitlines()
    assert lines[0] == f"0 {NAME} ..."
    assert any(line.startswith("  50 %, ") and line.endswith(" left") for line in lines)
    assert sum(line.startswith("  done in 0:00:0") for line in lines) == 30


def test_what_an_earlier_run_did_counts_for_the_share_and_not_for_the_pace() -> None:
    phase = _Phase("read", 0, 100)
    phase.begun -= 10.0
    for shard in range(80):
        phase.add(entry(shard), 0, resumed=True)
    assert phase.line() == "  80 %, 80 done before"
    for shard in range(10):
        phase.add(entry(80 + shard), 0, resumed=False)
    assert phase.line().startswith("  90 %, ")
    assert phase.line().endswith(", 0:00:10 left")
    assert 8.5 < float(phase.speed(short=False).split()[2]) <= 9.0, "90 MB in 10 s"


def test_no_time_is_guessed_before_the_first_shard() -> None:
    out = io.StringIO()
    bars = Bars(Console(file=out, width=100, height=24, force_terminal=True, color_system=None))
    bars.phase(NAME, 0, 4)
    bars._bars.refresh()
    bars.close()
    assert "0%" in out.getvalue()
    assert ":--" not in out.getvalue()


def test_a_run_that_kept_nothing_says_why() -> None:
    stages = {"length": {"in": 40, "rejected": 10}, "keep_where": {"in": 30, "rejected": 30}}
    lost = {
        "records_in": 40,
        "records_kept": 0,
        "by_stage": stages,
        "notes": {},
        "by_reason": {"keep_where/not": 30, "length/a": 10},
    }
    assert warnings_of(lost) == [
        "no record was kept; most frequent: keep_where/not, 30 records",
        "keep_where rejected all 30 records that reached it; see `raylib rules keep_where`",
    ]
    assert warnings_of({"records_in": 2, "records_kept": 2, "by_stage": {}, "by_reason": {}, "notes": {}}) == []
