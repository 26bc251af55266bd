"""Log lines of a run on the console, each with the number of its worker if there are several."""

from __future__ import annotations

import logging
import sys

__all__ = ["log_to_console"]

logger = logging.getLogger("training")


class _Console(logging.Handler):
    """Writes lines to standard output, wherever that goes at the moment."""

    def emit(self, record: logging.LogRecord) -> None:
        """Write a line."""
        sys.stdout.write(self.format(record) + "\n")
        sys.stdout.flush()


def log_to_console(rank: int | None = None, workers: int = 1) -> None:
    """Show the log lines of this process on standard output.

    Standard output of local workers is that of the launching process, and Ray forwards that of its workers.

    Args:
        rank: Number of this worker; None in the launching process, where nothing changes if the program has set up
            logging itself.
        workers: Number of all workers.
    """
    if logger.handlers or (rank is None and logger.hasHandlers()):
        return
    handler = _Console()
    handler.setFormatter(logging.Formatter(f"[worker {rank}] %(message)s" if workers > 1 else "%(message)s"))
    logger.addHandler(handler)
    logger.propagate = False
    if logger.level == logging.NOTSET:
        logger.setLevel(logging.INFO)
