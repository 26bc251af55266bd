"""Folders that someone else made or damaged: commands that look at them name the file in one line."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from raylib.cli.app import main
from raylib.errors import RaylibError, TrainingError
from raylib.report.live import RunView
from tests.raylib.cli.conftest import Said
from training.data.token_set import TokenSet

COMMANDS = {
    "summary.json": ("inspect", "out"),
    "samples.json": ("diff", "out"),
    "decisions.json": ("review", "out"),
}
CONTENTS = {
    "cut": b'{"name": "x", ',
    "another": b"[]",
    "empty": b"{}",
    "null": b"null",
    "deep": b'{"kept":' * 5000,
    "wide": b'{"kept": [' + b"[]," * 4_000_000 + b"[]]}",
}


def ended_with(monkeypatch: pytest.MonkeyPatch, *arguments: str) -> object:
    """Exit status of a command."""
    monkeypatch.setattr("sys.argv", ["raylib", *arguments])
    with pytest.raises(SystemExit) as ended:
        main()
    return ended.value.code or 0


@pytest.fixture
def run(project: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> Path:
    """The folder of a finished run."""
    assert ended_with(monkeypatch, "run", "it.yaml", "-q") == 0
    capsys.readouterr()
    return project / "out"


@pytest.mark.parametrize("content", CONTENTS)
@pytest.mark.parametrize("name", COMMANDS)
def test_a_damaged_file_of_a_run_is_named(run: Path, said: Said, name: str, content: str) -> None:
    (run / name).write_bytes(CONTENTS[content])
    assert f"out/{name} is " in said(*COMMANDS[name])


def test_every_value_of_a_summary_is_checked(run: Path) -> None:
    whole = json.loads((run / "summary.json").read_bytes())
    assert RunView(str(run)).state()["status"] == "finished"
    for name, value in whole.items():
        for other in (None, [5], {"a": [5]}, "5", -1):
            (run / "summary.json").write_text(json.dumps(whole | {name: other}))
            try:
                RunView(str(run)).state()
            except RaylibError as error:
                said = str(error)
            else:
                said = ""
            right = type(value) is type(other) or other in (None, -1)
            named = f"out/summary.json is damaged, or made by another program: {name}" in said
            assert named or (right and not said), (name, other, said)


def test_a_damaged_summary_does_not_stop_the_next_run(run: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    whole = json.loads((run / "summary.json").read_bytes())
    for content in CONTENTS.values():
        (run / "summary.json").write_bytes(content)
        assert ended_with(monkeypatch, "run", "it.yaml", "-q") == 0
        assert json.loads((run / "summary.json").read_bytes())["records_kept"] == whole["records_kept"]


@pytest.mark.parametrize("content", [b"{", b"[]", b'{"tokens": "many"}', b'{"files": {"../x": "5"}}', b"[" * 9000])
def test_a_damaged_folder_of_tokens_is_named(
    project: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], content: bytes
) -> None:
    (project / "tokens" / "tokens.json").write_bytes(content)
    with pytest.raises(TrainingError, match=r"tokens/tokens\.json is damaged"):
        TokenSet("tokens")
    if b"many" not in content:  # which `verify` does not look at
        assert ended_with(monkeypatch, "verify", "tokens") == 1
        assert "tokens/tokens.json is damaged" in capsys.readouterr().out
