"""`raylib verify`: a table or JSON, and an exit code."""

from __future__ import annotations

from pathlib import Path

import orjson
import pytest
from typer.testing import CliRunner

from raylib.cli.app import app
from raylib.engine import run
from tests.raylib.engine.runs import recipe, rows


@pytest.fixture
def out(tmp_path: Path) -> Path:
    (tmp_path / "in.jsonl").write_bytes(b"".join(orjson.dumps(row) + b"\n" for row in rows(50)))
    run(recipe(tmp_path / "in.jsonl", tmp_path / "out", [{"length": {"min": 10}}]))
    return tmp_path / "out"


def test_a_whole_folder(out: Path) -> None:
    said = CliRunner().invoke(app, ["verify", str(out)])
    assert said.exit_code == 0, said.output
    assert "whole: every file is as it was written" in said.output
    assert "50 records in, 50 kept, 0 rejected" in said.output


def test_a_damaged_folder_names_the_file_and_what_to_do(out: Path) -> None:
    file = next((out / "kept").iterdir())
    file.write_bytes(file.read_bytes()[:-1] + b"x")
    said = CliRunner().invoke(app, ["verify", str(out)])
    assert said.exit_code == 1
    assert f"the content of {file} has changed" in said.output
    assert "run the same command again (raylib run RECIPE)" in said.output
    as_json = CliRunner().invoke(app, ["verify", str(out), "--json"])
    assert as_json.exit_code == 1
    found = orjson.loads(as_json.output)
    assert not found["whole"]
    assert found["areas"]["kept records"] == {
        "files": 1,
        "bytes": file.stat().st_size,
        "damaged": 1,
        "missing": 0,
        "unsummed": 0,
    }


def test_a_token_folder(tmp_path: Path) -> None:
    from raylib.storage.token_folder import file_sums

    (tmp_path / "tokens.bin").write_bytes(b"1234")
    described = {"files": file_sums(tmp_path, ["tokens.bin", "targets.bin"])}
    (tmp_path / "tokens.json").write_bytes(orjson.dumps(described))
    assert CliRunner().invoke(app, ["verify", str(tmp_path)]).exit_code == 0
    (tmp_path / "tokens.bin").write_bytes(b"1235")
    said = CliRunner().invoke(app, ["verify", str(tmp_path)])
    assert said.exit_code == 1
    assert "tokens.bin has changed" in said.output
    assert "raylib tokenize" in said.output
