"""Tasks that take long are named with the process that works on them, and one that is stopped with what helps."""

from __future__ import annotations

import os
import platform
import signal
import subprocess
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from raylib.engine import slowness
from raylib.engine.actor import Born
from raylib.engine.slowness import Slowness, end_worker
from raylib.engine.tasks import ShardTask
from raylib.locking import this_machine
from raylib.storage.names import ShardName

TASK = ShardTask(1, ShardName(12, 3), "key")


@pytest.fixture
def worker() -> Iterator[Born]:
    """A process of this machine."""
    with subprocess.Popen(["sleep", "60"]) as process:
        yield Born(platform.node(), process.pid, this_machine(), ())
        process.kill()


def test_a_task_is_named_when_its_time_has_doubled(worker: Born, caplog: pytest.LogCaptureFixture) -> None:
    slow = Slowness(None)
    for seconds in (60, 119, 121, 200, 243, 400, 500):
        assert not slow.is_over(TASK, time.monotonic() - seconds, worker)
    # each of these began at another moment, so each is a task of its own
    assert len(caplog.messages) == 5
    caplog.clear()
    begun = time.monotonic() - 300
    for _ in range(3):
        slow.is_over(TASK, begun, worker)
    said = f"shard 00012-00003 has been running for 5 minutes (process {worker.process} on {worker.host})"
    assert caplog.messages == [said]


def test_a_task_is_not_long_where_all_are(worker: Born, caplog: pytest.LogCaptureFixture) -> None:
    slow = Slowness(None)
    slow.note(600)
    slow.is_over(TASK, time.monotonic() - 2000, worker)
    assert caplog.messages == []


def test_a_limit(worker: Born) -> None:
    slow = Slowness(0.5)
    assert not slow.is_over(TASK, time.monotonic() - 20, worker)
    assert slow.is_over(TASK, time.monotonic() - 31, worker)
    assert slow.fault.text == "took longer than engine.task_minutes = 0.5"


def test_a_stopped_process_is_named_once_and_can_be_ended(
    worker: Born, caplog: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(slowness, "_STOPPED", 0.2)
    os.kill(worker.process, signal.SIGSTOP)
    slow = Slowness(None)
    for _ in range(8):
        slow.is_over(TASK, time.monotonic(), worker)
        time.sleep(0.1)
    said = (
        f"process {worker.process}, which works on shard 00012-00003, has been stopped; "
        f"`kill -CONT {worker.process}` lets it go on"
    )
    assert caplog.messages == [said]
    end_worker(worker)
    for _ in range(100):
        if Path(f"/proc/{worker.process}/stat").read_text().rpartition(")")[2].split()[0] == "Z":
            return
        time.sleep(0.1)
    pytest.fail("it lives on")
