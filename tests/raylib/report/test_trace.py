"""What `raylib diff` shows of a run."""

from __future__ import annotations

from pathlib import Path

import pytest
from rich.text import Text

from raylib.errors import RecipeError, SourceError
from raylib.report.trace import trace_run


def test_every_stage_is_shown_with_what_it_changed(traced_run: str) -> None:
    lines = list(trace_run(traced_run, samples=1))
    assert lines[0] == f"7 sampled records of {traced_run}"
    assert "[bold]remove_urls[/]: 7 in, 6 changed, 0 rejected" in lines
    assert "[bold]length[/]: 7 in, 0 changed, 1 rejected" in lines
    assert "[bold]exact_dedup[/]: looks at all records; see rejected/ and the report" in lines
    assert any("[red]{-http://a.cn/" in line for line in lines)


def test_one_stage_is_shown_after_those_before_it(traced_run: str) -> None:
    lines = list(trace_run(traced_run, rule="normalise_characters"))
    assert lines[1] == "[bold]normalise_characters[/]: 7 in, 6 changed, 0 rejected"
    assert any("[red]{-ＡＢＣ-}[/][green]{+ABC+}[/]" in line for line in lines)
    assert not any("http" in line for line in lines), "the links are gone by then"


def test_texts_are_not_taken_for_markup(traced_run: str) -> None:
    lines = list(trace_run(traced_run, rule="length"))
    assert lines[-2] == "  [dim]short[/] [red]too_short_or_long[/]: 9 < 20"
    assert Text.from_markup(lines[-1]).plain == "    短[b]文[/b]"


def test_an_unknown_stage_is_an_error(traced_run: str) -> None:
    with pytest.raises(RecipeError, match="no such stage; did you mean 'remove_urls'"):
        list(trace_run(traced_run, rule="remove_url"))


def test_another_folder_is_an_error(tmp_path: Path) -> None:
    with pytest.raises(SourceError, match=r"is not the folder of a finished run: it has no samples\.json"):
        list(trace_run(str(tmp_path)))
