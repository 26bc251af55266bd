"""New lines of files that grow: the manifest of a run, the metrics of a training run."""

from __future__ import annotations

from collections.abc import Iterable

from raylib.storage.store import Store

__all__ = ["Tail"]


class Tail:
    """Lines that were completed since the last look, in files of one folder.

    A last line without an end is left for the next look, because its writer may be in the middle of it.
    """

    def __init__(self, store: Store) -> None:
        self._store = store
        self._read: dict[str, int] = {}  # bytes of complete lines, by file

    def has_restarted(self, names: Iterable[str]) -> bool:
        """Whether a file is shorter than what was read of it: then another run has taken over the folder."""
        return any((self._store.size(name) or 0) < self._read.get(name, 0) for name in names)

    def lines(self, name: str) -> list[bytes]:
        """Read the new complete lines of a file.

        Args:
            name: The file, relative to the folder.

        Returns:
            The lines without their ends; empty when nothing was added.
        """
        read = self._read.get(name, 0)
        if (self._store.size(name) or 0) <= read:
            return []
        data = self._store.read(name, read)
        whole = data.rfind(b"\n") + 1
        self._read[name] = read + whole
        return data[:whole].splitlines()
