"""Which stage a worker is running, and the warnings that it logs meanwhile, carried to the driver."""

from __future__ import annotations

import logging
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass

__all__ = ["CurrentStage", "InStage", "LogLine", "TaskLog", "emit"]


_MOST_LINES = 100  # of one task
_MOST_CHARACTERS = 4000  # of one line


class InStage(Exception):
    """Wraps an error that a stage raised, which is its cause; knows the label of the stage."""

    def __init__(self, stage: str) -> None:
        super().__init__(stage)
        self.stage = stage


@dataclass
class CurrentStage:
    """The stage that a worker is running.

    Attributes:
        label: Its label in the recipe; empty between stages.
    """

    label: str = ""

    @contextmanager
    def running(self, label: str) -> Iterator[None]:
        """Note that a stage runs.

        Args:
            label: Label of the stage.

        Raises:
            InStage: the stage raised the error that is its cause.
        """
        self.label = label
        try:
            yield
        except Exception as error:
            raise InStage(label) from error
        finally:
            self.label = ""


@dataclass(frozen=True)
class LogLine:
    """A record of `logging` as it travels between processes.

    Attributes:
        level: Level of `logging`.
        logger: Name of the logger.
        text: Formatted message.
        stage: Label of the stage that ran; empty for none.
    """

    level: int
    logger: str
    text: str
    stage: str


class TaskLog(logging.Handler):
    """Collects warnings and errors that are logged in a worker process, whose own output nobody sees.

    Args:
        current: The stage that the worker is running.
    """

    def __init__(self, current: CurrentStage) -> None:
        super().__init__(logging.WARNING)
        self._current = current
        self._lines: list[LogLine] = []

    def emit(self, record: logging.LogRecord) -> None:
        """Keep a record, up to a hundred for each task; Ray's own are of no use to the driver."""
        if len(self._lines) < _MOST_LINES and record.name.split(".", 1)[0] != "ray":
            text = self.format(record)[:_MOST_CHARACTERS]
            self._lines.append(LogLine(record.levelno, record.name, text, self._current.label))

    def take(self) -> tuple[LogLine, ...]:
        """The lines since the last call."""
        self.acquire()  # a stage may log from threads
        try:
            taken = tuple(self._lines)
            self._lines.clear()
        finally:
            self.release()
        return taken


def emit(lines: Iterable[LogLine], task: str) -> None:
    """Log in this process what a worker logged.

    Args:
        lines: What a `TaskLog` collected.
        task: The task that the worker did, as log lines name it.
    """
    for line in lines:
        place = f"{task}, stage {line.stage}" if line.stage else task
        logging.getLogger(line.logger).log(line.level, "%s: %s", place, line.text)
