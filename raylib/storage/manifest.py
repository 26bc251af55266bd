"""The manifest: one line a committed task."""

from __future__ import annotations

import os
from typing import Any

import orjson

from raylib.storage.store import Store

__all__ = ["Manifest", "manifest_parts"]


_PART = 256  # lines of a manifest's part in object storage, where nothing can be appended to


def _part_name(number: int) -> str:
    return "manifest.jsonl" if number == 0 else f"manifest-{number:05d}.jsonl"


def manifest_parts(store: Store) -> list[str]:
    """Names of the files that a manifest consists of: one on a local disk, more in object storage."""
    count = 0
    while store.exists(_part_name(count)):
        count += 1
    return [_part_name(i) for i in range(count)]


class Manifest:
    """`manifest.jsonl`: one line a committed task, appended and flushed by the driver alone.

    An entry has `phase`, `shard`, `key` (fingerprint of everything that determines the files),
    `files` ({name: size}) and counts. The last entry for a (phase, shard) counts; a half-written
    last line is ignored. In object storage, where a line costs writing its file anew, lines of
    `manifest-00001.jsonl` and so on follow.
    """

    def __init__(self, store: Store) -> None:
        self._store = store
        self._lines: list[bytes] = []  # of the last part
        self._part = 0
        self.entries: dict[tuple[str, str], dict[str, Any]] = {}
        for number, name in enumerate(manifest_parts(store)):
            self._part, self._lines = number, []
            for line in store.read(name).split(b"\n"):
                try:
                    entry = orjson.loads(line)
                except orjson.JSONDecodeError:
                    continue
                self._lines.append(line)
                if "shard" in entry:
                    self.entries[entry["phase"], entry["shard"]] = entry
        if store.local and self._lines:  # a cut last line would swallow the next append
            self._rewrite()

    def find(self, phase: str, shard: str, key: str) -> dict[str, Any] | None:
        """The entry of a finished task, if its fingerprint is `key` and all its files are there whole."""
        entry = self.entries.get((phase, shard))
        if entry is None or entry["key"] != key:
            return None
        for name, size in entry["files"].items():
            if self._store.size(name) != size:
                return None
        return entry

    def append(self, entry: dict[str, Any]) -> None:
        """Record a finished task (or a note without `shard`) durably."""
        line = orjson.dumps(entry)
        if not self._store.local and len(self._lines) >= _PART:
            self._part, self._lines = self._part + 1, []
        self._lines.append(line)
        if "shard" in entry:
            self.entries[entry["phase"], entry["shard"]] = entry
        if self._store.local:
            path = self._store.path("manifest.jsonl")
            os.makedirs(os.path.dirname(path), exist_ok=True)
            with open(path, "ab") as stream:
                stream.write(line + b"\n")
                stream.flush()
                os.fsync(stream.fileno())
        else:
            self._rewrite()

    def _rewrite(self) -> None:
        self._store.write(_part_name(self._part), b"".join(line + b"\n" for line in self._lines))
