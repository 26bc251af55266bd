"""The shard store: atomic files under one folder (or bucket prefix), and the manifest that counts.

A file is written under a temporary name, flushed to disk and renamed; on object stores, where there
is no rename, it is uploaded whole. Either way it means nothing until the driver has appended a line
about it to `manifest.jsonl`, so a crash at any moment leaves files that the next run overwrites.
"""

from __future__ import annotations

import io
import os
import uuid
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import IO, Any

import orjson
import pyarrow as pa
import pyarrow.fs as pafs
import pyarrow.parquet as pq
import zstandard

from raylib.errors import RecordError, SourceError
from raylib.layouts import to_layout
from raylib.sources import open_filesystem
from raylib.stage import Outcome, split_rejected

__all__ = ["FitsLayout", "Manifest", "Store", "TableWriter", "manifest_parts"]

_ROW_GROUP_BYTES = 32 << 20
EXTENSIONS = {"parquet": "parquet", "jsonl": "jsonl.zst", "arrow": "arrow"}


@dataclass(frozen=True)
class Store:
    """Files below one root, a local folder or a URI."""

    root: str

    @property
    def local(self) -> bool:
        return "://" not in self.root or self.root.startswith("file://")

    def _open(self) -> tuple[pafs.FileSystem, str]:
        system, inner = open_filesystem(self.root)
        return system, inner.rstrip("/")

    def path(self, name: str) -> str:
        """The file's path on its own file system."""
        return f"{self._open()[1]}/{name}"

    def exists(self, name: str) -> bool:
        system, root = self._open()
        return bool(system.get_file_info(f"{root}/{name}").type == pafs.FileType.File)

    def size(self, name: str) -> int | None:
        """Size in bytes, None when there is no such file."""
        system, root = self._open()
        return system.get_file_info(f"{root}/{name}").size

    def names(self, folder: str) -> list[str]:
        """File names below a folder, relative to the root, sorted; empty when the folder is missing."""
        system, root = self._open()
        selector = pafs.FileSelector(f"{root}/{folder}".rstrip("/"), recursive=True, allow_not_found=True)
        infos = system.get_file_info(selector)
        return sorted(i.path[len(root) + 1 :] for i in infos if i.type == pafs.FileType.File)

    def delete(self, name: str) -> None:
        system, root = self._open()
        system.delete_file(f"{root}/{name}")

    def delete_folder(self, name: str) -> None:
        system, root = self._open()
        if system.get_file_info(f"{root}/{name}").type == pafs.FileType.Directory:
            system.delete_dir(f"{root}/{name}")

    def read(self, name: str, start: int = 0) -> bytes:
        """A whole file, or what lies behind its first `start` bytes."""
        system, root = self._open()
        with system.open_input_file(f"{root}/{name}") as file:
            file.seek(start)
            return bytes(file.read())

    def write(self, name: str, data: bytes) -> None:
        """Write a whole file atomically."""
        with self.create(name) as stream:
            stream.write(data)

    @contextmanager
    def create(self, name: str) -> Iterator[IO[bytes]]:
        """A binary stream whose content appears under `name` only when the block ends without an error."""
        system, root = self._open()
        target = f"{root}/{name}"
        if not self.local:
            buffer = io.BytesIO()
            yield buffer
            with system.open_output_stream(target) as stream:
                stream.write(buffer.getvalue())
            return
        os.makedirs(os.path.dirname(target), exist_ok=True)
        temporary = f"{target}.{uuid.uuid4().hex[:12]}.tmp"
        try:
            with open(temporary, "wb") as stream:
                yield stream
                stream.flush()
                os.fsync(stream.fileno())
            os.replace(temporary, target)
            _sync_folder(os.path.dirname(target))
        except BaseException:
            if os.path.exists(temporary):
                os.unlink(temporary)
            raise

    def read_arrow(self, name: str) -> pa.ipc.RecordBatchFileReader:
        """An Arrow IPC file; memory-mapped where the store is local."""
        system, root = self._open()
        if self.local:
            return pa.ipc.open_file(pa.memory_map(f"{root}/{name}"))
        with system.open_input_stream(f"{root}/{name}") as stream:
            return pa.ipc.open_file(pa.BufferReader(stream.read()))

    def remove_temporaries(self) -> None:
        """Delete what crashed runs left under temporary names."""
        if self.local:
            for name in self.names(""):
                if name.endswith(".tmp"):
                    self.delete(name)


