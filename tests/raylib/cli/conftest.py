"""A small project to make mistakes in, and a command that has to say what is wrong in one line."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import orjson
import pytest

from raylib.cli.app import main
from tests.texts import ARTICLE, conversations

Said = Callable[..., str]

RECIPE = "input: {path: data}\noutput: {path: out}\nengine: {mode: inline}\n"
TRAINING = """\
objective: sft
output: runs
model: {path: model}
data: {train: [{path: tokens}]}
parallel: {backend: plain}
"""


def write_lines(path: Path, rows: list[dict[str, object]]) -> None:
    path.write_bytes(b"".join(orjson.dumps(row) + b"\n" for row in rows))


@pytest.fixture
def project(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A folder with data, a recipe and a training configuration, in which the test runs."""
    (tmp_path / "data").mkdir()
    write_lines(tmp_path / "data" / "a.jsonl", [{"id": "1", "text": ARTICLE, "label": "x"}])
    write_lines(tmp_path / "chats.jsonl", conversations(4))
    answer = {"prompt": [{"role": "user", "content": "hi"}], "response": "x", "model": "m", "sample": 0}
    write_lines(tmp_path / "answers.jsonl", [{"id": str(i), **answer} for i in range(3)])
    for folder in ("nothing", "model", "tokens", "odd"):
        (tmp_path / folder).mkdir()
    (tmp_path / "model" / "config.json").write_text("{}")
    (tmp_path / "tokens" / "tokens.json").write_text("{}")
    (tmp_path / "odd" / "a.xlsx").write_bytes(b"PK\x03\x04" + bytes(100))
    for file in ("file", "empty.jsonl"):
        (tmp_path / file).touch()
    (tmp_path / "it.yaml").write_text(RECIPE + "stages: [length]\n")
    (tmp_path / "sft.yaml").write_text(TRAINING)
    monkeypatch.chdir(tmp_path)
    return tmp_path


@pytest.fixture
def said(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> Said:
    """Runs a command that fails, and gives its error, which has to be one line."""

    def run(*arguments: str) -> str:
        monkeypatch.setattr("sys.argv", ["raylib", *arguments])
        with pytest.raises(SystemExit) as ended:
            main()
        assert ended.value.code == 1
        lines = [line for line in capsys.readouterr().err.splitlines() if not line.startswith("warning: ")]
        assert len(lines) == 1, lines
        assert lines[0].startswith("error: ")
        return lines[0]

    return run
