"""Whether the files of a finished task are still what it wrote."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from functools import cached_property

from raylib import machine
from raylib.checksums import checksum_of
from raylib.storage.entry import Entry
from raylib.storage.names import Phase, ShardName
from raylib.storage.store import Store

__all__ = ["EntryChecks", "damage_of"]

_AHEAD = 16  # entries that are read ahead of the one that is asked about
_THREADS = 4


def damage_of(store: Store, name: str, size: int, checksum: str) -> str | None:
    """What is wrong with a file.

    Args:
        store: Folder of the run.
        name: Name of the file.
        size: Size that it was written with.
        checksum: Checksum that it was written with; empty if only its size is to be checked.

    Returns:
        What is wrong with it, in words; empty if it is missing, and None if it is as it was written.
    """
    found = store.size(name)
    if found is None:
        return ""
    shown = store.shown(name)
    if found != size:
        return f"{shown} has {found} bytes in place of {size}"
    if not checksum:
        return None
    try:
        with store.open(name) as stream:
            content = checksum_of(stream)
    except OSError as error:
        return f"{shown} cannot be read: {error.strerror or error}"
    return None if content == (size, checksum) else f"the content of {shown} has changed"


class EntryChecks:
    """Checks the files of finished tasks, in threads that are a few tasks ahead of the one that is asked about.

    Args:
        store: Folder of the run.
        entries: Finished tasks.
        content: Whether the content of files is checked, not only their sizes.
    """

    def __init__(self, store: Store, entries: Iterable[Entry], *, content: bool) -> None:
        self._store, self._content = store, content
        self._waiting: dict[Phase, Iterator[Entry]] = {}
        self._checked: dict[tuple[Phase, ShardName, str], Future[str | None]] = {}
        self._entries: dict[Phase, list[Entry]] = {}
        for entry in entries:
            self._entries.setdefault(entry.phase, []).append(entry)

    @cached_property
    def _threads(self) -> ThreadPoolExecutor:
        return ThreadPoolExecutor(min(_THREADS, 2 * machine.cpus()), thread_name_prefix="checks")

    def damage(self, entry: Entry) -> str | None:
        """What is wrong with the files of a task.

        Args:
            entry: The task.

        Returns:
            What is wrong, in words; empty if a file is missing, and None if all are as they were written.
        """
        if not self._content:
            return self._damage(entry)
        known = self._checked.pop((entry.phase, entry.shard, entry.key), None)
        self._read_ahead(entry.phase)
        return self._damage(entry) if known is None else known.result()

    def _read_ahead(self, phase: Phase) -> None:
        """Begin to check the next entries of a phase, which will be asked about in the order of their shards."""
        if phase not in self._waiting:
            self._waiting[phase] = iter(sorted(self._entries.pop(phase, []), key=lambda entry: entry.shard))
        if len(self._checked) >= _AHEAD:  # nobody has asked about the first one, and probably nobody will
            del self._checked[next(iter(self._checked))]
        while len(self._checked) < _AHEAD:
            following = next(self._waiting[phase], None)
            if following is None:
                return
            place = (following.phase, following.shard, following.key)
            self._checked[place] = self._threads.submit(self._damage, following)

    def _damage(self, entry: Entry) -> str | None:
        sums = entry.sums if self._content else {}
        for name, size in entry.files.items():
            damage = damage_of(self._store, name, size, sums.get(name, ""))
            if damage is not None:
                return damage
        return None
