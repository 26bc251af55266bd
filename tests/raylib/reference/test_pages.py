"""Generated pages: they are up to date, and a check names those that are not."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Literal

import annotated_types
import pytest

from raylib.reference import __main__ as program
from raylib.reference import differing, pages, write
from raylib.reference.fields import default_of, type_of

MADE = pages()


def test_every_page_is_generated() -> None:
    expected = {"rules", "recipes", "migration", "commands", "training"}
    assert {f"docs/{name}.md" for name in expected} <= MADE.keys()
    assert {Path(path).name for path in MADE if path.startswith("deploy/")} >= {"alerts.yml", "grafana-raylib.json"}


@pytest.mark.parametrize("path", MADE)
def test_pages_are_up_to_date(path: str) -> None:
    assert differing({path: MADE[path]}) == [], "run: python -m raylib.reference"


def test_pages_that_differ_are_named(tmp_path: Path) -> None:
    made = {"docs/a.md": "a\n", "docs/b.md": "b\n"}
    assert differing(made, tmp_path) == ["docs/a.md", "docs/b.md"]
    write(made, tmp_path)
    assert differing(made, tmp_path) == []
    (tmp_path / "docs" / "b.md").write_text("old\n")
    assert differing(made, tmp_path) == ["docs/b.md"]


def test_the_check_fails_for_a_stale_page(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    monkeypatch.setattr(program, "pages", lambda: {"docs/rules.md": "stale"})
    monkeypatch.setattr(sys, "argv", ["reference", "--check"])
    with pytest.raises(SystemExit) as ended:
        program.main()
    assert ended.value.code == "run: python -m raylib.reference"
    assert capsys.readouterr().out == "out of date: docs/rules.md\n"


@pytest.mark.parametrize(
    ("hint", "metadata", "shown"),
    [
        (int, [annotated_types.Ge(1)], "int ≥ 1"),
        (float, [annotated_types.Gt(0), annotated_types.Le(1)], "float > 0, ≤ 1"),
        (Literal["a", "b", "c"], [], "`a`, `b` or `c`"),
        (str | list[str] | None, [], "str or list of str"),
        (tuple[str, ...], [], "list of str"),
        (tuple[float, float], [], "2 x float"),
        (dict[str, int], [], "mapping"),
    ],
)
def test_types_in_words(hint: object, metadata: list[object], shown: str) -> None:
    assert type_of(hint, metadata) == shown


@pytest.mark.parametrize(
    ("value", "shown"), [(True, "`true`"), (None, "`null`"), ("", "`''`"), ((1, "a"), "`[1, 'a']`"), (0.5, "`0.5`")]
)
def test_defaults_as_yaml(value: object, shown: str) -> None:
    assert default_of(value) == shown
