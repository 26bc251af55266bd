"""Commands that belong to no other area."""

from __future__ import annotations

import pytest
from typer.testing import CliRunner

from raylib.cli import app
from raylib.errors import RaylibError
from tests.ports import free_port


def test_versions_are_an_option_and_a_command() -> None:
    option, command = (CliRunner().invoke(app, [word]) for word in ("--version", "version"))
    assert option.exit_code == 0
    assert option.output == command.output
    assert option.output.startswith("raylib ")
    assert "pyarrow " in option.output


@pytest.mark.parametrize("command", [["status"], ["logs", "job"], ["stop", "job"], ["submit", "--", "true"]])
def test_a_cluster_that_does_not_answer_is_named(command: list[str], monkeypatch: pytest.MonkeyPatch) -> None:
    address = f"http://127.0.0.1:{free_port()}"
    monkeypatch.setenv("RAY_API_SERVER_ADDRESS", address)
    done = CliRunner().invoke(app, command)
    assert isinstance(done.exception, RaylibError)
    assert str(done.exception).startswith(f"no cluster answers at {address}: ")
    assert str(done.exception).endswith("give --address http://HEAD:8265")
