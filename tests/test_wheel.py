"""The wheel, installed where the checkout cannot be seen: it has its data, its commands, and runs the demo."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
import sysconfig
import textwrap
import zipfile
from pathlib import Path

import pytest

from tests.house import PACKAGES, ROOT

SHIPPED = (*PACKAGES, "recipes")
CACHES = shutil.ignore_patterns("__pycache__", "*.pyc")
pytestmark = pytest.mark.long


def done(*command: str | Path, cwd: Path) -> str:
    """The output of a command that must succeed, in an environment that points to no checkout and no cluster."""
    clean = {k: v for k, v in os.environ.items() if k not in {"PYTHONPATH", "PYTHONHOME", "RAY_ADDRESS", "VIRTUAL_ENV"}}
    clean["RAY_raylet_start_wait_time_s"] = "120"  # on a loaded machine
    ended = subprocess.run([str(c) for c in command], cwd=cwd, env=clean, capture_output=True, text=True, check=False)
    assert ended.returncode == 0, ended.stdout + ended.stderr
    return ended.stdout


@pytest.fixture(scope="module")
def wheel(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A wheel, built from a copy of what it is made of."""
    source = tmp_path_factory.mktemp("source")
    for name in SHIPPED:
        shutil.copytree(ROOT / name, source / name, ignore=CACHES)
    for name in ("pyproject.toml", "README.md", "LICENSE"):
        shutil.copy(ROOT / name, source / name)
    done(sys.executable, "-m", "build", "--wheel", "--no-isolation", "--outdir", source / "dist", source, cwd=source)
    (built,) = (source / "dist").glob("*.whl")
    return built


@pytest.fixture(scope="module")
def python(wheel: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The Python of an environment with the wheel and its dependencies, and without the checkout."""
    place = tmp_path_factory.mktemp("environment")
    done(sys.executable, "-m", "venv", "--without-pip", place / "venv", cwd=place)
    python = place / "venv" / "bin" / "python"
    dependencies = place / "dependencies"
    dependencies.mkdir()
    for key in ("platlib", "purelib"):
        for entry in Path(sysconfig.get_path(key)).iterdir():
            link = dependencies / entry.name
            if not entry.name.startswith(("raylib_data", "__editable__")) and not link.exists():
                link.symlink_to(entry)
    (packages,) = (place / "venv" / "lib").glob("python*/site-packages")
    (packages / "dependencies.pth").write_text(f"{dependencies}\n")
    done(sys.executable, "-m", "pip", "--python", python, "install", "-q", "--no-deps", "--no-index", wheel, cwd=place)
    return python


def test_the_wheel_has_every_file_of_the_packages_and_no_other(wheel: Path) -> None:
    files = {
        path.relative_to(ROOT).as_posix()
        for name in SHIPPED
        for path in (ROOT / name).rglob("*")
        if path.is_file() and "__pycache__" not in path.parts
    }
    packed = {name for name in zipfile.ZipFile(wheel).namelist() if ".dist-info/" not in name}
    assert packed == files
    assert {
        "cleaning/common_characters.txt",
        "raylib/py.typed",
        "raylib/report/report.html.j2",
        "raylib/report/ui.html",
        "recipes/pretrain_zh.yaml",
    } <= packed
    assert any(name.startswith("recipes/lexicons/") for name in packed)


def test_the_checkout_is_not_seen(python: Path, tmp_path: Path) -> None:
    script = f"import json, {', '.join(SHIPPED)}; print(json.dumps([m.__file__ for m in ({', '.join(SHIPPED)})]))"
    places = json.loads(done(python, "-c", script, cwd=tmp_path))
    assert [place for place in places if not Path(place).is_relative_to(python.parents[1])] == []


WALK = """
import json
import typer
from typer.testing import CliRunner
from raylib.cli import app

def walk(command, words):
    yield words
    for name, inner in getattr(command, "commands", {}).items():
        yield from walk(inner, [*words, name])

runner = CliRunner()
found = {}
for words in walk(typer.main.get_command(app), []):
    result = runner.invoke(app, [*words, "--help"])
    found[" ".join(words)] = [result.exit_code, "Usage" in result.output]
print(json.dumps(found))
"""


def test_every_command_shows_its_help(python: Path, tmp_path: Path) -> None:
    found = json.loads(done(python, "-c", textwrap.dedent(WALK), cwd=tmp_path).splitlines()[-1])
    assert {words: shown for words, shown in found.items() if shown != [0, True]} == {}
    assert {"", "run", "rules", "index build", "classifier train", "report diversity", "train"} <= set(found)
    assert "Usage" in done(python.with_name("raylib"), "--help", cwd=tmp_path)


def test_the_demo_runs(python: Path, tmp_path: Path) -> None:
    shutil.copy(ROOT / "examples" / "demo.yaml", tmp_path / "demo.yaml")
    shutil.copytree(ROOT / "examples" / "data", tmp_path / "pages")
    settings = ("--set", "input.path=pages", "--set", "output.path=result")
    done(python.with_name("raylib"), "run", "demo.yaml", *settings, cwd=tmp_path)
    summary = json.loads((tmp_path / "result" / "summary.json").read_text("utf-8"))
    assert summary["records_kept"] > 0
    assert summary["records_rejected"] > 0
    assert (tmp_path / "result" / "report.html").stat().st_size > 10_000
