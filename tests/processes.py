"""Processes that tests wait for."""

from __future__ import annotations

import time

import psutil

__all__ = ["gone"]


def gone(pid: int, seconds: float = 30) -> bool:
    """Whether a process ends in this time; one that nobody has waited for counts as ended."""
    deadline = time.monotonic() + seconds
    while time.monotonic() < deadline:
        try:
            if psutil.Process(pid).status() == psutil.STATUS_ZOMBIE:
                return True
        except psutil.NoSuchProcess:
            return True
        time.sleep(0.1)
    return False
