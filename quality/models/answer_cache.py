"""Answers of an endpoint, kept on disk by the hash of their request."""

from __future__ import annotations

import os
import sqlite3
import threading
from contextlib import suppress
from pathlib import Path

__all__ = ["Cache"]


class Cache:
    """A table of answers on disk, by the hash of everything that determines them.

    One SQLite file, which several processes may share. It holds texts of records, so a new one is its user's alone, and
    one of an earlier version is closed to users outside its group.

    Args:
        path: Path of the file; `~` is the home directory.
    """

    def __init__(self, path: str) -> None:
        file = Path(path).expanduser()
        file.parent.mkdir(parents=True, exist_ok=True)
        with suppress(OSError):  # of a file system without permissions, or a file of another user
            os.close(os.open(file, os.O_RDWR | os.O_CREAT, 0o600))
            os.chmod(file, file.stat().st_mode & 0o770)
        self._connection = sqlite3.connect(file, timeout=60, isolation_level=None, check_same_thread=False)
        self._lock = threading.Lock()
        with suppress(sqlite3.OperationalError):  # some network file systems have no shared memory
            self._connection.execute("PRAGMA journal_mode=WAL")
        self._connection.execute(
            "CREATE TABLE IF NOT EXISTS answers (key TEXT PRIMARY KEY, content TEXT) WITHOUT ROWID"
        )

    def get(self, key: str) -> str | None:
        """The answer to a request; None if there is none."""
        with self._lock:
            row = self._connection.execute("SELECT content FROM answers WHERE key = ?", (key,)).fetchone()
        return None if row is None else str(row[0])

    def put(self, key: str, content: str) -> None:
        """Store the answer to a request, in place of an earlier one."""
        with self._lock:
            self._connection.execute("INSERT OR REPLACE INTO answers VALUES (?, ?)", (key, content))

    def close(self) -> None:
        """Close the file."""
        self._connection.close()
