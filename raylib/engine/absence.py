"""Says when no worker has been there for a while: a cluster may have lost all of its machines, and others may come."""

from __future__ import annotations

import logging
import time
from collections.abc import Callable

__all__ = ["Absence"]

logger = logging.getLogger(__name__)

_PATIENCE = 25.0  # seconds within which a worker that was lost is usually back
_AGAIN = 300.0  # seconds between warnings


class Absence:
    """Notes whether there are workers.

    Args:
        machines: Counts the machines on which workers could be.
        now: Seconds of a clock.
    """

    def __init__(self, machines: Callable[[], int], now: Callable[[], float] = time.monotonic) -> None:
        self._machines, self._now = machines, now
        self._since: float | None = None
        self._say_at = 0.0

    def note(self, some: bool) -> None:
        """Note whether some worker is there; warn when none has been there for a while, and when one is back.

        Args:
            some: Whether one is there.
        """
        now = self._now()
        if some:
            if self._since is not None and self._say_at > self._since + _PATIENCE:
                logger.warning("a worker is there again after %.0f s: the run goes on", now - self._since)
            self._since = None
        elif self._since is None:
            self._since, self._say_at = now, now + _PATIENCE
        elif now >= self._say_at:
            self._say_at = now + _AGAIN
            logger.warning(
                "no worker has been there for %.0f s, and the cluster has %d machines with CPUs now (`ray status` "
                "shows them): the run waits for one. It goes on by itself, or can be stopped and continued later",
                now - self._since,
                self._machines(),
            )
