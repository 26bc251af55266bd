"""A machine on which Ray's processes take too long to find each other gets another try, while it has time for it."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from raylib.cluster import local
from raylib.cluster.local import LocalCluster
from raylib.errors import RaylibError

# In place of Ray, whose 30 seconds cannot be set: it fails as Ray does, as often as the file has characters.
SLOW = """
import pathlib, sys
file = pathlib.Path({file!r})
left = file.read_text()
file.write_text(left[1:])
if left:
    raise Exception("The current node {said}. This could happen because the GCS has become overloaded.")
print('{answer}', flush=True)
sys.stdin.read()
"""


def slow_cluster(monkeypatch: pytest.MonkeyPatch, file: Path, times: int, said: str) -> LocalCluster:
    file.write_text("x" * times)
    script = SLOW.format(file=str(file), said=said, answer=json.dumps("127.0.0.1:1"))
    monkeypatch.setattr(local, "_HELPER", script)
    return LocalCluster(1, None)


def address_of(cluster: LocalCluster) -> str:
    while (found := cluster.address(wait=1.0)) is None:
        continue
    return found


def test_a_slow_start_is_tried_again(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    cluster = slow_cluster(monkeypatch, tmp_path / "left", 2, "timed out during startup")
    cluster.start()
    try:
        assert address_of(cluster) == "127.0.0.1:1"
    finally:
        cluster.stop()
    assert sum("trying again" in message for message in caplog.messages) == 2


def test_another_failure_ends_at_once(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    cluster = slow_cluster(monkeypatch, tmp_path / "left", 1, "has no memory")
    cluster.start()
    try:
        with pytest.raises(RaylibError, match=r"could not be started: .*has no memory"):
            address_of(cluster)
    finally:
        cluster.stop()
