"""Locks of folders and files: two processes, a killed one, and holders on other machines."""

from __future__ import annotations

import logging
import os
import platform
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path

import pytest

from raylib.errors import LockedError
from raylib.locking import LOCK_NAME, Holder, Lock, locked, locked_file

HOLD = """
import sys
from raylib.locking import locked
with locked(sys.argv[1]):
    print("held", flush=True)
    sys.stdin.read()
"""


@contextmanager
def another_process(folder: Path) -> Iterator[subprocess.Popen[str]]:
    """A process that holds the lock of a folder until it is killed or the block ends."""
    command = [sys.executable, "-c", HOLD, str(folder)]
    with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True) as process:
        assert process.stdout is not None
        assert process.stdout.readline() == "held\n"
        try:
            yield process
        finally:
            process.kill()


def leave(folder: Path, host: str, age: float) -> Holder:
    """A lock file as a process of another machine leaves it when it is killed."""
    holder = replace(Holder.this(), host=host, pid=1234)
    path = folder / LOCK_NAME
    path.write_bytes(holder.to_bytes())
    os.utime(path, (time.time() - age,) * 2)
    return holder


def check_for_seconds(lock: Lock) -> None:
    for _ in range(500):
        lock.check()
        time.sleep(0.01)


def test_a_second_process_is_told_who_holds_the_folder(tmp_path: Path) -> None:
    with another_process(tmp_path) as holder:
        before = (tmp_path / LOCK_NAME).read_bytes()
        with pytest.raises(LockedError) as error, locked(tmp_path, "out/it"):
            pass
        assert str(error.value).startswith(
            f"another process is writing to out/it: pid {holder.pid} on host {platform.node()}, since 20"
        )
        assert (tmp_path / LOCK_NAME).read_bytes() == before


def test_a_killed_process_leaves_no_lock(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    with another_process(tmp_path) as holder:
        holder.kill()
        holder.wait()
        assert (tmp_path / LOCK_NAME).exists()
        with locked(tmp_path):
            pass
    assert not caplog.records
    assert list(tmp_path.iterdir()) == []


def test_threads_of_a_process_exclude_each_other(tmp_path: Path) -> None:
    taken: list[int] = []
    refused: list[int] = []
    begin = threading.Barrier(8)

    def work(number: int) -> None:
        begin.wait()
        for _ in range(50):
            try:
                with locked(tmp_path):
                    taken.append(number)
                    assert taken[-1] == number
            except LockedError:
                refused.append(number)

    threads = [threading.Thread(target=work, args=(n,)) for n in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len(taken) + len(refused) == 400
    assert taken
    assert list(tmp_path.iterdir()) == []


def test_a_recent_holder_on_another_machine_is_respected(tmp_path: Path) -> None:
    holder = leave(tmp_path, "far-away", age=20)
    with (
        pytest.raises(LockedError, match=r"pid 1234 on host far-away.*its lock ends in (39|4.) s"),
        locked(tmp_path),
    ):
        pass
    assert Holder.read((tmp_path / LOCK_NAME).read_bytes()) == holder


def test_a_stale_holder_on_another_machine_is_replaced_with_a_warning(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    leave(tmp_path, "far-away", age=90)
    with caplog.at_level(logging.WARNING), locked(tmp_path, "out"):
        mine = Holder.read((tmp_path / LOCK_NAME).read_bytes())
        assert mine is not None
        assert (mine.host, mine.pid) == (platform.node(), os.getpid())
    assert [r.getMessage() for r in caplog.records] == [
        "out: taken over from pid 1234 on host far-away, which has given no sign of life for 90 s"
    ]


def test_signs_of_life(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("raylib.locking.holding.BEAT_SECONDS", 0.05)
    with locked(tmp_path) as lock:
        path = tmp_path / LOCK_NAME
        os.utime(path, (1, 1))
        while path.stat().st_mtime < 2:
            time.sleep(0.01)
        lock.check()


def test_a_process_that_lost_its_lock_stops(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("raylib.locking.holding.BEAT_SECONDS", 0.05)
    with locked(tmp_path) as lock:
        other = leave(tmp_path, "far-away", age=0)
        with pytest.raises(LockedError, match="was taken over by pid 1234 on host far-away"):
            check_for_seconds(lock)
    assert Holder.read((tmp_path / LOCK_NAME).read_bytes()) == other, "the lock of the other one stays"


def test_a_file_has_its_lock_beside_it(tmp_path: Path) -> None:
    file = tmp_path / "answers.jsonl"
    with locked_file(file), pytest.raises(LockedError, match=r"answers\.jsonl"), locked_file(file):
        pass
    assert list(tmp_path.iterdir()) == []


def test_another_process_with_the_same_number_is_not_the_holder() -> None:
    with subprocess.Popen([sys.executable, "-c", "import time; time.sleep(60)"]) as process:
        try:
            holder = replace(Holder.this(), pid=process.pid, ticks=0)
            assert not holder.is_dead
            began = time.time() - 3600
            assert replace(holder, started=began).is_dead, "it took the lock before this process began"
        finally:
            process.kill()
        other = Holder.this()
        assert not replace(other, started=began).is_dead, "the clock of the machine was set"
        assert replace(other, ticks=other.ticks - 1).is_dead, "an earlier process with this number"


def test_a_lock_that_gave_no_sign_of_life_is_looked_at_before_anything_is_written(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """As after a sleep: the thread that gives signs of life has not come to its turn yet."""
    with locked(tmp_path) as lock:
        leave(tmp_path, "far-away", age=0)
        lock.check()
        monkeypatch.setattr(lock, "_beaten", lock._beaten - 40)
        with pytest.raises(LockedError, match="was taken over by pid 1234 on host far-away"):
            lock.check()


def test_a_process_of_another_container_cannot_be_seen() -> None:
    holder = replace(Holder.this(), pid=2**22 - 1, machine="other/1")
    assert not holder.is_dead
    assert not holder.shares_locks
    assert replace(holder, machine="").is_dead
