"""An S3-compatible server, and buckets on it."""

from __future__ import annotations

import subprocess
import sys
import time
import urllib.request
from collections.abc import Callable, Iterator
from pathlib import Path

import pyarrow.fs as pafs
import pytest

from raylib.storage.entry import RunHeader, ShardEntry, StreamEntry
from raylib.storage.manifest import Manifest
from raylib.storage.names import Phase, ShardName
from raylib.storage.store import Store
from tests.ports import free_port


@pytest.fixture(scope="module")
def server() -> Iterator[str]:
    pytest.importorskip("moto")
    port = free_port()
    command = [sys.executable, "-m", "moto.server", "-H", "127.0.0.1", "-p", str(port)]
    process = subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    for _ in range(200):
        try:
            urllib.request.urlopen(f"http://127.0.0.1:{port}/moto-api/", timeout=1).close()
            break
        except OSError:
            time.sleep(0.1)
    yield f"127.0.0.1:{port}"
    process.kill()
    process.wait()


@pytest.fixture
def bucket(server: str, monkeypatch: pytest.MonkeyPatch) -> Iterator[Callable[[str], str]]:
    """Gives the query of URIs that lead to a store at an address; a bucket `faulty` is there."""
    monkeypatch.setenv("AWS_ACCESS_KEY_ID", "test")
    monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", "test")

    def query(address: str) -> str:
        return f"?scheme=http&endpoint_override={address}&region=us-east-1&allow_bucket_creation=true"

    system, _ = pafs.FileSystem.from_uri(f"s3://faulty/{query(server)}")
    system.create_dir("faulty")
    yield query
    system.delete_dir_contents("faulty")


@pytest.fixture
def store_of_a_run(tmp_path: Path) -> Store:
    """A folder with a kept file, and a manifest of one shard and one stream."""
    store = Store(str(tmp_path))
    store.write("kept/a", b"12345")
    manifest = Manifest(store)
    manifest.append(RunHeader("run", 1.0, {}, 5, ("length",)))
    manifest.append(ShardEntry(Phase.segment(0), ShardName(0), "key", {"kept/a": 5}, records_in=3))
    manifest.append(StreamEntry(ShardName(0), "whole", 1))
    return store
