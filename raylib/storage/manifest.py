"""The manifest: one line a committed task."""

from __future__ import annotations

import logging
import os
from dataclasses import dataclass, field

from raylib.atomic import sync
from raylib.checksums import opened
from raylib.storage.checking import EntryChecks
from raylib.storage.entry import Entry, Line, RunEnd, RunHeader
from raylib.storage.lines import DamagedLineError, parse_line, write_line
from raylib.storage.names import Phase, RunFiles, ShardName
from raylib.storage.store import Store

__all__ = ["Manifest", "ManifestLines", "manifest_parts", "read_manifest"]

logger = logging.getLogger(__name__)

_PART = 256  # lines of a manifest's part in object storage, where nothing can be appended to


def manifest_parts(store: Store) -> list[str]:
    """Names of the files that a manifest consists of: one on a local disk, more in object storage."""
    count = 0
    while store.exists(RunFiles.manifest_part(count)):
        count += 1
    return [RunFiles.manifest_part(i) for i in range(count)]


@dataclass
class ManifestLines:
    """What one file of a manifest holds.

    Attributes:
        name: Name of the file.
        whole: Its lines that are not damaged, also those that this version does not know.
        said: What these say; None for a line that this version does not know.
        damaged: Number of damaged lines.
        cut: Whether its last line was cut, as it is when the writer is killed.
    """

    name: str
    whole: list[bytes] = field(default_factory=list)
    said: list[Line | None] = field(default_factory=list)
    damaged: int = 0
    cut: bool = False


def read_manifest(store: Store) -> list[ManifestLines]:
    """Read the files of a manifest.

    Args:
        store: Folder of the run.

    Returns:
        The lines of each file.
    """
    parts = []
    strict = False  # from the first line with a checksum on, every line has one
    for name in manifest_parts(store):
        part = ManifestLines(name)
        *lines, last = store.read(name).split(b"\n")
        for line in lines:
            body = opened(line, strict=strict)
            strict = strict or (body is not None and body != line)
            try:
                if body is None:
                    raise DamagedLineError("its checksum is another")
                part.said.append(parse_line(body))
                part.whole.append(line)
            except DamagedLineError:
                part.damaged += 1
        part.cut = bool(last)
        parts.append(part)
    return parts


class Manifest:
    """`manifest.jsonl`: one line a committed task, appended and flushed by the driver alone.

    The last entry of a phase and shard counts. Damaged lines are dropped, so that their tasks are done again. In object
    storage, where adding a line means writing its file again, lines continue in `manifest-00001.jsonl` and so on.

    Args:
        store: Folder of the run.
        checks_content: Whether files count as those of a finished task only if they have its checksums; otherwise their
            sizes are enough.

    Attributes:
        entries: The last entry of each phase and shard.
        header: The last header; None in a new manifest.
        end: What the run left when it ended; None if it has begun again since, or never ended.
    """

    def __init__(self, store: Store, *, checks_content: bool = True) -> None:
        self._store = store
        self._lines: list[bytes] = []  # of the last part
        self._part = 0
        self.entries: dict[tuple[Phase, ShardName], Entry] = {}
        self.header: RunHeader | None = None
        self.end: RunEnd | None = None
        for number, part in enumerate(read_manifest(store)):
            self._part, self._lines = number, part.whole
            for said in part.said:
                self._remember(said)
            if part.damaged or part.cut:  # a cut last line would swallow the next append
                self._mend(part)
        self._checks = EntryChecks(store, self.entries.values(), content=checks_content)

    def _mend(self, part: ManifestLines) -> None:
        """Write a file without its damaged lines."""
        level = logging.WARNING if part.damaged else logging.INFO  # what a killed run leaves is nothing to worry about
        logger.log(
            level,
            "%s: %d damaged lines are dropped; what they told of is done again",
            self._store.shown(part.name),
            part.damaged + part.cut,
        )
        self._rewrite()

    def find(self, phase: Phase, shard: ShardName, key: str) -> Entry | None:
        """The entry of a finished task.

        Args:
            phase: Where the task belongs.
            shard: The shard it worked on.
            key: Fingerprint of everything that determines its files.

        Returns:
            The entry, if its fingerprint is `key` and all its files are there as they were written.
        """
        entry = self.entries.get((phase, shard))
        if entry is None or entry.key != key:
            return None
        damage = self._checks.damage(entry)
        if damage:
            logger.warning("%s; shard %s of %s is done again", damage, shard, phase)
            del self.entries[phase, shard]
        return None if damage is not None else entry

    def append(self, entry: Line) -> None:
        """Record the start of a run or a finished task durably."""
        line = write_line(entry)
        if not self._store.local and len(self._lines) >= _PART:
            self._part, self._lines = self._part + 1, []
        self._lines.append(line)
        self._remember(entry)
        if not self._store.local:
            self._rewrite()
            return
        path = self._store.path(RunFiles.MANIFEST)
        os.makedirs(os.path.dirname(path), exist_ok=True)
        is_new = not os.path.exists(path)
        with open(path, "ab") as stream:
            stream.write(line + b"\n")
            stream.flush()
            os.fsync(stream.fileno())
        if is_new:
            sync(os.path.dirname(path))

    def _remember(self, entry: Line | None) -> None:
        if isinstance(entry, RunHeader):
            self.header, self.end = entry, None
        elif isinstance(entry, RunEnd):
            self.end = entry
        elif entry is not None:
            self.entries[entry.phase, entry.shard] = entry

    def _rewrite(self) -> None:
        self._store.write(RunFiles.manifest_part(self._part), b"".join(line + b"\n" for line in self._lines))
