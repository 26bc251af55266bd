"""Every command finds the same files: of a run what it kept, of a folder what is no rubbish, and nothing twice."""

from __future__ import annotations

import json
import os
import re
from collections.abc import Callable
from pathlib import Path

import pytest
import tokenizers
from typer.testing import CliRunner

import raylib
from dedup.decontaminate import _benchmark_items
from quality.models.labelled import read_labelled
from raylib.cli import app
from raylib.engine import run
from raylib.errors import RaylibError
from raylib.recipe import Recipe
from raylib.records import files_of, tables_of
from tests.texts import ARTICLE
from training.inference.prompts import prompts_of


def command(*words: str, says: str) -> Callable[[str], int]:
    """A command whose output says how many records it read."""

    def count(path: str) -> int:
        given = {"IN": path, "INDEX": f"index-{path.replace('/', '-')}"}
        done = CliRunner().invoke(app, [given.get(word, word) for word in words])
        assert done.exit_code == 0, done.output
        found = re.search(says, done.output)
        assert found is not None, done.output
        return int(found[1].replace(",", ""))

    return count


def ignore(rejects: object) -> None:
    """Take rejects and say nothing."""


def through_a_recipe(path: str) -> int:
    data = {"input": {"path": path, "kind": "document"}, "output": {"path": "second"}, "stages": []}
    made = run(Recipe.from_dict({**data, "engine": {"mode": "inline"}}), fresh=True)
    return int(made.summary["records_kept"])


def through_decontamination(path: str) -> int:
    """Number of benchmark items that a stage looks for."""
    return len(list(_benchmark_items([path])))


WAYS: dict[str, Callable[[str], int]] = {
    "run": through_a_recipe,
    "read": lambda path: raylib.read(path, kind="document").count(),
    "inspect": command("inspect", "IN", says=r"([\d,]+) records, "),
    "dedup": command("dedup", "IN", "-o", "new", "--fresh", "--method", "exact", says=r"= ([\d,]+) kept"),
    "count": command("count", "IN", "--tokenizer", "tokenizer.json", says=r"([\d,]+) documents"),
    "index build": command("index", "build", "INDEX", "IN", says=r"([\d,]+) records added"),
    "perplexity train": command("perplexity", "train", "IN", "-o", "model.ngram", says=r"model of ([\d,]+) texts"),
    "classifier mixture": command("classifier", "mixture", "IN", "--json", says=r'"documents": ?(\d+)'),
    "tables_of": lambda path: sum(len(t) for t in tables_of(path, rejected=ignore)),
    "tables_of with scores": lambda path: sum(len(t) for t in tables_of(path, rejected=ignore, scores=True)),
    "files_of": lambda path: sum(len(t) for f in files_of([path]) for t in f.tables(rejected=ignore)),
    "labelled": lambda path: len(read_labelled([path], text="text", label="label")[0]),
    "prompts": lambda path: len(prompts_of(path)),
    "decontaminate": through_decontamination,
}


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A run that rejected two of five records, and a folder with three readable files among what is no data."""
    monkeypatch.chdir(tmp_path)
    tokenizer = tokenizers.Tokenizer(tokenizers.models.BPE(vocab={"字": 0}, merges=[]))
    tokenizer.save("tokenizer.json")
    for name in (
        "data/a",
        "data/deep/b",
        "other/c",
        "data/.ipynb_checkpoints/a",
        "data/_temporary/d",
        "data/.Trash-0/e",
    ):
        rows = [{"text": f"{name}{i}：{ARTICLE}", "label": "x", "source": "s"} for i in range(5)]
        rows[3]["text"], rows[4]["text"] = f"{name[-1]}短", f"{name[-1]}短短"
        path = Path(f"{name}.jsonl")
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text("".join(json.dumps(row, ensure_ascii=False) + "\n" for row in rows), "utf-8")
    data = {"input": {"path": "data/a.jsonl"}, "output": {"path": "data/out"}, "stages": [{"length": {"min": 10}}]}
    assert run(Recipe.from_dict({**data, "engine": {"mode": "inline"}})).summary["records_kept"] == 3
    Path("data/link").symlink_to("../other")
    Path("data/up").symlink_to("..")
    Path("data/same.jsonl").symlink_to("a.jsonl")
    Path("data/broken.jsonl").symlink_to("nowhere.jsonl")
    os.mkfifo("data/pipe.jsonl")
    return tmp_path


@pytest.mark.parametrize("way", WAYS)
def test_all_read_the_same_files(folder: Path, way: str) -> None:
    count = WAYS[way]
    assert count("data/out") == 3, "what the run kept"
    assert count("data") == 15, "a, deep/b and link/c"


@pytest.mark.parametrize("way", WAYS)
def test_none_waits_for_a_pipe(folder: Path, way: str) -> None:
    with pytest.raises((RaylibError, AssertionError), match=r"cannot read input file data/pipe\.jsonl: a named pipe"):
        WAYS[way]("data/pipe.jsonl")


def test_what_is_left_out_is_said(folder: Path, caplog: pytest.LogCaptureFixture) -> None:
    rejects: list[str] = []
    read = tables_of("data", rejected=lambda t: rejects.extend(t["reason"].to_pylist()))
    assert sum(len(t) for t in read) == 15
    assert rejects == ["broken_link", "fifo"]
    assert "data: passed over 3 (hidden: the name begins with . or _): data/.Trash-0/" in caplog.text
    assert (
        "data: passed over 1 (folder of a run; what it kept is read if its own path is given): data/out/" in caplog.text
    )
    dataset = raylib.read("data", kind="document")
    assert dataset.count() == 15
    page = dataset._repr_html_()
    assert "passed over 3 (hidden" in page
    assert "data/out/" in page
    assert {r["reason"] for r in dataset.rejected.to_pandas().to_dict("records")} == {"broken_link", "fifo"}


def test_kinds_that_differ_are_said(folder: Path, caplog: pytest.LogCaptureFixture) -> None:
    Path("data/z.jsonl").write_text('{"instruction": "问", "output": "答"}\n', "utf-8")
    Path("data/0.jsonl").write_text('{"prompt": "问", "chosen": "好", "rejected": "坏"}\n', "utf-8")
    shown = CliRunner().invoke(app, ["inspect", "data", "-n", "0"]).output
    assert "kinds differ, and all records are read as preference: document in 3 files, such as data/a.jsonl" in shown
    assert "conversation in 1 file, such as data/z.jsonl" in shown
    Path("it.yaml").write_text("input: {path: data}\noutput: {path: out}\nengine: {mode: inline}\n", "utf-8")
    said = CliRunner().invoke(app, ["run", "it.yaml", "-q"])
    assert said.exit_code == 0, said.output
    assert "files seem to differ: document in 3 files" in caplog.text
    assert "conversation in 1 file, such as data/z.jsonl" in caplog.text
    told = CliRunner().invoke(app, ["run", "it.yaml", "-q", "--fresh", "--set", "input.kind=conversation"]).output
    assert "16 records are not of kind conversation" in told
