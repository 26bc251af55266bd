"""The lazy Python API and the command line, as a user would use them."""

from __future__ import annotations

import inspect
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pyarrow.compute as pc
import pytest
from typer.testing import CliRunner

import raylib
from raylib.cli import app
from raylib.errors import RaylibError, RecipeError
from tests.texts import ARTICLE, ENGLISH

Write = Callable[..., Path]


@pytest.fixture
def source(write_jsonl: Write) -> Path:
    rows: list[Any] = [
        {"id": f"{i:03d}", "source": "web" if i % 2 else "forum", "text": f"{ARTICLE}第{i % 30}篇。"} for i in range(40)
    ]
    rows += [{"id": "en", "source": "web", "text": ENGLISH}, b"{cut"]
    return write_jsonl(rows)


def test_nothing_runs_until_asked(tmp_path: Path) -> None:
    ds = raylib.read(tmp_path / "not-there.jsonl").chinese_ratio(min=0.5).exact_dedup()
    assert "not run yet" in repr(ds)
    assert "chinese_ratio(min=0.5)" in ds.plan()
    with pytest.raises(RaylibError, match="no input file matches"):
        ds.count()


def test_a_pipeline_in_a_notebook(source: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    ds = raylib.read(str(source)).chinese_ratio(min=0.5).exact_dedup()
    assert ds.count() == len(ds) == 30
    assert ds.rejected.count() == 12
    assert set(ds.rejected.to_pandas()["reason"]) == {"cut_line", "too_few_chinese", "exact_duplicate"}
    assert ds.to_arrow().num_rows == len(ds.to_pandas()) == len(list(ds)) == 30
    assert sum(len(t) for t in ds.iter_tables()) == 30
    assert ds.report.is_file()
    assert "30 kept" in ds._repr_html_()
    assert "exact_duplicate: 10" in repr(ds.rejected)
    ds.show(2)
    ds.rejected.show(2)
    shown = capsys.readouterr().out
    assert "id='000'" in shown
    assert "cut_line" in shown
    result = ds.write(tmp_path / "out", format="jsonl")
    assert result.summary["records_kept"] == 30
    assert list((tmp_path / "out" / "kept").glob("*.jsonl.zst"))


@pytest.mark.parametrize(
    ("condition", "stage"),
    [
        ('source == "forum"', "keep_where"),
        (pc.field("source") == "forum", "filter"),
        (lambda table: pc.equal(table["source"], "forum"), "filter"),
        (lambda table: [s == "forum" for s in table["source"].to_pylist()], "filter"),
    ],
)
def test_filters_of_every_kind(source: Path, condition: Any, stage: str) -> None:
    ds = raylib.read(source).filter(condition)
    assert ds.count() == 20
    assert stage in {r["stage"] for r in ds.rejected}


def test_map_and_take(source: Path) -> None:
    ds = raylib.read(source).map(lambda t: t.append_column("size", pc.utf8_length(t["text"])))
    assert ds.take(2)[0]["size"] == len(ds.take(1)[0]["text"])
    assert ds.keep_where(where="size < 100").count() == 0
    with pytest.raises(RaylibError, match="use filter"):
        raylib.read(source).map(lambda t: t.slice(0, 1)).count()


def test_wrong_names_are_errors_at_once(source: Path) -> None:
    ds = raylib.read(source)
    with pytest.raises(AttributeError, match="did you mean 'length'"):
        ds.lenght(min=5)
    with pytest.raises(RecipeError, match="did you mean 'min'"):
        ds.length(mim=5)
    with pytest.raises(RecipeError, match="did you mean 'wechat'"):
        ds.clean("wechta")
    with pytest.raises(RecipeError, match=r"encodng.*did you mean 'encoding'"):
        raylib.read(source, encodng="x")
    with pytest.raises(RaylibError, match="no column 'sorce'"):
        ds.filter('sorce == "x"').count()
    assert "chinese_ratio" in dir(ds)


def test_import_is_light() -> None:
    code = (
        "import sys, time; t = time.perf_counter(); import raylib; import cleaning.rules;"
        "bad = {'ray', 'torch', 'transformers', 'sklearn', 'jieba', 'opencc', 'pandas'} & set(sys.modules);"
        "assert not bad, bad"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr


def cli(*arguments: str) -> str:
    result = CliRunner().invoke(app, list(arguments), catch_exceptions=False)
    assert result.exit_code == 0, result.output
    return result.output


def test_inspect(source: Path) -> None:
    shown = cli("inspect", str(source), "--samples", "1")
    assert "kind document" in shown
    assert "41 records, 1 unreadable" in shown
    assert "cut_line 1" in shown
    assert "source web: 21" in shown


def test_run_diff_and_inspect_of_a_run(source: Path, tmp_path: Path) -> None:
    recipe = tmp_path / "r.yaml"
    recipe.write_text(
        f"input: {{path: {source}}}\noutput: {{path: {tmp_path}/out}}\nengine: {{mode: inline}}\n"
        "stages: [chinese_full_stop, {keep_where: 'length(text) > 20'}, {length: {min: 30}}, exact_dedup]\n"
    )
    shown = cli("run", str(recipe), "--set", "stages.length.min=20", "-q")
    assert "42 records in" in shown
    assert "report:" in shown
    assert "a run of recipe 'r'" in cli("inspect", f"{tmp_path}/out")
    shown = cli("diff", f"{tmp_path}/out")
    assert "chinese_full_stop" in shown
    assert "looks at all records" in shown
    with pytest.raises(RecipeError, match="did you mean 'length'"):
        cli("diff", f"{tmp_path}/out", "--rule", "lenght")


def test_rules_listing() -> None:
    assert "remove_personal_data" in cli("rules")
    shown = cli("rules", "length")
    assert "min" in shown
    assert "256" in shown


def test_set_without_value_is_an_error() -> None:
    with pytest.raises(RaylibError, match="--set key=value"):
        CliRunner().invoke(app, ["run", "x.yaml", "--set", "oops"], catch_exceptions=False)


def test_stages_show_parameters_and_documentation(source: Path) -> None:
    step = raylib.read(source).length
    assert str(inspect.signature(step)) == "(*, min=256, max=None)"
    assert str(step.__doc__).startswith("Reject texts that are too short or too long.")
