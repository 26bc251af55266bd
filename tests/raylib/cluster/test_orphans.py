"""A local Ray ends with the command that wanted it, also while it is starting."""

from __future__ import annotations

import contextlib
import time

import psutil
import pytest

from raylib.cluster.local import LocalCluster

pytestmark = [pytest.mark.cluster, pytest.mark.slow]


def family(pid: int) -> list[psutil.Process]:
    helper = psutil.Process(pid)
    return [helper, *helper.children(recursive=True)]


def test_a_ray_that_is_starting_ends_when_nobody_wants_it_any_more() -> None:
    cluster = LocalCluster(1, 100 << 20)
    cluster.start()
    process = cluster._process
    assert process is not None
    assert process.stdin is not None
    assert process.stdout is not None
    try:
        deadline = time.monotonic() + 60
        while len(started := family(process.pid)) == 1:  # the first process of Ray, long before all of them
            assert time.monotonic() < deadline
            time.sleep(0.01)
        process.stdin.close()  # as the kernel does it for a command that is killed
        process.wait(60)
        assert process.stdout.read() == b"", "it did not wait until Ray was up"
        _, alive = psutil.wait_procs(started, timeout=30)
        assert alive == []
    finally:
        with contextlib.suppress(psutil.Error):
            cluster.stop()
