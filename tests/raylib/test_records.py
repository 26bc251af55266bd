"""The records of a path: of files, and of a run with its scores."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from raylib.engine import run
from raylib.errors import RaylibError, SourceError
from raylib.recipe import Recipe
from raylib.records import RecordFile, Unread, files_of, tables_of, with_source
from raylib.token_counts import load_tokenizer

Write = Callable[..., Path]


@pytest.fixture(scope="module", params=["parquet", "arrow", "jsonl"])
def finished_run(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A run with a score column and one reject."""
    folder = tmp_path_factory.mktemp("run")
    (folder / "pages.jsonl").write_text('{"text": "长长的一句话。"}\n{"text": "短"}\n{"text": "另一句话。"}\n', "utf-8")
    recipe = {
        "input": {"path": str(folder / "pages.jsonl")},
        "output": {"path": str(folder / "out"), "format": request.param},
        "engine": {"mode": "inline"},
        "stages": [{"length": {"min": 3}}, "difficulty_features"],
    }
    return Path(run(Recipe.from_dict(recipe)).path)


def test_files_become_tables_of_their_kind(write_jsonl: Write) -> None:
    path = write_jsonl([{"text": "一"}, {"text": "二"}, b"{cut"], "some.pages.jsonl")
    assert [(f.source, f.path) for f in files_of([str(path)])] == [("some", str(path))]
    table = pa.concat_tables(tables_of(str(path), rejected=Unread()))
    assert table["text"].to_pylist() == ["一", "二"]
    assert table["source"].to_pylist() == ["", ""]


def test_a_path_without_files_is_an_error(tmp_path: Path) -> None:
    with pytest.raises(SourceError, match="no input file matches"):
        files_of([str(tmp_path / "none.jsonl")])
    with pytest.raises(SourceError, match="no input file matches"):
        list(tables_of(str(tmp_path / "none.jsonl"), rejected=Unread()))


def test_scores_of_a_run(finished_run: Path) -> None:
    table = pa.concat_tables(tables_of(str(finished_run), scores=True, rejected=Unread()))
    assert sorted(table["text"].to_pylist()) == ["另一句话。", "长长的一句话。"]
    assert set(table["source"].to_pylist()) == {"pages"}
    stored_with_columns = not list(finished_run.glob("kept/*.jsonl*"))
    assert ("difficulty" in table.column_names) == stored_with_columns


def test_files_of_a_run_are_its_kept_ones(finished_run: Path) -> None:
    files = files_of([str(finished_run)])
    assert files
    assert {Path(file.path).parent.name for file in files} == {"kept"}
    texts = [text for file in files for table in file.tables(rejected=Unread()) for text in table["text"].to_pylist()]
    assert sorted(texts) == ["另一句话。", "长长的一句话。"]


def test_a_table_that_is_stored_keeps_its_columns(tmp_path: Path) -> None:
    path = tmp_path / "x.parquet"
    pq.write_table(pa.table({"id": ["1"], "text": ["一"], "source": [""], "score": [0.5]}), path)
    (table,) = RecordFile("x", str(path)).tables(rejected=Unread())
    assert table["score"].to_pylist() == [0.5]
    (parsed,) = tables_of(str(path), rejected=Unread())
    assert parsed["meta"].to_pylist() == ['{"score":0.5}']


def test_a_table_without_sources_is_read(tmp_path: Path) -> None:
    path = tmp_path / "x.parquet"
    pq.write_table(pa.table({"id": ["1", "2"], "text": ["一", ""]}), path)
    unread = Unread()
    (table,) = RecordFile("x", str(path)).tables(rejected=unread)
    assert table["source"].to_pylist() == [""]
    assert unread.reasons == {"empty_text": 1}


def test_only_missing_sources_are_filled() -> None:
    table = pa.table({"id": ["1", "2", "3"], "source": ["web", "", None]})
    assert with_source(table, "file")["source"].to_pylist() == ["web", "file", "file"]


def test_a_missing_tokenizer_is_named(tmp_path: Path) -> None:
    with pytest.raises(SourceError, match=r"give a tokenizer\.json"):
        load_tokenizer(str(tmp_path))


def test_a_missing_extra_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(__import__("sys").modules, "tokenizers", None)
    with pytest.raises(RaylibError, match=r"tokenizers of the extra 'train': .* install 'raylib-data\[train\]'"):
        load_tokenizer("anywhere")
