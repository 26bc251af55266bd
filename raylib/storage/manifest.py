"""The manifest: one line a committed task."""

from __future__ import annotations

import os

import orjson

from raylib.storage.entry import Entry, Line, RunHeader, read_line
from raylib.storage.names import Phase, RunFiles, ShardName
from raylib.storage.store import Store

__all__ = ["Manifest", "manifest_parts"]


_PART = 256  # lines of a manifest's part in object storage, where nothing can be appended to


def manifest_parts(store: Store) -> list[str]:
    """Names of the files that a manifest consists of: one on a local disk, more in object storage."""
    count = 0
    while store.exists(RunFiles.manifest_part(count)):
        count += 1
    return [RunFiles.manifest_part(i) for i in range(count)]


class Manifest:
    """`manifest.jsonl`: one line a committed task, appended and flushed by the driver alone.

    The last entry of a phase and shard counts; a last line that was cut is ignored. In object storage, where adding a
    line means writing its file again, lines continue in `manifest-00001.jsonl` and so on.

    Attributes:
        entries: The last entry of each phase and shard.
        header: The last header; None in a new manifest.
    """

    def __init__(self, store: Store) -> None:
        self._store = store
        self._lines: list[bytes] = []  # of the last part
        self._part = 0
        self.entries: dict[tuple[Phase, ShardName], Entry] = {}
        self.header: RunHeader | None = None
        for number, name in enumerate(manifest_parts(store)):
            self._part, self._lines = number, []
            for line in store.read(name).split(b"\n"):
                entry = read_line(line)
                if entry is not None or _is_whole(line):
                    self._lines.append(line)
                self._remember(entry)
        if store.local and self._lines:  # a cut last line would swallow the next append
            self._rewrite()

    def find(self, phase: Phase, shard: ShardName, key: str) -> Entry | None:
        """The entry of a finished task.

        Args:
            phase: Where the task belongs.
            shard: The shard it worked on.
            key: Fingerprint of everything that determines its files.

        Returns:
            The entry, if its fingerprint is `key` and all its files are there in full size.
        """
        entry = self.entries.get((phase, shard))
        if entry is None or entry.key != key:
            return None
        if any(self._store.size(name) != size for name, size in entry.files.items()):
            return None
        return entry

    def append(self, entry: Line) -> None:
        """Record the start of a run or a finished task durably."""
        line = orjson.dumps(entry.to_json())
        if not self._store.local and len(self._lines) >= _PART:
            self._part, self._lines = self._part + 1, []
        self._lines.append(line)
        self._remember(entry)
        if self._store.local:
            path = self._store.path(RunFiles.MANIFEST)
            os.makedirs(os.path.dirname(path), exist_ok=True)
            with open(path, "ab") as stream:
                stream.write(line + b"\n")
                stream.flush()
                os.fsync(stream.fileno())
        else:
            self._rewrite()

    def _remember(self, entry: Line | None) -> None:
        if isinstance(entry, RunHeader):
            self.header = entry
        elif entry is not None:
            self.entries[entry.phase, entry.shard] = entry

    def _rewrite(self) -> None:
        self._store.write(RunFiles.manifest_part(self._part), b"".join(line + b"\n" for line in self._lines))


def _is_whole(line: bytes) -> bool:
    """Whether a line that this version does not know is JSON, and not the beginning of a line."""
    try:
        orjson.loads(line)
    except orjson.JSONDecodeError:
        return False
    return True
