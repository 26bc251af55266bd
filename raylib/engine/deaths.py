"""Deaths of workers: some belong to a long run, too many without any finished task end it."""

from __future__ import annotations

import logging

from raylib import machine
from raylib.errors import ClusterLostError

__all__ = ["Deaths"]

logger = logging.getLogger(__name__)

_EACH = 6  # deaths of each worker, so that a task that kills its worker is quarantined before that
_LEAST = 10


class Deaths:
    """Counts deaths since the last finished task.

    Args:
        workers: Number of workers.

    Attributes:
        count: Number of deaths.
    """

    def __init__(self, workers: int) -> None:
        self._workers = workers
        self._most = max(_LEAST, _EACH * workers)
        self.count = 0

    def forget(self) -> None:
        """A task was finished: workers are well."""
        self.count = 0

    def add(self, text: str) -> None:
        """Count a death.

        Args:
            text: What Ray says about it.

        Raises:
            ClusterLostError: There have been too many.
        """
        self.count += 1
        reason = (text.strip().splitlines() or ["no message"])[0][:300]
        logger.info("a worker died (%d since the last finished task): %s", self.count, reason)
        if self.count >= self._most:
            raise ClusterLostError(
                f"workers died {self.count} times without finishing a task: mostly there is too little memory "
                f"({machine.memory() / 2**30:.1f} GiB here for Ray and {self._workers} actors). Give more memory, or "
                "set a smaller engine.actors or engine.batch_mb, or engine.mode: inline. Everything committed so far "
                f"is kept: run the same command again to continue (the last one: {reason})"
            )
