"""The house: sizes, faces, options, docstrings, tests. It checks what import-linter, ruff and mypy cannot see."""

from __future__ import annotations

import importlib
import json
import re
import subprocess
import sys
import textwrap
from dataclasses import dataclass, field
from pathlib import Path

import pydantic
import pytest

if sys.version_info >= (3, 11):
    import tomllib
else:
    import tomli as tomllib

from raylib.recipe import EngineOptions, InputOptions, OutputOptions
from tests import house
from tests.house import PACKAGES, ROOT
from training.config import TrainConfig


def shown(path: Path) -> str:
    return str(path.relative_to(ROOT))


PRODUCT = house.product()
TESTS = house.test_files()
FACES = [p for p in PRODUCT if p.name == "__init__.py" and shown(p) not in house.FACES_WITH_FUNCTIONS]
# Names of these modules are documented for users; their docstrings list parameters, returns and errors.
PUBLIC = (
    "raylib",
    "raylib.schema",
    "raylib.errors",
    "raylib.stage",
    "raylib.dataset",
    "raylib.recipe",
    "raylib.engine",
    "cleaning",
    "dedup",
    "quality",
    "quality.scorers",
    "training",
    "training.config",
)
# ruff's rules for docstrings (returns, yields, errors), where a public function is defined
DOCUMENTED = (
    "raylib/__init__.py",
    "raylib/schema.py",
    "raylib/errors.py",
    "raylib/stage",
    "raylib/dataset",
    "raylib/recipe",
    "raylib/engine/driver.py",
    "cleaning/declare.py",
    "cleaning/rule.py",
    "quality/scorers.py",
    "training/__init__.py",
)
# These counts only fall. Lower the number when you remove one.
MOST_SKIPPED_FORMATS = 0
MOST_SILENCERS = 73
MOST_IGNORED_TYPES = 12
MOST_ANY_PER_1000_LINES = 1


def text(path: Path) -> str:
    return path.read_text("utf-8")


# --- sizes and faces -------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("path", PRODUCT, ids=shown)
def test_a_file_is_one_idea_and_a_function_fits_a_screen(path: Path) -> None:
    assert house.sizes(text(path)) == []


def test_sizes_are_seen() -> None:
    body = "\n".join(["def long():", *["    x = 1"] * 50])
    assert house.sizes(body) == ["long has 50 lines; fewer than 50"]
    assert house.sizes("\n".join(["def short():", *["    x = 1"] * 49])) == []
    assert house.sizes("x = 1\n" * 351) == ["351 lines; at most 350"]


@pytest.mark.parametrize("path", FACES, ids=shown)
def test_a_face_defines_nothing(path: Path) -> None:
    assert house.face(text(path)) == []


def test_definitions_in_faces_are_seen() -> None:
    assert house.face("from a import b\n__all__ = ['b']\ndef __getattr__(name): ...\n") == []
    assert house.face("def run(): ...\n") == ["a face defines run in line 1"]
    assert house.face("class Run: ...\n") == ["a face defines Run in line 1"]
    assert house.face("for name in names:\n    register(name)\n") == ["a face does something in line 1"]


def test_no_file_is_named_after_nothing() -> None:
    empty = re.compile(r"(utils?|helpers?|common|misc|manager|base_\w+|\w+_utils?)\.py")
    assert [shown(p) for p in PRODUCT if empty.fullmatch(p.name)] == []
    assert empty.fullmatch("text_utils.py")


@pytest.mark.parametrize("path", [p for p in PRODUCT if text(p).strip()], ids=shown)
def test_the_first_line_of_a_module_says_what_it_is(path: Path) -> None:
    assert house.first_line(text(path)) == []


def test_first_lines_that_say_nothing_are_seen() -> None:
    assert house.first_line('"""Reads files of records."""') == []
    assert house.first_line('"""`Reader` of files.\n\nMore.\n"""') == []
    for bad in ("x = 1", '"""Reader."""', '"""Reads files\nof records."""', '"""\nReads files.\n"""'):
        assert house.first_line(bad), bad


# --- types -----------------------------------------------------------------------------------------------------------


def test_any_is_rare() -> None:
    lines = sum(len(text(p).splitlines()) for p in PRODUCT)
    found = {shown(p): n for p in PRODUCT if (n := house.any_names(text(p)))}
    most = sorted(found, key=lambda name: -found[name])[:10]
    total = sum(found.values())
    assert total * 1000 < MOST_ANY_PER_1000_LINES * lines, f"{total} in {lines} lines; most in {most}"


@pytest.mark.parametrize("pattern", house.TRAVELS)
def test_what_travels_is_never_any(pattern: str) -> None:
    paths = sorted(ROOT.glob(pattern))
    assert paths, "there is no such file"
    assert {shown(p): n for p in paths if (n := house.any_names(text(p)))} == {}


