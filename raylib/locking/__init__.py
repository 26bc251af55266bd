"""Locks of output folders: one process at a time writes to a folder, and another one is told who does.

On one machine the operating system holds the lock, so it ends with the process, however that ends. File systems that
machines share do not always carry such locks from one to another. The lock file therefore also says who holds it, and
the holder touches it every few seconds: a holder on another machine counts as long as its last sign of life is recent.
"""

from __future__ import annotations

from raylib.locking.files import locked, locked_file
from raylib.locking.holder import Holder, check_earlier_holder, held_error, is_here, lost_error, this_machine
from raylib.locking.holding import LOCK_NAME, Lock, locked_by

__all__ = [
    "LOCK_NAME",
    "Holder",
    "Lock",
    "check_earlier_holder",
    "held_error",
    "is_here",
    "locked",
    "locked_by",
    "locked_file",
    "lost_error",
    "this_machine",
]
