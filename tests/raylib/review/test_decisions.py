"""The file of decisions, and what people write into it."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import orjson
import pytest

from raylib.errors import ParameterError, SourceError
from raylib.review.decisions import Decision, read_decisions, write_decisions
from raylib.review.drawing import draw
from raylib.review.population import Population
from raylib.review.rules import FinishedRun


@pytest.fixture
def drawn(finished: FinishedRun, digits: Population) -> Sequence[Decision]:
    return draw(finished, finished.rules(["digit_ratio"]), {"digit_ratio": digits}, 6)


def test_what_is_written_is_read(drawn: Sequence[Decision], tmp_path: Path) -> None:
    path = tmp_path / "d.jsonl"
    given = [drawn[0].answered("good"), drawn[1].answered("bad"), drawn[2].answered("unsure"), *drawn[3:]]
    write_decisions(path, given)
    assert read_decisions(path, drawn[0].run) == given
    assert orjson.loads(path.read_bytes().splitlines()[0])["choices"] == ["good", "bad", "unsure"]


def test_answers_may_have_capitals_and_spaces(drawn: Sequence[Decision], tmp_path: Path) -> None:
    path = tmp_path / "d.jsonl"
    write_decisions(path, [replace(drawn[0], answer=" Good ")])
    assert read_decisions(path, drawn[0].run)[0].answer == "good"


@pytest.mark.parametrize(
    ("change", "error"),
    [
        ({"answer": "goood"}, r"d\.jsonl:2: field 'answer': 'goood' is none of good, bad, unsure; did you mean 'good'"),
        ({"answer": "harmful"}, r"d\.jsonl:2: field 'answer': 'harmful' is none of good, bad, unsure$"),
        ({"answer": 1}, r"d\.jsonl:2: field 'answer' should be a text, is 1$"),
        ({"weight": "3"}, r"d\.jsonl:2: field 'weight' should be a number, is '3'$"),
        ({"value": "x"}, r"d\.jsonl:2: field 'value' should be a number or null, is 'x'$"),
        ({"decision": "lost"}, r"d\.jsonl:2: field 'decision' should be rejected, kept or edited, is 'lost'$"),
        (
            {"run": "abc"},
            r"d\.jsonl:2: field 'run' is 'abc', but this is run '.*': the decisions were drawn from",
        ),
        (None, r"d\.jsonl:2: field 'id' is missing; change nothing but 'answer'$"),
    ],
)
def test_mistakes_name_file_line_and_field(
    drawn: Sequence[Decision], tmp_path: Path, change: dict[str, Any] | None, error: str
) -> None:
    path = tmp_path / "d.jsonl"
    write_decisions(path, drawn)
    lines = path.read_bytes().splitlines()
    line = orjson.loads(lines[1])
    if change is None:
        del line["id"]
    lines[1] = orjson.dumps({**line, **(change or {})})
    path.write_bytes(b"\n".join(lines))
    with pytest.raises(ParameterError, match=error):
        read_decisions(path, drawn[0].run)


@pytest.mark.parametrize(("content", "error"), [("", "holds no decisions"), ("{", ":1: is not JSON"), ("3", "not int")])
def test_other_files_are_refused(tmp_path: Path, content: str, error: str) -> None:
    (tmp_path / "d.jsonl").write_text(content)
    with pytest.raises((SourceError, ParameterError), match=error):
        read_decisions(tmp_path / "d.jsonl", "x")


def test_a_file_that_is_missing_is_an_error(tmp_path: Path) -> None:
    with pytest.raises(SourceError, match=r"--answers '.*none\.jsonl': cannot be read: No such file"):
        read_decisions(tmp_path / "none.jsonl", "x")
