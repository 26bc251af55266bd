"""A pool of Ray actors with back-pressure and retries."""

from __future__ import annotations

from collections import deque
from dataclasses import dataclass, field
from typing import Any

from raylib.engine.tasks import Task

__all__ = ["IN_FLIGHT", "Slot"]


IN_FLIGHT = 2  # a task in work and one waiting, so that an actor never idles


@dataclass
class Slot:
    """An actor and what it is doing. The first task in `waiting` is the one in work."""

    actor: Any
    ready: Any
    make: Any = None  # to place it anew
    alive: bool = False
    waiting: deque[tuple[Any, Task]] = field(default_factory=deque)
