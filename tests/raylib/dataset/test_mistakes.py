"""What users of the Python API get wrong: an exception that says what would be right, at once where it can."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any, cast

import orjson
import pandas as pd
import pyarrow as pa
import pyarrow.compute as pc
import pytest

import raylib
from raylib.errors import OutputError, ParameterError, RaylibError, RecipeError, SourceError, WrongTypeError
from tests.texts import ARTICLE

Wrong = Callable[[raylib.Dataset], object]


@pytest.fixture
def records(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> raylib.Dataset:
    rows = [{"id": str(i), "text": ARTICLE[i:]} for i in range(3)]
    (tmp_path / "a.jsonl").write_bytes(b"".join(orjson.dumps(row) + b"\n" for row in rows))
    (tmp_path / "file").touch()
    monkeypatch.chdir(tmp_path)
    return raylib.read("a.jsonl")


@pytest.mark.parametrize(
    ("value", "words"),
    [
        (pd.DataFrame({"text": ["a"]}), "not pandas.DataFrame; write records to a file first, such as df.to_parquet"),
        (pa.table({"text": ["a"]}), "not pyarrow.Table"),
        ([{"text": "a"}], "not dict"),
        (None, "not NoneType"),
        (b"a.jsonl", "not bytes"),
        (3, "takes the path of a file, glob, folder or URI, or a list of these, not int"),
    ],
)
def test_what_is_not_a_path(value: object, words: str) -> None:
    with pytest.raises(WrongTypeError, match=words):
        raylib.read(value)  # type: ignore[arg-type]
    with pytest.raises(TypeError):
        raylib.read(value)  # type: ignore[arg-type]


@pytest.mark.parametrize(
    ("wrong", "kind", "words"),
    [
        (lambda ds: ds.filter(3), WrongTypeError, r"filter\(\) takes an expression or a function, not int"),
        (lambda ds: ds.map("upper"), WrongTypeError, r"map\(\) takes a function, not str"),
        (lambda ds: ds.clean(None), WrongTypeError, r"a chain is a name such as 'web' or the path of a YAML file"),
        (lambda ds: ds.clean("wecat"), RecipeError, r"did you mean 'wechat'\?"),
        (lambda ds: ds.score(None), ParameterError, r"score: None is not a stage"),
        (lambda ds: ds.lenth(min=3), AttributeError, r"unknown stage 'lenth'; did you mean 'length'\?"),
        (lambda ds: ds.length(mn=3), RecipeError, r"has no parameter 'mn'; did you mean 'min'\?"),
        (lambda ds: ds.length(3), RecipeError, r"length: parameters are given by name, as in length\(min=3\)"),
        (lambda ds: ds.length(min="many"), RecipeError, r"min: .*valid integer.* \(got 'many'\)"),
        (lambda ds: ds.select(), RecipeError, r"k, fraction: give one of them"),
        (lambda ds: ds.filter("len(text) > 3"), RecipeError, r"did you mean 'length'\?"),
        (lambda ds: ds.on("local"), RecipeError, r"engine\.mode: .*'ray' or 'inline' \(got 'local'\)"),
        (lambda ds: ds.write("out", format="csv"), RecipeError, r"output\.format: .* \(got 'csv'\)"),
        (lambda ds: ds.write(None), RecipeError, r"output\.path: should be a text"),
        (lambda ds: ds.write("file"), OutputError, r"output\.path 'file': cannot write to /.*/file is a file"),
        (lambda ds: raylib.read("a.jsonl", encodin="x"), RecipeError, r"input\.encodin; did you mean 'encoding'\?"),
        (lambda ds: raylib.read("nono").count(), SourceError, r"no input file matches 'nono': there is no such file"),
        (lambda ds: raylib.run(cast("Any", "it.yaml")), WrongTypeError, r"run\(Recipe\.from_file\('it\.yaml'\)\)"),
        (lambda ds: raylib.open_index("nono"), ParameterError, r"'nono' is not an index"),
    ],
)
def test_what_is_seen_at_once(records: raylib.Dataset, wrong: Wrong, kind: type[Exception], words: str) -> None:
    with pytest.raises(kind, match=words):
        wrong(records)


@pytest.mark.parametrize(
    ("condition", "words"),
    [
        (
            lambda r: len(r["text"]) > 2,
            "TypeError: .*bool.*; columns are id, text, source, meta; the function gets",
        ),
        (
            lambda r: r["text"].startswith("清"),
            "no attribute 'startswith'; .*returns one boolean per record, such as lam",
        ),
        (lambda r: r.text != "", "no attribute 'text'; columns are id, text, source, meta"),
        (lambda t: t["body"], "body.*; columns are id, text, source, meta"),
        (lambda t: None, "TypeError"),
        (lambda t: ["a"] * len(t), "ArrowInvalid: .*boolean"),
        (lambda t: t["text"], "the condition gave values of type large_string; the function gets a table"),
        (lambda t: [True], "the condition gave 1 values for 3 records; the function gets a table"),
        (pc.field("bodyy") > 3, r"FieldRef\.Name\(bodyy\).*; columns are id, text"),
        (pc.field("text"), "must evaluate to bool"),
        ("bodyy > 3", "no column 'bodyy'"),
        ("length(text)", "is not a condition: it must be true or false for each record"),
    ],
)
def test_conditions_on_rows(records: raylib.Dataset, condition: Callable[[pa.Table], list[bool]], words: str) -> None:
    with pytest.raises(RecipeError, match=words):
        records.on("inline").filter(condition).count()


@pytest.mark.parametrize(
    ("function", "words"),
    [
        (lambda r: {**r, "x": 1}, "map: TypeError: .*mapping.*; the function gets a table of many records"),
        (lambda r: r["text"].upper(), "no attribute 'upper'"),
        (lambda t: None, "map: the function returned a NoneType; the function gets a table"),
        (lambda t: t.to_pandas(), "map: the function returned a DataFrame"),
        (lambda t: t.to_pylist(), "map: the function returned a list"),
        (lambda t: t.slice(1), "map: 3 records in, 2 out; use filter to drop records"),
        (lambda t: t.drop_columns(["text"]), "no text in columns"),
    ],
)
def test_functions_on_rows(records: raylib.Dataset, function: Callable[[pa.Table], pa.Table], words: str) -> None:
    with pytest.raises(RecipeError, match=words):
        records.on("inline").map(function).count()


def test_mistakes_are_errors_of_raylib() -> None:
    assert issubclass(WrongTypeError, RaylibError)
    assert issubclass(WrongTypeError, TypeError)
