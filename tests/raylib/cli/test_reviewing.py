"""`raylib review` as a user types it."""

from __future__ import annotations

import re
from pathlib import Path

import orjson
import pytest
from typer.testing import CliRunner

from raylib.cli.app import app
from raylib.recipe import Recipe
from tests.raylib.review.labelled import Labelled, labelled_run, number_pages


@pytest.fixture(scope="module")
def records() -> list[Labelled]:
    return number_pages(900, 11, {"论坛": 0.3})


@pytest.fixture(scope="module")
def out(tmp_path_factory: pytest.TempPathFactory, records: list[Labelled]) -> str:
    stages = ["strip_markup", {"digit_ratio": {"max": 0.45}}, {"length": {"min": 5}}, "exact_dedup"]
    return str(labelled_run(tmp_path_factory.mktemp("review"), records, stages))


def call(*arguments: str) -> str:
    done = CliRunner().invoke(app, ["review", *arguments], env={"COLUMNS": "200"})
    assert done.exit_code == 0, done.output
    return done.stdout


def refused(*arguments: str) -> str:
    done = CliRunner().invoke(app, ["review", *arguments])
    assert done.exit_code != 0
    return str(done.exception)


def filled(file: Path, records: list[Labelled], *, leave: int = 0) -> Path:
    """The file with answers by the labels, but for the first few lines."""
    bad = {r.id: r.bad for r in records}
    rows = [orjson.loads(line) for line in file.read_bytes().splitlines()]
    for row in rows[leave:]:
        row["answer"] = "bad" if bad[row["id"]] else "good"
    answers = file.with_name("answers.jsonl")
    answers.write_bytes(b"".join(orjson.dumps(row) + b"\n" for row in rows))
    return answers


def test_from_decisions_to_a_changed_recipe(tmp_path: Path, out: str, records: list[Labelled]) -> None:
    drawn = tmp_path / "drawn.jsonl"
    said = call(out, "--sample", "100", "--rule", "digit_ratio", "-o", str(drawn))
    assert said.startswith(f"100 decisions of 1 rule: {drawn}\nfill in 'answer' in each line, then: raylib review")
    answers = filled(drawn, records, leave=2)
    figures, recipe = tmp_path / "figures.json", tmp_path / "recipe.yaml"
    said = call(out, "--answers", str(answers), "-o", str(figures), "--recipe", str(recipe))
    assert re.search(r"digit_ratio\.max +98 of 100 ", said)
    assert re.search(r"digit_ratio: 2 decisions have no answer: d\d+, d\d+", said)
    assert re.search(r"digit_ratio: change max from 0\.45 to 0\.[23]\d*", said)
    told = orjson.loads(figures.read_bytes())
    rule = told["rules"]["digit_ratio"]
    assert (told["decisions"], told["answered"], told["unanswered"]) == (100, 98, 2)
    assert (rule["parameter"], rule["threshold"]) == ("max", 0.45)
    for name in ("precision", "recall", "lost_characters"):
        assert rule[name]["low"] <= rule[name]["estimate"] <= rule[name]["high"]
    proposed = rule["proposed"]["threshold"]
    assert 0.2 < proposed < 0.4
    assert rule["proposed"]["f1"] > rule["proposed"]["f1_of_current"]
    assert set(rule["curve"][0]) == {"threshold", "precision", "recall", "f1"}
    assert list(rule["sources"]) == ["论坛"]
    assert told["recipe_change"][0]["stage"] == {"digit_ratio": {"max": proposed}}
    changed = Recipe.from_file(recipe)
    assert changed.stages[1].parameters["max"] == proposed
    assert [s.name for s in changed.stages] == ["strip_markup", "digit_ratio", "length", "exact_dedup"]


def test_the_figures_are_printed_as_json(tmp_path: Path, out: str, records: list[Labelled]) -> None:
    call(out, "--rule", "digit_ratio", "--sample", "40", "-o", str(tmp_path / "d.jsonl"))
    told = orjson.loads(call(out, "--answers", str(filled(tmp_path / "d.jsonl", records)), "--json"))
    assert told["rules"]["digit_ratio"]["answered"] == 40


def test_answers_are_not_written_over(tmp_path: Path, out: str, records: list[Labelled]) -> None:
    drawn = tmp_path / "d.jsonl"
    for _ in range(2):  # nothing is lost while there are no answers
        call(out, "--rule", "digit_ratio", "--sample", "10", "-o", str(drawn))
    answers = filled(drawn, records, leave=4)
    assert "holds 6 answers; name another file, or remove it" in refused(out, "-o", str(answers))


@pytest.mark.parametrize(
    ("arguments", "error"),
    [
        (["--recipe", "x.yaml"], "--recipe shows what answers say; name their file by --answers FILE"),
        (["--json"], "--json shows what answers say"),
        (["--answers", "a", "--browser"], "--browser collects answers and --answers evaluates them"),
        (["--answers", "none.jsonl"], r"--answers 'none.jsonl': cannot be read: No such file"),
        (["--rule", "digits", "-o", "x.jsonl"], "--rule digits: the run has no such stage"),
        (["--rule", "exact_dedup", "-o", "x.jsonl"], "exact_dedup cannot be reviewed, because it looks at all records"),
        (["--rule", "length", "-o", "/proc/x/y.jsonl"], "-o '/proc/x/y.jsonl': cannot write to /proc/x"),
    ],
)
def test_mistakes_name_the_option(out: str, arguments: list[str], error: str) -> None:
    assert re.search(error, refused(out, *arguments))


def test_a_folder_that_is_no_run_is_an_error(tmp_path: Path) -> None:
    assert "is not the folder of a finished run" in refused(str(tmp_path), "-o", "x.jsonl")
