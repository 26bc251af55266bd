"""Standard streams of a command: closed ones, and ones whose reader has gone, as after `2>&1 | head`."""

from __future__ import annotations

import io
import os
import sys

__all__ = ["keep_open"]


class _Patient(io.TextIOWrapper):
    """A stream that nobody has to read: when its reader has gone, what is written goes nowhere."""

    def write(self, text: str) -> int:
        """Write, as long as somebody reads."""
        try:
            return super().write(text)
        except BrokenPipeError:
            self._to_nowhere()
            return len(text)

    def flush(self) -> None:
        """Flush, as long as somebody reads."""
        try:
            super().flush()
        except BrokenPipeError:
            self._to_nowhere()

    def _to_nowhere(self) -> None:
        nowhere = os.open(os.devnull, os.O_WRONLY)
        os.dup2(nowhere, self.fileno())
        os.close(nowhere)


def keep_open() -> None:
    """Give a command all three streams, so that it ends for reasons of its own.

    The first file that a process opens would take the number of a closed stream, and messages would go into it.
    Progress and warnings, which go to standard error, never end a run because nobody reads them any more.
    """
    _fill_closed()
    if sys.stdin is None:
        sys.stdin = open(0, encoding="utf-8", closefd=False)  # noqa: SIM115 - a standard stream
    if sys.stdout is None:
        sys.stdout = _stream(1)
    if sys.stderr is None or sys.stderr is sys.__stderr__:
        encoding = "utf-8" if sys.stderr is None else sys.stderr.encoding
        sys.stderr = _stream(2, encoding)


def _fill_closed() -> None:
    """Open the null device in place of each closed stream."""
    while (number := os.open(os.devnull, os.O_RDWR)) <= 2:
        os.set_inheritable(number, True)
    os.close(number)


def _stream(number: int, encoding: str = "utf-8") -> io.TextIOWrapper:
    binary = open(number, "wb", closefd=False)  # noqa: SIM115 - a standard stream
    return _Patient(binary, encoding=encoding, errors="backslashreplace", line_buffering=True)
