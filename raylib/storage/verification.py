"""Whether a run's folder is whole: lines of the manifest, sizes and checksums of files, and the books."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import asdict, dataclass, field
from typing import TypedDict

import pyarrow as pa

from raylib.checksums import checksum
from raylib.errors import SourceError
from raylib.storage.checking import damage_of
from raylib.storage.counting import rows_in
from raylib.storage.entry import Entry, RunEnd, RunHeader, ShardEntry
from raylib.storage.manifest import read_manifest
from raylib.storage.names import Phase, RunFiles, ShardName
from raylib.storage.store import Store

__all__ = ["Area", "Verified", "check_file", "verify_run"]

_AREAS = {RunFiles.KEPT: "kept records", RunFiles.REJECTED: "rejected records", RunFiles.WORK: "work"}
_MANIFEST, _END = "manifest", "report and summary"

Entries = dict[tuple[Phase, ShardName], Entry]


class _Counts(TypedDict, total=False):
    """What is looked at in the counts of a shard."""

    records_added: int


class _Counted(TypedDict):
    """What is looked at in the statistics of a shard."""

    counts: _Counts


@dataclass
class Area:
    """What was found in one part of a folder.

    Attributes:
        files: Number of files that belong there; of the manifest its lines.
        bytes: Their size.
        damaged: Number of those that have changed.
        missing: Number of those that are not there.
        unsummed: Number of those of which no checksum was written.
    """

    files: int = 0
    bytes: int = 0
    damaged: int = 0
    missing: int = 0
    unsummed: int = 0


@dataclass
class Verified:
    """What is whole and what is not in a folder.

    Attributes:
        path: The folder.
        finished: Whether its run has ended.
        areas: What was found, by part of the folder.
        records_in: Number of records that were read.
        records_kept: Number of records in the files of kept records.
        records_rejected: Number of records in the files of rejected records.
        problems: What is wrong, a sentence each.
        advice: What to do about it; empty if nothing is wrong.
    """

    path: str
    finished: bool = False
    areas: dict[str, Area] = field(default_factory=dict)
    records_in: int = 0
    records_kept: int = 0
    records_rejected: int = 0
    problems: list[str] = field(default_factory=list)
    advice: str = ""

    @property
    def whole(self) -> bool:
        """Whether nothing is wrong."""
        return not self.problems

    def area(self, name: str) -> Area:
        """A part of the folder."""
        return self.areas.setdefault(name, Area())

    def to_json(self) -> dict[str, object]:
        """The same as plain data."""
        return {"whole": self.whole, **asdict(self)}


def verify_run(root: str) -> Verified:
    """Check everything in the folder of a run; nothing in it is changed.

    Args:
        root: The folder, or its URI.

    Returns:
        What is whole and what is not.

    Raises:
        SourceError: it is not the folder of a run.
    """
    store = Store(root)
    if not store.exists(RunFiles.MANIFEST):
        raise SourceError(f"{root} is not the output folder of a run: it has no {RunFiles.MANIFEST}")
    found = Verified(root)
    for area in (_MANIFEST, *_AREAS.values(), _END):
        found.area(area)
    header, end, entries = _manifest(store, found)
    found.finished = end is not None
    for entry in entries.values():
        _check_files(store, entry, end, found)
    _check_end(store, header, end, found)
    _check_books(store, header, entries, found)
    if end is not None:
        known = {name for entry in entries.values() for name in entry.files}
        strangers = [n for folder in RunFiles.FOLDERS for n in store.names(folder) if n not in known]
        found.problems += [f"{store.shown(name)} belongs to no finished task" for name in strangers]
    if found.problems:
        found.advice = "run the same command again (raylib run RECIPE): what is damaged or missing is made anew"
    return found


def _manifest(store: Store, found: Verified) -> tuple[RunHeader | None, RunEnd | None, Entries]:
    """The last header, the end and the last entry of each task."""
    area = found.area(_MANIFEST)
    header: RunHeader | None = None
    end: RunEnd | None = None
    entries: Entries = {}
    for part in read_manifest(store):
        area.files += len(part.whole) + part.damaged + part.cut
        area.bytes += store.size(part.name) or 0
        area.damaged += part.damaged + part.cut
        if part.damaged:
            found.problems.append(f"{store.shown(part.name)}: {part.damaged} lines are damaged")
        if part.cut:
            found.problems.append(f"{store.shown(part.name)}: the last line is cut")
        for said in part.said:
            if isinstance(said, RunHeader):
                header, end = said, None
            elif isinstance(said, RunEnd):
                end = said
            elif said is not None:
                entries[said.phase, said.shard] = said
    unused = set() if end is None else set(end.unused)
    return header, end, {place: e for place, e in entries.items() if f"{place[0]}/{place[1]}" not in unused}


def _check_files(store: Store, entry: Entry, end: RunEnd | None, found: Verified) -> None:
    """Check the files of a finished task."""
    for name, size in entry.files.items():
        folder = name.split("/", 1)[0]
        cleared = end is not None and not end.work and folder == RunFiles.WORK and entry.phase.is_segment
        if cleared and name.endswith(".arrow") and not store.exists(name):
            continue
        check_file(store, _AREAS.get(folder, folder), name, (size, entry.sums.get(name, "")), found)


def check_file(store: Store, area_name: str, name: str, written: tuple[int, str], found: Verified) -> None:
    """Check a file, and note what is wrong with it.

    Args:
        store: The folder.
        area_name: The part of the folder that it belongs to.
        name: Name of the file.
        written: Size and checksum that it was written with; the checksum is empty where none was noted.
        found: Takes what is found.
    """
    size, summed = written
    area = found.area(area_name)
    area.files += 1
    area.bytes += size
    area.unsummed += not summed
    damage = damage_of(store, name, size, summed)
    if damage == "":
        area.missing += 1
        found.problems.append(f"{store.shown(name)} is missing")
    elif damage is not None:
        area.damaged += 1
        found.problems.append(damage)


def _check_end(store: Store, header: RunHeader | None, end: RunEnd | None, found: Verified) -> None:
    """Check the files that are written once: the recipe at the start, all others at the end."""
    if header is not None and header.recipe:
        area = found.area(_END)
        area.files += 1
        written = store.read(RunFiles.RECIPE) if store.exists(RunFiles.RECIPE) else None
        area.bytes += len(written or b"")
        if written is None or checksum(written) != header.recipe:
            area.missing += written is None
            area.damaged += written is not None
            is_what = "is missing" if written is None else "has changed"
            found.problems.append(f"{store.shown(RunFiles.RECIPE)} {is_what}")
    if end is not None:
        for name, size in end.files.items():
            check_file(store, _END, name, (size, end.sums.get(name, "")), found)


def _check_books(store: Store, header: RunHeader | None, entries: Entries, found: Verified) -> None:
    """Count the records in the files of each shard, and compare with what went in."""
    shards = [entry for entry in entries.values() if isinstance(entry, ShardEntry)]
    numbers = [entry.phase.number for entry in shards]
    last = len(header.segments) - 1 if header is not None and header.segments else max(numbers, default=0)
    for entry in shards:
        if entry.phase.is_first:
            found.records_in += entry.records_in
        before = entries.get((Phase.segment(entry.phase.number - 1), entry.shard)) if entry.phase.number else None
        if isinstance(before, ShardEntry) and before.records_out != entry.records_in:
            found.problems.append(
                f"shard {entry.shard}: {before.phase} passed on {before.records_out} records, "
                f"{entry.phase} took {entry.records_in}"
            )
        for problem in _uncounted(store, entry, entry.phase.number == last, found):
            found.problems.append(f"shard {entry.shard} of {entry.phase}: {problem}")


def _uncounted(store: Store, entry: ShardEntry, is_last: bool, found: Verified) -> Iterator[str]:
    """What is wrong with the numbers of records of a shard."""
    try:
        rejected = sum(rows_in(store, name) for name in entry.files if RunFiles.is_rejected(name))
        kept = sum(rows_in(store, name) for name in entry.files if RunFiles.is_kept(name))
        added = _added(store, entry)
    except (OSError, pa.ArrowException, ValueError, SourceError):
        return  # a damaged file, which is a problem of its own
    found.records_rejected += rejected
    found.records_kept += kept
    if rejected != entry.records_rejected:
        yield f"{rejected} records in the rejects, {entry.records_rejected} in the manifest"
    if is_last and kept != entry.records_out:
        yield f"{kept} records in the files, {entry.records_out} in the manifest"
    if entry.records_in + added != entry.records_out + entry.records_rejected:
        yield (
            f"{entry.records_in} records in and {added} copies, "
            f"{entry.records_out} passed on and {entry.records_rejected} rejected"
        )


def _added(store: Store, entry: ShardEntry) -> int:
    """Number of copies that up-sampling added to a shard."""
    name = RunFiles.stats(entry.phase, entry.shard)
    if name not in entry.files:
        return 0
    return store.read_json(name, _Counted)["counts"].get("records_added", 0)
