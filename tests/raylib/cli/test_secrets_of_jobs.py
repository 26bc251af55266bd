"""What `raylib submit` does not send: files with secrets, and command lines that name them."""

from __future__ import annotations

from pathlib import Path

import pytest
from typer.testing import CliRunner

from raylib.cli import app
from raylib.cli.jobs import _SECRETS, _secrets_below
from raylib.cluster.connection import close_token_to_others
from raylib.errors import RaylibError

SECRET = [".env", ".env.local", "deploy/prod.env", "keys/id_rsa", "keys/server.pem", ".netrc", ".aws", "a/b/.ssh"]
OTHER = ["recipe.yaml", "environment.yml", "data/keys.jsonl", "id.txt", "src/pem.py"]


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    for name in (*SECRET, *OTHER, ".aws/credentials", "a/b/.ssh/config"):
        path = tmp_path / name
        if name in (".aws", "a/b/.ssh"):
            path.mkdir(parents=True)
        else:
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_text("geheim", "utf-8")
    return tmp_path


def test_files_that_may_hold_secrets_are_found(folder: Path) -> None:
    assert _secrets_below(folder) == sorted(SECRET)


def test_ray_leaves_them_out_of_the_package(folder: Path, tmp_path_factory: pytest.TempPathFactory) -> None:
    import zipfile

    from ray._private.runtime_env import packaging

    package = tmp_path_factory.mktemp("package") / "package.zip"
    packaging._zip_files(folder, list(_SECRETS), package, include_parent_dir=False, include_gitignore=True)
    with zipfile.ZipFile(package) as archive:
        packed = {name for name in archive.namelist() if not name.endswith("/")}
    assert packed == set(OTHER)


def test_a_secret_in_a_command_line_is_not_submitted() -> None:
    for words in (
        ["env", "OPENAI_API_KEY=sk-geheim", "raylib"],
        ["raylib", "run", "--set", "input.path=s3://a:geheim@b"],
    ):
        done = CliRunner().invoke(app, ["submit", "--", *words])
        assert isinstance(done.exception, RaylibError)
        assert "geheim" not in str(done.exception)


def test_the_token_of_ray_is_closed_to_others(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    file = tmp_path / "auth_token"
    file.write_text("x")
    file.chmod(0o644)
    monkeypatch.setenv("RAY_AUTH_TOKEN_PATH", str(file))
    close_token_to_others()
    assert file.stat().st_mode & 0o777 == 0o600
