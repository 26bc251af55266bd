"""An address at which no cluster is: noticed in seconds, with the words that name it."""

from __future__ import annotations

import contextlib
import http.server
import re
import socket
import threading
from collections.abc import Iterator
from pathlib import Path

import pytest

from raylib.cluster.connection import address_of_environment, check_reachable, starts_own_cluster
from raylib.errors import RaylibError
from raylib.recipe import EngineOptions


def closed_port() -> int:
    with socket.create_server(("127.0.0.1", 0)) as server:
        return int(server.getsockname()[1])


@contextlib.contextmanager
def web_server() -> Iterator[int]:
    with http.server.HTTPServer(("127.0.0.1", 0), http.server.BaseHTTPRequestHandler) as server:
        threading.Thread(target=server.serve_forever, daemon=True).start()
        yield server.server_port
        server.shutdown()


@contextlib.contextmanager
def silent_server() -> Iterator[int]:
    with socket.create_server(("127.0.0.1", 0)) as server:
        yield server.getsockname()[1]


@pytest.mark.parametrize("scheme", ["", "ray://"])
def test_nothing_listens(scheme: str) -> None:
    address = f"{scheme}127.0.0.1:{closed_port()}"
    said = f"no Ray cluster answers at {address} (RAY_ADDRESS); start one with `ray start --head`"
    with pytest.raises(RaylibError, match=re.escape(said)):
        check_reachable(address, "RAY_ADDRESS")


@pytest.mark.parametrize("server", [web_server, silent_server])
def test_something_else_listens(server: object, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("raylib.cluster.connection._PATIENCE", 1.0)
    with server() as port, pytest.raises(RaylibError, match="no Ray cluster answers at 127"):  # type: ignore[operator]
        check_reachable(f"127.0.0.1:{port}", "")


@pytest.mark.parametrize("address", ["head", "head:", ":6379", "http://head", "head:port"])
def test_what_is_no_address(address: str) -> None:
    with pytest.raises(RaylibError, match=r"RAY_ADDRESS '.*' is not the address of a cluster; write HOST:PORT"):
        check_reachable(address, "RAY_ADDRESS")


def test_the_address_of_the_environment(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("RAY_TMPDIR", str(tmp_path))
    monkeypatch.delenv("RAY_ADDRESS", raising=False)
    assert address_of_environment() == ("", "")
    monkeypatch.setenv("RAY_ADDRESS", "a:1")
    assert address_of_environment() == ("a:1", "RAY_ADDRESS")
    assert address_of_environment("b:2") == ("b:2", "")
    monkeypatch.setenv("RAY_ADDRESS", "auto")
    assert address_of_environment() == ("", "")
    note = tmp_path / "ray" / "ray_current_cluster"
    note.parent.mkdir()
    note.write_text("10.0.0.1:6379")
    assert address_of_environment() == ("10.0.0.1:6379", str(note))


@pytest.mark.parametrize(
    ("environment", "address", "own"),
    [("", "", True), ("local", "", True), ("", "local", True), ("a:1", "", False), ("", "a:1", False)],
)
def test_who_starts_a_cluster(environment: str, address: str, own: bool, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("raylib.cluster.connection.is_connected", lambda: False)
    monkeypatch.setenv("RAY_ADDRESS", environment)
    assert starts_own_cluster(EngineOptions(address=address)) is own
