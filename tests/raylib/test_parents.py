"""Workers do not outlive the process that they work for."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time

import psutil
import pytest

from tests.processes import gone

pytestmark = pytest.mark.faults

WORKER = "import os, sys, time; from raylib.parents import end_with; end_with(int(sys.argv[1])); time.sleep(60)"
OWNER = (
    "import os, subprocess, sys, time; "
    f"print(subprocess.Popen([sys.executable, '-c', {WORKER!r}, str(os.getpid())]).pid, flush=True); time.sleep(60)"
)


def test_a_worker_ends_with_its_parent() -> None:
    with subprocess.Popen([sys.executable, "-c", OWNER], stdout=subprocess.PIPE, text=True) as owner:
        assert owner.stdout is not None
        worker = int(owner.stdout.readline())
        time.sleep(1)
        assert psutil.pid_exists(worker)
        os.kill(owner.pid, signal.SIGKILL)
    assert gone(worker)


def test_a_worker_ends_with_the_process_that_it_works_for() -> None:
    with (
        subprocess.Popen(["sleep", "60"]) as owner,
        subprocess.Popen([sys.executable, "-c", WORKER, str(owner.pid)]) as worker,
    ):
        time.sleep(1)
        assert worker.poll() is None
        owner.kill()
        owner.wait()
        assert worker.wait(30) == 1
