"""What `raylib dashboard` reads from a cluster file; `test_ray_submit` opens the tunnel over a real ssh server."""

from __future__ import annotations

import importlib
from pathlib import Path

import pytest
import yaml

from raylib.cluster.connection import token
from raylib.cluster.dashboard import Head, accepts, head_of
from raylib.errors import RaylibError
from tests.ports import free_port

ROOT = Path(__file__).parents[3]


def test_the_shipped_file_says_where_the_head_is_and_how_to_log_in() -> None:
    head = head_of(ROOT / "cluster.yaml")
    assert head == Head("raylib", str(ROOT / "cluster.yaml"), "192.0.2.10", "ubuntu", "~/.ssh/id_ed25519")
    command = head.ssh(8266, 8265)
    assert command[-4:] == ["-L", "127.0.0.1:8266:127.0.0.1:8265", "ubuntu@192.0.2.10", "cat >/dev/null"]
    assert str(Path("~/.ssh/id_ed25519").expanduser()) in command


def test_a_proxy_of_the_file_is_used() -> None:
    head = Head("c", "c.yaml", "10.0.0.1", "me", proxy="nc -x proxy:1080 %h %p")
    assert "ProxyCommand=nc -x proxy:1080 %h %p" in head.ssh(1, 2)
    assert "IdentitiesOnly=yes" not in head.ssh(1, 2), "without a key, ssh finds one"


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"provider": None}, "provider is missing"),
        ({"auth": "ubuntu"}, "auth is missing"),
        ({"provider": {"type": "local"}}, "provider.head_ip is missing"),
        ({"auth": {}}, "auth.ssh_user is missing"),
    ],
)
def test_a_missing_field_is_named(tmp_path: Path, change: dict[str, object], message: str) -> None:
    file = tmp_path / "c.yaml"
    file.write_text(yaml.safe_dump(yaml.safe_load((ROOT / "cluster.yaml").read_text()) | change))
    with pytest.raises(RaylibError, match=rf"c\.yaml: {message}"):
        head_of(file)


@pytest.mark.parametrize("content", ["- a list", "a: b: c", "\x00"])
def test_a_file_of_something_else_is_an_error_in_one_line(tmp_path: Path, content: str) -> None:
    file = tmp_path / "c.yaml"
    file.write_text(content)
    with pytest.raises(RaylibError, match=r"c\.yaml") as raised:
        head_of(file)
    assert "\n" not in str(raised.value)


def test_nobody_answers() -> None:
    with pytest.raises(RaylibError, match=r"no dashboard answers at http://localhost:\d+: "):
        accepts(f"http://localhost:{free_port()}", "")


def test_the_token_is_that_of_the_variable(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("RAY_AUTH_TOKEN", "secret")
    loader = importlib.import_module("ray._raylet").AuthenticationTokenLoader.instance()
    loader.reset_cache()
    assert token() == "secret"
    monkeypatch.undo()
    loader.reset_cache()
