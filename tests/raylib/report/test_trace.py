"""What `raylib diff` shows of a run."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import orjson
import pytest
from rich.text import Text

from raylib.engine import run
from raylib.errors import RecipeError, SourceError
from raylib.recipe import Recipe
from raylib.report.trace import trace_run
from tests.texts import ARTICLE


@pytest.fixture(scope="module")
def out(tmp_path_factory: pytest.TempPathFactory) -> str:
    """The output of a run whose documents hold links and full-width letters, or are too short."""
    folder = tmp_path_factory.mktemp("trace")
    rows: list[dict[str, Any]] = [{"id": f"d{i}", "text": f"{ARTICLE}详见http://a.cn/{i} ＡＢＣ"} for i in range(6)]
    rows += [{"id": "short", "text": "短[b]文[/b]"}]
    (folder / "in.jsonl").write_bytes(b"".join(orjson.dumps(row) + b"\n" for row in rows))
    data = {
        "input": {"path": str(folder / "in.jsonl")},
        "output": {"path": str(folder / "out")},
        "engine": {"mode": "inline"},
        "stages": ["remove_urls", "normalise_characters", {"length": {"min": 20}}, "exact_dedup"],
    }
    run(Recipe.from_dict(data, "test"))
    return str(folder / "out")


def test_every_stage_is_shown_with_what_it_changed(out: str) -> None:
    lines = list(trace_run(out, samples=1))
    assert lines[0] == f"7 sampled records of {out}"
    assert "[bold]remove_urls[/]: 7 in, 6 changed, 0 rejected" in lines
    assert "[bold]length[/]: 7 in, 0 changed, 1 rejected" in lines
    assert "[bold]exact_dedup[/]: looks at all records; see rejected/ and the report" in lines
    assert any("[red]{-http://a.cn/" in line for line in lines)


def test_one_stage_is_shown_after_those_before_it(out: str) -> None:
    lines = list(trace_run(out, rule="normalise_characters"))
    assert lines[1] == "[bold]normalise_characters[/]: 7 in, 6 changed, 0 rejected"
    assert any("[red]{-ＡＢＣ-}[/][green]{+ABC+}[/]" in line for line in lines)
    assert not any("http" in line for line in lines), "the links are gone by then"


def test_texts_are_not_taken_for_markup(out: str) -> None:
    lines = list(trace_run(out, rule="length"))
    assert lines[-2] == "  [dim]short[/] [red]too_short_or_long[/]: 9 < 20"
    assert Text.from_markup(lines[-1]).plain == "    短[b]文[/b]"


def test_an_unknown_stage_is_an_error(out: str) -> None:
    with pytest.raises(RecipeError, match="no such stage; did you mean 'remove_urls'"):
        list(trace_run(out, rule="remove_url"))


def test_another_folder_is_an_error(tmp_path: Path) -> None:
    with pytest.raises(SourceError, match=r"is not the folder of a finished run: it has no samples\.json"):
        list(trace_run(str(tmp_path)))
