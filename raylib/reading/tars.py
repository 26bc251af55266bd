"""Members of tar archives, compressed or not, each read like a file."""

from __future__ import annotations

import tarfile
from collections.abc import Iterator
from tarfile import TarError
from typing import IO, cast

from raylib.reading.archives import member_blocks, unsafe_member
from raylib.reading.block import Block, ReadOptions, Unreadable
from raylib.reading.damage import Bomb, Damaged, error_of
from raylib.reading.decompression import ByteStream, Limited, decompressed, limit_of
from raylib.reading.signatures import what_it_is

__all__ = ["tar_blocks"]

_BUFFER = 1 << 16
_BLOCK = 512
_COMPRESSIONS = ("gzip", "bz2", "xz", "zstd")


class _Peeked:
    """A stream whose first bytes were looked at.

    Args:
        stream: The stream.
    """

    def __init__(self, stream: ByteStream) -> None:
        self._stream = stream
        self.head = b""
        while len(self.head) < _BLOCK and (data := stream.read(_BLOCK - len(self.head))):
            self.head += data
        self._left = self.head

    def read(self, size: int = -1, /) -> bytes:
        """The next bytes, the head first; empty at the end."""
        if self._left:
            data, self._left = (self._left, b"") if size < 0 else (self._left[:size], self._left[size:])
            return data
        return self._stream.read(size)


class _Member(tarfile.TarInfo):
    """A member that notes on its archive what kind of block was read last, as tarfile itself tells nobody."""

    @classmethod
    def fromtarfile(cls, tarfile: tarfile.TarFile) -> _Member:
        """Read the next header, as tarfile does it."""
        notes = cast("_Archive", tarfile)
        try:
            found = super().fromtarfile(tarfile)
        except TarError as error:
            notes.noted(error)
            raise
        notes.ended, notes.found = False, True
        return found


class _Archive(tarfile.TarFile):
    """A tar archive that knows whether it came to its end mark, and which blocks are no headers.

    Attributes:
        ended: Whether the last block read was one of zeros, as two stand at the end of an archive.
        found: Whether any member was found.
        bad: Number of blocks passed over where a header should be.
        first_bad: Byte of the archive at which the first of them is.
    """

    ended = False
    found = False
    bad = 0
    first_bad = 0

    def noted(self, error: TarError) -> None:
        """Note that a block is no header of a member."""
        if type(error).__name__ == "EOFHeaderError":
            self.ended = True
        elif type(error).__name__ not in ("EmptyHeaderError", "TruncatedHeaderError"):
            if not self.bad:
                self.first_bad = self.offset
            self.bad += 1


class _Content:
    """The bytes of a member, also those in front of the place at which the archive is cut.

    Args:
        archive: The archive, at the beginning of the member's bytes.
        size: Number of them.
    """

    def __init__(self, archive: tarfile.TarFile, size: int) -> None:
        self._stream, self._left = cast("IO[bytes]", archive.fileobj), size

    def read(self, size: int = -1, /) -> bytes:
        """The next bytes; empty at the end."""
        wanted = self._left if size < 0 else min(size, self._left)
        data = self._stream.read(wanted) if wanted else b""
        if wanted and not data:
            raise Damaged("truncated_file", f"the archive ends inside this member; {self._left:,} bytes were not read")
        self._left -= len(data)
        return data


def tar_blocks(path: str, stream: ByteStream, compression: str, size: int, options: ReadOptions) -> Iterator[Block]:
    """Blocks of all files in a tar archive, or in several written one behind the other, in their order.

    Damage inside is passed over up to the next header that is whole, and reported with its place.

    Args:
        path: Path of the archive.
        stream: Its bytes as stored.
        compression: gzip, bz2, xz, zstd, or empty: then the first bytes tell.
        size: Number of bytes as stored.
        options: How to read.

    Raises:
        Damaged: The archive is cut or damaged.
        Bomb: The members together are larger than `options.max_expansion` allows.
    """
    peeked = _Peeked(stream)
    if not compression and (found := what_it_is(peeked.head)) in _COMPRESSIONS:
        compression = found
    plain = decompressed(peeked, compression, size) if compression else peeked
    source = Limited(plain, size, options.max_expansion)
    try:
        with _opened(source) as archive:
            yield from _members(path, archive, limit_of(size, options.max_expansion), options)
    except TarError as error:
        raise source.error or Damaged(error_of(error).reason, f"this is no whole tar archive: {error}") from None
    if archive.bad and archive.found:
        yield Block(path, "lines", error=_passed_over(archive))
    if source.error is not None:
        raise source.error
    if not archive.found and archive.bad:
        raise Damaged("unreadable_file", "this is no tar archive: no header of a member is in it")
    if not archive.ended:
        raise Damaged("truncated_file", f"the archive ends without its end mark, at byte {archive.offset:,}: it is cut")


def _opened(source: Limited) -> _Archive:
    """The archive in a stream, its first header read."""
    archive: tarfile.TarFile = _Archive.open(
        fileobj=cast("IO[bytes]", source), mode="r|", bufsize=_BUFFER, tarinfo=_Member, ignore_zeros=True
    )
    return cast(_Archive, archive)


def _passed_over(archive: _Archive) -> Unreadable:
    """The reject for blocks that are no headers."""
    return error_of(
        Damaged(
            "unreadable_file",
            f"{archive.bad * _BLOCK:,} bytes from byte {archive.first_bad:,} on are no member of a tar archive and "
            "were not read",
        )
    )


def _members(path: str, archive: _Archive, limit: int, options: ReadOptions) -> Iterator[Block]:
    total = 0
    while (member := archive.next()) is not None:
        archive.members = []  # type: ignore[attr-defined]  # typeshed lacks it; the names of millions of members would fill the memory
        if not member.isfile():
            continue
        outside = unsafe_member(path, member.name)
        if outside is not None:
            yield outside
            continue
        total += member.size
        if total > limit:
            raise Bomb(f"expands to over {limit >> 20} MiB (input.max_expansion)")
        raw = archive.extractfile(member) if member.issparse() else _Content(archive, member.size)
        if raw is not None:
            yield from member_blocks(path, member.name, Limited(raw, member.size, 1.0), member.size, options)