def test_any_is_counted() -> None:
    assert house.any_names("from typing import Any\nx: dict[str, Any] = {}\ndef f(a: typing.Any) -> Any: ...") == 3
    assert house.any_names("x = cast('pa.Array[Any]', y)") == 1
    assert house.any_names("'''Any text will do.'''\nx = 'Any of these'") == 0


def test_silencers_give_a_reason() -> None:
    assert {shown(p): found for p in PRODUCT if (found := house.silencers(text(p)))} == {}


def test_silencers_without_a_reason_are_seen() -> None:
    assert house.silencers("import torch  # noqa: PLC0415 - loads in seconds") == []
    assert house.silencers("x = 1\nimport torch  # noqa: PLC0415") == ["line 2: # noqa: PLC0415"]
    assert house.silencers("import torch  # noqa") == ["line 1: # noqa"]


@pytest.mark.parametrize(
    ("comment", "most"),
    [("# noqa", MOST_SILENCERS), ("# fmt: skip", MOST_SKIPPED_FORMATS), ("# type: ignore", MOST_IGNORED_TYPES)],
)
def test_exceptions_get_fewer(comment: str, most: int) -> None:
    found = sum(text(p).count(comment) for p in PRODUCT)
    assert found <= most, f"{found} times `{comment}` in the product"


def test_contracts_have_no_exceptions_but_commands() -> None:
    contracts = tomllib.loads(text(ROOT / "pyproject.toml"))["tool"]["importlinter"]["contracts"]
    exceptions = [arrow for contract in contracts for arrow in contract.get("ignore_imports", [])]
    assert len(contracts) >= 8
    assert [arrow for arrow in exceptions if not re.fullmatch(r"\w+\.commands -> .*", arrow)] == []


# --- options and docstrings ------------------------------------------------------------------------------------------


@pytest.mark.parametrize("kind", [InputOptions, OutputOptions, EngineOptions, *house.sections(TrainConfig)])
def test_every_option_says_what_it_is(kind: type) -> None:
    assert house.options(kind) == []


def test_sections_of_a_training_are_found() -> None:
    names = {kind.__name__ for kind in house.sections(TrainConfig)}
    assert {"TrainConfig", "ModelConfig", "DataConfig", "SourceConfig", "OptimizerConfig", "DpoConfig"} <= names


def test_options_that_say_nothing_are_seen() -> None:
    class Good(pydantic.BaseModel):
        rows: int = pydantic.Field(1, description="Number of rows in a batch.")

    class Bad(pydantic.BaseModel):
        rows: int = 1
        size: int = pydantic.Field(1, description="of a batch; empty: all")
        seed: int = pydantic.Field(1, description="Seed.")

    assert house.options(Good) == []
    assert [problem.split(":")[0] for problem in house.options(Bad)] == ["Bad.rows", "Bad.size", "Bad.seed"]


@pytest.mark.parametrize("name", PUBLIC)
def test_public_docstrings_list_their_parameters(name: str) -> None:
    module = importlib.import_module(name)
    names = [n for n in module.__all__ if not n.startswith("_")]
    assert names
    assert [p for n in names for p in house.undocumented(n, getattr(module, n))] == []


def test_undocumented_are_seen() -> None:
    def good(path: str, *, limit: int = 0) -> None:
        """Read records.

        Args:
            path: Folder of records.
            limit: Number of records.
        """

    def bad(path: str, limit: int) -> int:
        """Read records of `path`.

        Args:
            path: Folder; its limit: none.
        """
        return limit

    @dataclass
    class Bad:
        """A batch.

        Attributes:
            rows: Number of rows.
        """

        rows: int
        size: int
        _cache: list[int] = field(default_factory=list)

    assert house.undocumented("good", good) == []
    assert house.undocumented("bad", bad) == ["bad: limit"]
    assert house.undocumented("Bad", Bad) == ["Bad: size"]


def ruff(*arguments: str, source: str | None = None) -> list[str]:
    """What ruff finds: file, line, rule and message."""
    command = [sys.executable, "-m", "ruff", "check", "--no-cache", "--output-format", "json", *arguments]
    done = subprocess.run(command, cwd=ROOT, input=source, capture_output=True, text=True, check=False)
    return [
        f"{Path(f['filename']).relative_to(ROOT)}:{f['location']['row']}: {f['code']} {f['message']}"
        for f in json.loads(done.stdout)
    ]


DOCSTRING_RULES = ("--preview", "--select", "D417,DOC102,DOC201,DOC402,DOC501")


def test_public_docstrings_name_returns_and_errors() -> None:
    # the class says what its steps return
    steps = ("--per-file-ignores", "raylib/dataset/dataset.py:DOC201")
    assert ruff(*DOCSTRING_RULES, *steps, *DOCUMENTED) == []