def _sync_folder(folder: str) -> None:
    descriptor = os.open(folder, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


class TableWriter:
    """Writes tables of one schema to one stream as Parquet (zstd), JSON lines (zstd) or Arrow IPC."""

    def __init__(self, stream: IO[bytes], file_format: str, layout: str = "") -> None:
        self._stream, self._format, self._layout = stream, file_format, layout
        self._writer: Any = None
        self._held: list[pa.Table] = []
        self._held_bytes = 0
        self.rows = 0

    def write(self, table: pa.Table) -> None:
        if len(table) == 0:
            return
        self.rows += len(table)
        self._held.append(table)
        self._held_bytes += table.nbytes
        if self._held_bytes >= _ROW_GROUP_BYTES:
            self._flush()

    def _flush(self) -> None:
        if not self._held:
            return
        table = pa.concat_tables(self._held).combine_chunks()
        self._held, self._held_bytes = [], 0
        if self._format == "jsonl":
            if self._writer is None:
                self._writer = zstandard.ZstdCompressor(level=3).stream_writer(self._stream, closefd=False)
            for row in table.to_pylist():
                self._writer.write(orjson.dumps(_json_row(row, self._layout)) + b"\n")
            return
        if self._writer is None:
            if self._format == "parquet":
                self._writer = pq.ParquetWriter(self._stream, table.schema, compression="zstd", compression_level=1)
            else:
                self._writer = pa.ipc.new_file(
                    self._stream, table.schema, options=pa.ipc.IpcWriteOptions(compression="zstd")
                )
        if len(table) or self._format == "parquet":
            self._writer.write_table(table)

    def close(self, empty: pa.Table) -> None:
        """Finish the file; `empty` gives the schema of a file without rows."""
        if self.rows == 0 and not self._held:
            self._held.append(empty)
        self._flush()
        if self._writer is not None:
            self._writer.close()


@dataclass(frozen=True)
class FitsLayout:
    """The last stage of a run that writes another layout: what it cannot hold is rejected, not lost in the writer."""

    layout: str

    def __call__(self, table: pa.Table) -> Outcome:
        details = pa.array([self._misfit(row) for row in table.to_pylist()], pa.large_string())
        return split_rejected(table, details.is_valid(), stage="layout", reason="wrong_layout", detail=details)

    def _misfit(self, row: dict[str, Any]) -> str | None:
        try:
            to_layout(row, self.layout)
        except RecordError as error:
            return error.detail
        return None


def _json_row(row: dict[str, Any], layout: str) -> dict[str, Any]:
    if layout:
        shown = to_layout(row, layout)
    else:
        shown = {k: v for k, v in row.items() if v is not None}
    meta = row.get("meta")
    if meta:
        extra = orjson.loads(meta)
        shown.pop("meta", None)
        shown = {**(extra if isinstance(extra, dict) else {"meta": extra}), **shown}
    return {k: v for k, v in shown.items() if v is not None}


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


def start_store(root: str, *, fresh: bool) -> Store:
    """Open the output folder of a run; refuses a folder that holds something other than a run.

    With `fresh`, an earlier run's files are deleted first.
    """
    store = Store(root)
    ours = store.exists("manifest.jsonl")
    if store.local and not ours:
        folder = store.path("")
        if os.path.isdir(folder) and any(not n.startswith(".") for n in os.listdir(folder)):
            raise SourceError(
                f"output.path {root!r} is not empty and holds no run of raylib (no manifest.jsonl); choose another folder"
            )
    if fresh and ours:
        for folder in ("kept", "rejected", ".work"):
            store.delete_folder(folder)
        for name in (
            *reversed(manifest_parts(store)),  # the first one last: it says that this is a run
            "summary.json",
            "report.html",
            "recipe.yaml",
            "samples.json",
            "sections.json",
            "splits.json",
        ):
            if store.exists(name):
                store.delete(name)
    return store
