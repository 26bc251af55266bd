"""Logging of a command: which messages reach the terminal, by `raylib -v` and `raylib -q`."""

from __future__ import annotations

import logging
import sys
from typing import TextIO

from raylib import plugins

__all__ = ["configure"]


class _Terminal(logging.StreamHandler[TextIO]):
    """A handler that writes to standard error as it is at that moment: progress bars replace it while they move."""

    def __init__(self) -> None:
        logging.Handler.__init__(self)
        self.setFormatter(logging.Formatter("%(asctime)s %(levelname)s %(name)s: %(message)s", "%H:%M:%S"))

    @property
    def stream(self) -> TextIO:  # type: ignore[override]  # read-only, like logging's own last resort
        return sys.stderr


def configure(*, verbose: int = 0, quiet: bool = False) -> None:
    """Send the messages of raylib, and of the packages that extend it, to standard error.

    Args:
        verbose: 0 shows warnings and errors, 1 also what happens, 2 also details.
        quiet: Whether to show errors only.
    """
    level = logging.ERROR if quiet else (logging.NOTSET, logging.INFO, logging.DEBUG)[min(verbose, 2)]
    for name in plugins.packages():
        logger = logging.getLogger(name)
        for handler in [h for h in logger.handlers if isinstance(h, _Terminal)]:
            logger.removeHandler(handler)
        logger.addHandler(_Terminal())
        logger.setLevel(level)
