"""Files below one folder or bucket prefix, each written atomically."""

from __future__ import annotations

import io
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import IO, TypeVar

import pyarrow as pa
import pyarrow.fs as pafs

from raylib.atomic import SUFFIX, create_atomically
from raylib.errors import SourceError
from raylib.foreign_json import MOST_BYTES, parsed
from raylib.reading.filesystems import open_filesystem, split_query

__all__ = ["Store"]

T = TypeVar("T")


@dataclass(frozen=True)
class Store:
    """Files below one root. Names are relative to it.

    Attributes:
        root: A local folder or a URI.
    """

    root: str

    @property
    def local(self) -> bool:
        """Whether the files are on a disk that this machine mounts."""
        return "://" not in self.root or self.root.startswith("file://")

    def _open(self) -> tuple[pafs.FileSystem, str]:
        system, inner = open_filesystem(self.root)
        return system, inner.rstrip("/")

    def path(self, name: str) -> str:
        """The file's path on its own file system."""
        return f"{self._open()[1]}/{name}"

    def shown(self, name: str) -> str:
        """The file in messages: below the root as it was given, without the query of a URI, which may hold secrets."""
        return f"{split_query(self.root)[0].rstrip('/')}/{name}"

    def exists(self, name: str) -> bool:
        """Whether there is a file of this name."""
        system, root = self._open()
        return bool(system.get_file_info(f"{root}/{name}").type == pafs.FileType.File)

    def size(self, name: str) -> int | None:
        """Size in bytes, None when there is no such file."""
        system, root = self._open()
        size: int | None = system.get_file_info(f"{root}/{name}").size
        return size

    def modified(self, name: str) -> float | None:
        """When a file was last written, in seconds since 1970; None where the storage does not record it."""
        system, root = self._open()
        written = system.get_file_info(f"{root}/{name}").mtime
        return None if written is None else float(written.timestamp())

    def names(self, folder: str) -> list[str]:
        """File names below a folder, relative to the root, sorted; empty when the folder is missing."""
        system, root = self._open()
        selector = pafs.FileSelector(f"{root}/{folder}".rstrip("/"), recursive=True, allow_not_found=True)
        infos = system.get_file_info(selector)
        return sorted(i.path[len(root) + 1 :] for i in infos if i.type == pafs.FileType.File)

    def delete(self, name: str) -> None:
        """Delete a file."""
        system, root = self._open()
        system.delete_file(f"{root}/{name}")

    def delete_folder(self, name: str) -> None:
        """Delete a folder with everything in it, if it exists."""
        system, root = self._open()
        if system.get_file_info(f"{root}/{name}").type == pafs.FileType.Directory:
            system.delete_dir(f"{root}/{name}")

    def open(self, name: str) -> pa.NativeFile:
        """A file to read from at any position."""
        system, root = self._open()
        return system.open_input_file(f"{root}/{name}")

    def read(self, name: str, start: int = 0) -> bytes:
        """A whole file, or what lies behind its first `start` bytes."""
        with self.open(name) as file:
            file.seek(start)
            return bytes(file.read())

    def read_json(self, name: str, kind: type[T]) -> T:
        """A JSON file, which another may have written.

        Args:
            name: The file.
            kind: Type of its content.

        Raises:
            SourceError: it holds something else.
        """
        with self.open(name) as file:
            data = bytes(file.read(MOST_BYTES + 1))
        return parsed(data, self.shown(name), kind, SourceError)

    def write(self, name: str, data: bytes) -> None:
        """Write a whole file atomically."""
        with self.create(name) as stream:
            stream.write(data)

    @contextmanager
    def create(self, name: str) -> Iterator[IO[bytes]]:
        """A binary stream whose content appears under `name` only when the block ends without an error.

        Args:
            name: The file; folders are made.

        Yields:
            The stream to write to.

        Raises:
            OSError: the file cannot be written.
        """
        system, root = self._open()
        target = f"{root}/{name}"
        if not self.local:
            buffer = io.BytesIO()
            yield buffer
            with system.open_output_stream(target) as stream:
                stream.write(buffer.getvalue())
            return
        with create_atomically(target) as stream:
            yield stream

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
                if name.endswith(SUFFIX):
                    self.delete(name)