def test_missing_returns_and_errors_are_seen() -> None:
    source = '''
    """A module."""


    def read(path: str) -> int:
        """Read a file.

        Args:
            path: Of the file.
        """
        if not path:
            raise ValueError(path)
        return 1
    '''
    found = ruff(*DOCSTRING_RULES, "--stdin-filename", "raylib/schema.py", "-", source=textwrap.dedent(source))
    assert [line.split()[1] for line in found] == ["DOC501", "DOC201"]


# --- tests -----------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("folder", sorted({shown(p.parent) for p in PRODUCT}))
def test_tests_mirror_the_packages(folder: str) -> None:
    assert list((ROOT / "tests" / folder).rglob("test_*.py")), f"tests/{folder} has no tests"


def test_folders_of_tests_have_a_package() -> None:
    folders = {shown(p.parent).removeprefix("tests/") for p in TESTS if p.name.startswith("test_")} - {"tests"}
    assert [f for f in sorted(folders) if not (ROOT / f).is_dir()] == []


def source_of(module: str) -> str | None:
    path = ROOT / (module.replace(".", "/") + ".py")
    return text(path) if path.is_file() else None


@pytest.mark.parametrize("path", [p for p in TESTS if p.name.startswith("test_")], ids=shown)
def test_every_test_asserts_something(path: Path) -> None:
    helpers = house.imported_helpers(text(path), source_of)
    assert house.idle_tests(text(path), helpers) == []


IDLE = """
def test_empty(): run()
def test_constant(): assert True
def test_sometimes():
    if found is not None:
        assert found
def test_inner():
    def inner(): assert x
def test_helper(): unhelpful()
def unhelpful(): run()
def test_caught():
    try: run()
    except ValueError: assert x
"""
BUSY = """
def test_plain(): assert x
def test_loop():
    for x in y:
        assert x
def test_raises():
    with pytest.raises(ValueError, match="x"): run()
def test_both():
    if a: assert x
    else: pytest.fail("no")
def test_inner():
    def inner(): assert x
    inner()
def test_helper(): helpful()
def helpful(): np.testing.assert_array_equal(a, b)
def test_imported(): same(a, b)
class TestThing:
    def test_method(self): self.expect()
    def expect(self): assert self
"""


def test_tests_without_assertions_are_seen() -> None:
    found = house.idle_tests(IDLE)
    assert found == ["test_empty", "test_constant", "test_sometimes", "test_inner", "test_helper", "test_caught"]
    assert house.idle_tests(BUSY, {"same": True}) == []
    assert house.idle_tests(BUSY, {"same": False}) == ["test_imported"]
    assert house.imported_helpers("from tests.x import a, b", lambda _: "def a(): assert x\ndef b(): x") == {
        "a": True,
        "b": False,
    }


@pytest.mark.parametrize("path", TESTS, ids=shown)
def test_fixtures_come_from_conftest(path: Path) -> None:
    assert house.borrowed_fixtures(text(path), source_of) == []


def test_borrowed_fixtures_are_seen() -> None:
    there = "@pytest.fixture(scope='module')\ndef browser(): ...\ndef rows(): ...\n"
    assert house.borrowed_fixtures("from tests.a.test_b import rows", lambda _: there) == []
    assert house.borrowed_fixtures("from tests.a.test_b import browser", lambda _: there) == [
        "line 1: browser from tests.a.test_b"
    ]


# --- names in text ---------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("path", house.written_files(), ids=shown)
def test_modules_that_are_named_exist(path: Path) -> None:
    assert house.lost_names(text(path), page=path.suffix == ".md") == []


def test_names_that_are_gone_are_seen() -> None:
    gone = "raylib" + ".gone"
    assert house.lost_names("from raylib.stage import Outcome; import raylib.errors; python -m raylib.reference") == []
    assert house.lost_names(f"'from {gone} import x'") == [gone]
    assert house.lost_names(f"python -m {gone}") == [gone]
    assert house.lost_names("`raylib.stage.Outcome` `raylib.errors`", page=True) == []
    assert house.lost_names("`raylib.stage." + "Gone`", page=True) == ["raylib.stage." + "Gone"]


# --- pages -----------------------------------------------------------------------------------------------------------


def make_tree(*arguments: str) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, str(ROOT / "docs" / "make_tree.py"), *arguments]
    return subprocess.run(command, capture_output=True, text=True, check=False)


def test_the_tree_of_the_architecture_is_up_to_date() -> None:
    checked = make_tree("--check")
    assert checked.returncode == 0, checked.stderr


def test_an_old_tree_is_seen_and_made_anew(tmp_path: Path) -> None:
    page = tmp_path / "page.md"
    page.write_text("# A\n\n<!-- tree -->\nold\n<!-- end of tree -->\n\nprose\n", "utf-8")
    assert make_tree("--check", str(page)).returncode == 1
    assert make_tree(str(page)).returncode == 0
    assert make_tree("--check", str(page)).returncode == 0
    made = page.read_text("utf-8")
    assert made.endswith("<!-- end of tree -->\n\nprose\n")
    assert all(f"{package}/" in made for package in PACKAGES)
