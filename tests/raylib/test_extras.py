"""A missing extra is one line that names the command, before any work and without a traceback."""

from __future__ import annotations

import re
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

from raylib.engine.faults import Fault, FaultKind
from raylib.errors import MissingExtraError
from raylib.extras import EXTRAS, missing_extra, optional, require
from tests.texts import ARTICLE

if sys.version_info >= (3, 11):
    import tomllib
else:
    import tomli as tomllib

Write = Callable[..., Path]
ROOT = Path(__file__).parents[2]
DISTRIBUTIONS = {  # of modules whose distribution has another name
    "fasttext": "fasttext-wheel",
    "sentence_transformers": "sentence-transformers",
    "tokenizers": "transformers",
}
WITHOUT = """
import importlib.machinery, runpy, sys
hidden = set({hidden!r})
found = importlib.machinery.PathFinder.find_spec
def find_spec(name, path=None, target=None):
    return None if name.split(".")[0] in hidden else found(name, path, target)
importlib.machinery.PathFinder.find_spec = find_spec
sys.argv = ["raylib", *{arguments!r}]
runpy.run_module("raylib", run_name="__main__")
"""


def raylib_without(hidden: list[str], *arguments: str) -> subprocess.CompletedProcess[str]:
    """The command line in an environment without some packages."""
    code = WITHOUT.format(hidden=hidden, arguments=list(arguments))
    return subprocess.run([sys.executable, "-c", code], cwd=ROOT, capture_output=True, text=True, check=False)


def model_in(folder: Path) -> Path:
    """A folder that looks like one of a model, before anything is loaded."""
    model = folder / "model"
    model.mkdir()
    for name in ("config.json", "tokenizer.json", "modules.json"):
        (model / name).write_text("{}")
    return model


def test_the_table_agrees_with_the_project() -> None:
    extras = tomllib.loads((ROOT / "pyproject.toml").read_text("utf-8"))["project"]["optional-dependencies"]
    for module, extra in EXTRAS.items():
        names = {re.split(r"[^\w-]", requirement)[0] for requirement in extras[extra]}
        assert DISTRIBUTIONS.get(module, module) in names, (module, extra)


@pytest.mark.slow
@pytest.mark.parametrize(
    ("stages", "hidden", "extra"),
    [
        ("[{embed: {model: MODEL}}]", "sentence_transformers", "quality"),
        ("[substring_dedup]", "pydivsufsort", "substring"),
        ("[{judge: {model: m, base_url: 'http://127.0.0.1:9/v1'}}]", "httpx", "quality"),
        ("[{ifd: {model: m}}]", "torch", "quality"),
        ("[{perplexity: {model: m.klm}}]", "kenlm", "kenlm"),
    ],
)
def test_a_recipe_asks_for_its_extras_before_any_work(
    tmp_path: Path, write_jsonl: Write, stages: str, hidden: str, extra: str
) -> None:
    source = write_jsonl([{"id": "1", "text": ARTICLE}])
    recipe = tmp_path / "recipe.yaml"
    stages = stages.replace("MODEL", str(model_in(tmp_path)))
    recipe.write_text(f"input: {{path: {source}}}\noutput: {{path: {tmp_path}/out}}\nstages: {stages}\n")
    done = raylib_without([hidden], "run", str(recipe))
    assert done.returncode == 1
    assert re.fullmatch(
        rf"error: .* needs the package {hidden} of the extra '{extra}': \S+ -m pip install 'raylib-data\[{extra}\]'\n",
        done.stderr,
    ), done.stderr
    assert not (tmp_path / "out").exists()


@pytest.mark.slow
@pytest.mark.parametrize(
    ("arguments", "hidden"),
    [
        (["train", "recipes/training/sft.yaml"], "torch"),
        (["tokenize", "examples/data", "-o", "OUT", "--tokenizer", "MODEL"], "transformers"),
        (["count", "examples/data", "--tokenizer", "."], "tokenizers"),
        (["generate", ".", "examples/data", "-o", "OUT"], "torch"),
        (["report", "diversity", "examples/data", "-o", "OUT"], "matplotlib"),
        (["report", "diversity", "examples/data", "-o", "OUT"], "bokeh"),
    ],
)
def test_commands_without_their_extra_end_in_one_line(tmp_path: Path, arguments: list[str], hidden: str) -> None:
    places = {"OUT": str(tmp_path / "out"), "MODEL": str(model_in(tmp_path))}
    given = [places.get(a, a) for a in arguments]
    done = raylib_without([hidden], *given)
    assert done.returncode == 1
    assert "Traceback" not in done.stderr
    assert f"needs the package {hidden} of the extra '{EXTRAS[hidden]}'" in done.stderr


def test_an_extra_that_a_worker_lacks_ends_the_run() -> None:
    error = MissingExtraError("the stage embed needs the package sklearn")
    assert Fault.of(error).kind is FaultKind.SETUP
    assert not Fault.of(error).kind.is_worth_a_try


def test_only_missing_extras_are_translated() -> None:
    require("numpy", purpose="a test")
    with pytest.raises(MissingExtraError, match=r"a test needs the package no_such_module of the extra 'x'"):
        optional("no_such_module.part", purpose="a test", extra="x")
    with pytest.raises(MissingExtraError):
        require("no_such_module", purpose="a test", extra="x")
    assert missing_extra(ModuleNotFoundError("No module named 'mine'", name="mine"), "a test") is None
    assert missing_extra(ModuleNotFoundError("No module named 'torch.x'", name="torch.x"), "a test") is None
    assert missing_extra(ValueError("other"), "a test") is None
