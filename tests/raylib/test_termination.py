"""Ctrl-C and SIGTERM end a command in seconds, also one that hangs in a place that cannot be interrupted."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time

import pytest

from raylib.termination import CONTINUES
from tests.processes import gone

pytestmark = pytest.mark.faults

# A library that catches the interrupt and goes on waiting, a thread that fails, and a helper in a group of its own.
STUCK = """
import subprocess, sys, threading, time
from raylib import termination
termination.install()
helper = subprocess.Popen(["sleep", "60"], start_new_session=True)
termination.also_ends(helper.pid)
def failing():
    time.sleep(1.5)
    raise KeyError("a queue that is gone")
threading.Thread(target=failing).start()
while True:
    try:
        print(helper.pid, flush=True)
        time.sleep(60)
    except KeyboardInterrupt:
        continue
"""


# A library that joins something that does not answer, and has a handler of its own.
JOINING = """
import signal, sys, time
from raylib import termination
termination.install()
with termination.kept():
    signal.signal(signal.SIGTERM, lambda *_: print("a stack", file=sys.stderr))
    print(0, flush=True)
    deadline = time.monotonic() + SECONDS
    while time.monotonic() < deadline:
        time.sleep(0.1)
"""


@pytest.mark.parametrize("seconds", [1, 60])
def test_sigterm_while_a_library_joins(seconds: int) -> None:
    code = JOINING.replace("SECONDS", str(seconds))
    with subprocess.Popen([sys.executable, "-c", code], stdout=subprocess.PIPE, stderr=subprocess.PIPE) as process:
        assert process.stdout is not None
        assert process.stderr is not None
        process.stdout.readline()
        os.kill(process.pid, signal.SIGTERM)
        status = process.wait(30)
        said = process.stderr.read().decode()
    assert "a stack" not in said
    if seconds == 60:
        assert (status, said) == (143, f"{CONTINUES}\n")
    else:
        assert "KeyboardInterrupt" in said, "the command ends it with its own words"


@pytest.mark.parametrize(("sent", "status"), [(signal.SIGINT, 130), (signal.SIGTERM, 143)])
@pytest.mark.parametrize("times", [1, 2])
def test_a_command_that_hangs(sent: signal.Signals, status: int, times: int) -> None:
    with subprocess.Popen([sys.executable, "-c", STUCK], stdout=subprocess.PIPE, stderr=subprocess.PIPE) as process:
        assert process.stdout is not None
        assert process.stderr is not None
        helper = int(process.stdout.readline())
        time.sleep(0.2)
        for _ in range(times):
            os.kill(process.pid, sent)
            time.sleep(0.2)
        assert process.wait(30) == status
        assert process.stderr.read().decode() == f"{CONTINUES}\n"
    assert gone(helper)


# A library that comes back to Python in an hour, so that no handler runs; and a child that is forked.
LOST = """
import hashlib, multiprocessing, os, signal, time
from raylib import termination
termination.install()
child = multiprocessing.get_context("fork").Process(target=time.sleep, args=(60,))
child.start()
os.kill(child.pid, signal.SIGTERM)  # as a pool ends its workers
child.join()
time.sleep(6)
print("alive", flush=True)
hashlib.pbkdf2_hmac("sha256", b"x", b"y", 2_000_000_000)
"""


@pytest.mark.parametrize(("sent", "status"), [(signal.SIGINT, 130), (signal.SIGTERM, 143)])
def test_a_library_that_runs_no_handler(sent: signal.Signals, status: int) -> None:
    with subprocess.Popen([sys.executable, "-c", LOST], stdout=subprocess.PIPE, stderr=subprocess.PIPE) as process:
        assert process.stdout is not None
        assert process.stderr is not None
        assert process.stdout.readline() == b"alive\n", "the end of a child is not that of its parent"
        time.sleep(0.5)
        os.kill(process.pid, sent)
        assert process.wait(30) == status
        assert process.stderr.read().decode().endswith(f"{CONTINUES}\n")


# A command that a signal is meant to end, as `raylib dashboard` holds a tunnel open.
MEANT = """
import time
from raylib import termination
termination.install()
try:
    print("open", flush=True)
    time.sleep(60)
except KeyboardInterrupt:
    termination.ended_as_meant()
    time.sleep(5)  # longer than what is left to others
    print("closed")
"""


@pytest.mark.parametrize("sent", [signal.SIGINT, signal.SIGTERM])
def test_a_command_that_a_signal_is_meant_to_end(sent: signal.Signals) -> None:
    with subprocess.Popen([sys.executable, "-c", MEANT], stdout=subprocess.PIPE) as process:
        assert process.stdout is not None
        assert process.stdout.readline() == b"open\n"
        os.kill(process.pid, sent)
        assert process.stdout.read() == b"closed\n"
        assert process.wait(30) == 0
