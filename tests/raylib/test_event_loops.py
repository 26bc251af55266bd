"""Coroutines run to their end, and interrupted ones end without a word."""

from __future__ import annotations

import asyncio
import contextlib
import signal
import socket
import subprocess
import sys
import time
from pathlib import Path

import pytest

from raylib.event_loops import run_to_end

ROOT = Path(__file__).parents[2]


async def _half(number: int) -> float:
    await asyncio.sleep(0)
    if number % 2:
        raise ValueError(f"{number} is odd")
    return number / 2


def test_a_coroutine_gives_its_value_or_its_error() -> None:
    assert run_to_end(_half(4)) == 2
    with pytest.raises(ValueError, match="3 is odd"):
        run_to_end(_half(3))


def test_a_coroutine_also_runs_where_a_loop_runs_already() -> None:
    async def notebook() -> float:
        return run_to_end(_half(8))

    assert asyncio.run(notebook()) == 4


_BUSY = """
import anyio, sys
from raylib import termination
from raylib.event_loops import run_to_end
async def connect(port):
    while True:
        async with await anyio.connect_tcp("localhost", port):
            pass
async def many(port):
    async with anyio.create_task_group() as group:
        for _ in range(16):
            group.start_soon(connect, port)
        print("busy", flush=True)
termination.install()
try:
    run_to_end(many(int(sys.argv[1])))
except KeyboardInterrupt:
    sys.exit(130)
"""


@pytest.mark.faults
def test_an_interrupted_loop_that_is_busy_shows_no_traceback() -> None:
    with socket.create_server(("localhost", 0), backlog=1024) as server:
        server.settimeout(0.2)
        for attempt in range(12):
            command = [sys.executable, "-c", _BUSY, str(server.getsockname()[1])]
            with subprocess.Popen(
                command, cwd=ROOT, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True
            ) as process:
                assert process.stdout is not None
                assert process.stdout.readline() == "busy\n"
                until = time.monotonic() + 0.05 + 0.01 * attempt
                while time.monotonic() < until:
                    with contextlib.suppress(TimeoutError):  # on a busy machine it is only late
                        server.accept()[0].close()
                process.send_signal(signal.SIGINT)
                _, errors = process.communicate(timeout=60)
            assert (process.returncode, errors) == (130, "")
