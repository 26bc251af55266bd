"""Units: many small files are several tasks, and files that cannot be read stay apart."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from raylib.reading.block import Unreadable
from raylib.reading.sources import SourceFile
from raylib.reading.units import plan

BROKEN = Unreadable("broken_link", "a link to nowhere")


def test_a_unit_holds_at_most_a_thousand_files() -> None:
    units = list(plan([SourceFile(f"{i}.jsonl", 50, 0) for i in range(2500)], 4 << 20))
    assert [len(u.pieces) for u in units] == [1000, 1000, 500]
    assert [u.number for u in units] == [0, 1, 2]


@given(st.lists(st.tuples(st.integers(0, 3000), st.booleans()), max_size=30))
def test_files_that_cannot_be_read_change_no_other_unit(files: list[tuple[int, bool]]) -> None:
    given_files = [
        SourceFile(f"{i}.jsonl", 0 if broken else size, 0, error=BROKEN if broken else None)
        for i, (size, broken) in enumerate(files)
    ]
    units = list(plan(given_files, 1000))
    good = list(plan([f for f in given_files if f.error is None], 1000))
    assert units[: len(good)] == good
    assert [p.file for u in units[len(good) :] for p in u.pieces] == [f for f in given_files if f.error is not None]
    assert [u.number for u in units] == list(range(len(units)))
