"""The command line: every command, argument and option that users may rely on, and how errors end."""

from __future__ import annotations

import importlib
import logging
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import typer
from typer.testing import CliRunner

from raylib.cli import app, logs
from raylib.cli.app import main
from raylib.errors import ParameterError

COMMANDS = {  # command: its arguments, and its options
    "classifier apply": ("model source", "--column --out --quiet -o -q"),
    "classifier evaluate": ("model source", "--json --label --text"),
    "classifier mixture": ("source", "--by --json --tokenizer"),
    "classifier train": ("source", "--label --out --seed --set --test-share --text --tune -o"),
    "count": ("source", "--tokenizer"),
    "dashboard": ("cluster", "--port --remote-port"),
    "dedup": ("source", "--embedding --fresh --method --out --quiet --resume --set --threshold -o -q"),
    "diff": ("out", "--rule --samples -n -r"),
    "doctor": ("output", ""),
    "evaluate ppl": ("model tokens", "--length"),
    "evaluate safety": ("models", "--base-url --judge --limit --max-new-tokens --out --prompts -o"),
    "evaluate winrate": ("first second", "--base-url --cache --judge --out -o"),
    "export": ("run", "--dtype --out --which -o"),
    "generate": (
        "model prompts",
        "--batch --endpoint --engine --limit --max-new-tokens --out --samples --seed --temperature --top-p -o",
    ),
    "import": ("file", "--out -o"),
    "index build": ("index source", "--ngram --threshold --unit"),
    "index query": ("index text", "--min-similarity -k"),
    "index update": ("index source", ""),
    "inspect": ("path", "--encoding --limit --samples -n"),
    "logs": ("job", "--address --follow -f"),
    "pairs": ("answers", "--base-url --judge --margin --max-length-ratio --out --per-prompt --reward-model -o"),
    "perplexity train": ("source", "--max-entries --order --out -o"),
    "report diversity": ("sets", "--clusters --color --colour --embedding --out --perplexity --points --seed -o"),
    "rules": ("name", ""),
    "run": ("recipe", "--address --fresh --limit --quiet --resume --set -q"),
    "status": ("job", "--address --limit"),
    "stop": ("job", "--address --wait"),
    "submit": ("command", "--address --name --no-wait --wait --working-dir"),
    "tokenize": ("source", "--kind --max-prompt --max-tokens --out --seed --template --tokenizer -o"),
    "train": ("config", "--address --mode --set"),
    "ui": ("out", "--host --port"),
    "version": ("", ""),
    "schema": ("kind", ""),
}


def leaves(command: Any, path: str = "") -> Iterator[tuple[str, Any]]:
    """All commands that are not groups."""
    for name, child in command.commands.items():
        if hasattr(child, "commands"):
            yield from leaves(child, f"{path} {name}".strip())
        else:
            yield f"{path} {name}".strip(), child


FOUND = dict(leaves(typer.main.get_command(app)))


def test_no_command_is_missing() -> None:
    assert set(COMMANDS) - set(FOUND) == set()


@pytest.mark.parametrize("name", sorted(COMMANDS))
def test_arguments_and_options(name: str) -> None:
    arguments, options = COMMANDS[name]
    parameters = FOUND[name].params
    assert [p.name for p in parameters if p.param_type_name == "argument"] == arguments.split()
    found = {o for p in parameters if p.param_type_name == "option" for o in (*p.opts, *p.secondary_opts)}
    assert set(options.split()) - found == set()


@pytest.mark.parametrize("name", sorted(FOUND))
def test_every_command_and_parameter_has_a_help_text(name: str) -> None:
    assert FOUND[name].help
    assert [p.name for p in FOUND[name].params if not p.help and p.name != "help"] == []


def test_wrong_input_is_one_line(tmp_path: Path) -> None:
    command = [sys.executable, "-m", "raylib", "run", str(tmp_path / "none.yaml")]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert done.returncode == 1
    assert done.stderr.startswith("error: cannot read ")
    assert done.stderr.count("\n") == 1


def failing_with(error: BaseException, monkeypatch: pytest.MonkeyPatch) -> None:
    """Make the application fail."""

    def fail(**_: object) -> None:
        raise error

    monkeypatch.setattr(importlib.import_module("raylib.cli.app"), "app", fail)


def test_a_parameter_error_is_one_line(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    failing_with(ParameterError("k must be positive, is -1"), monkeypatch)
    with pytest.raises(SystemExit) as ended:
        main()
    assert ended.value.code == 1
    assert capsys.readouterr().err == "error: k must be positive, is -1\n"


def test_a_mistake_of_ours_shows_its_traceback(monkeypatch: pytest.MonkeyPatch) -> None:
    failing_with(ValueError("not a user's mistake"), monkeypatch)
    with pytest.raises(ValueError, match="not a user's mistake"):
        main()


def test_an_interrupted_command_says_how_to_continue(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    failing_with(SystemExit(130), monkeypatch)
    with pytest.raises(SystemExit) as ended:
        main()
    assert ended.value.code == 130
    assert "run the same command again to continue" in capsys.readouterr().err


@pytest.mark.parametrize(
    ("options", "shown"),
    [
        ([], {"WARNING", "ERROR"}),
        (["-v"], {"INFO", "WARNING", "ERROR"}),
        (["-vv"], {"DEBUG", "INFO", "WARNING", "ERROR"}),
        (["--quiet"], {"ERROR"}),
    ],
)
def test_options_of_the_application_choose_what_is_logged(
    options: list[str], shown: set[str], capsys: pytest.CaptureFixture[str]
) -> None:
    try:
        assert CliRunner().invoke(app, [*options, "version"]).exit_code == 0
        for level in (logging.DEBUG, logging.INFO, logging.WARNING, logging.ERROR):
            logging.getLogger("training.some.module").log(level, "a message")
        lines = capsys.readouterr().err.splitlines()
        assert {line.split()[1] for line in lines} == shown
        assert all(line.endswith("training.some.module: a message") for line in lines)
    finally:
        logs.configure()
