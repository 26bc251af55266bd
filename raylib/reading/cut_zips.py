"""Members of a zip archive whose directory is missing or damaged, as in a file that was cut.

The directory stands at the end of a zip file. Before each member there is a header of its own, so an archive without
its end is read from its beginning, member by member, as far as each says where the next one begins. Every member has a
checksum, which tells whether it is whole.
"""

from __future__ import annotations

import struct
import zipfile
import zlib
from collections.abc import Iterator
from dataclasses import dataclass

from raylib.reading.archives import IS_ENCRYPTED, member_blocks, name_of, unsafe_member
from raylib.reading.block import Block, ReadOptions, Unreadable
from raylib.reading.decompression import CHUNK, Limited, Transport, limit_of

__all__ = ["cut_zip_blocks"]

_HEADER = struct.Struct("<4s5H3I2H")
_MEMBER, _DIRECTORY, _DESCRIPTOR = b"PK\x03\x04", b"PK\x01\x02", b"PK\x07\x08"
_SIZES_FOLLOW = 0x8  # flag: checksum and sizes stand behind the member
_LARGE = 0xFFFFFFFF  # the size stands in an extra field
_STORED, _DEFLATED = zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED


@dataclass
class _Member:
    """What the header before a member says.

    Attributes:
        name: Its name.
        method: Compression method.
        encrypted: Whether it is encrypted.
        crc: Checksum of its content; None if it stands behind it.
        size: Number of bytes that it takes up; None if that stands behind it.
        start: Where its content begins.
    """

    name: str
    method: int
    encrypted: bool
    crc: int | None
    size: int | None
    start: int


class _Content:
    """The content of a member, which ends by itself or where its header says.

    Attributes:
        whole: Whether its end has come.
        end: Where the next header, or what stands behind the content, begins.
        crc: Checksum of what was read.
    """

    def __init__(self, stream: Transport, member: _Member) -> None:
        self._stream, self._member = stream, member
        self._inflate = zlib.decompressobj(-zlib.MAX_WBITS) if member.method == _DEFLATED else None
        self._left = member.size
        self.whole, self.end, self.crc = False, member.start, 0
        stream.seek(member.start)

    def read(self, size: int = -1, /) -> bytes:
        """The next `size` bytes at most; empty at the end.

        Raises:
            EOFError: The archive ends before the member does.
            BadZipFile: The content is not what the checksum says.
        """
        wanted = min(size, CHUNK) if size > 0 else CHUNK
        data = b""
        while not data and not self.whole:
            data = self._next(wanted)
        self.crc = zlib.crc32(data, self.crc)
        if self.whole and self.crc not in self._checksums():
            raise zipfile.BadZipFile(f"Bad CRC-32 for file {self._member.name!r}")
        return data

    def _checksums(self) -> set[int | None]:
        """What the checksum may be: that of the header, or what stands behind the content, with a mark or without."""
        if self._member.crc is not None:
            return {self._member.crc}
        self._stream.seek(self.end)
        data = self._stream.read(8)
        if len(data) < 8:
            raise EOFError("the archive ends in front of the checksum of this member")
        return {int.from_bytes(data[:4], "little"), int.from_bytes(data[4:], "little")}

    def _next(self, wanted: int) -> bytes:
        held = b"" if self._inflate is None else self._inflate.unconsumed_tail
        raw = held or self._stream.read(wanted if self._left is None else min(wanted, self._left))
        if not held and self._left is not None:
            self._left -= len(raw)
        if self._inflate is None:
            self.end += len(raw)
            self.whole = self._left == 0
            data = raw
        else:
            data = self._inflate.decompress(raw, wanted)
            self.whole = self._inflate.eof
            self.end += len(raw) - len(self._inflate.unused_data) - len(self._inflate.unconsumed_tail)
        if not raw and not data and not self.whole:
            raise EOFError("the archive ends in the middle of this member")
        return data


def cut_zip_blocks(path: str, stream: Transport, size: int, error: Exception, options: ReadOptions) -> Iterator[Block]:
    """Blocks of the members that stand in front of the damage, and one reject for what was not read.

    Args:
        path: Path of the archive.
        stream: Its bytes.
        size: Number of them.
        error: What is wrong with its directory.
        options: How to read.

    Raises:
        BadZipFile: There is no member at its beginning, so this is no archive.
    """
    at, members = 0, 0
    while (member := _member_at(stream, min(at, size))) is not None:
        members += 1
        outside = unsafe_member(path, member.name)
        if outside is not None or member.encrypted or member.method not in (_STORED, _DEFLATED):
            yield outside or Block(f"{path}::{member.name}", "lines", error=_NOT_READ)
            if member.size is None:
                break
            at = member.start + member.size
            continue
        content = _Content(stream, member)
        if member.method == _STORED and member.size is None:
            break  # nothing says where it ends
        if not member.name.endswith("/"):
            limited = Limited(content, size - member.start, options.max_expansion)
            yield from member_blocks(path, member.name, limited, size - member.start, options)
        behind = _behind(stream, member, content, limit_of(size - member.start, options.max_expansion))
        if behind is None or behind > size:
            break
        at = behind
    if not members:
        raise error
    yield Block(path, "lines", error=_lost(stream, at, size, members, error))


_NOT_READ = Unreadable("unreadable_file", "this member is encrypted, or compressed by a method that is not read")


def _lost(stream: Transport, at: int, size: int, members: int, error: Exception) -> Unreadable:
    """The reject for what stands behind the last member that was read whole."""
    stream.seek(min(at, size))
    if stream.read(4) == _DIRECTORY:
        what = f"all {members:,} members in front of it were read"
    else:
        what = f"{max(0, size - at):,} bytes from byte {min(at, size):,} on belong to no whole member"
    if not isinstance(error, zipfile.BadZipFile):
        return Unreadable("unreadable_file", f"zip archive whose directory cannot be read ({error}): {what}")
    return Unreadable("truncated_file", f"zip archive without its directory, which stands at its end ({error}): {what}")


def _member_at(stream: Transport, at: int) -> _Member | None:
    """What the header at a place says; None if there is none."""
    stream.seek(at)
    data = stream.read(_HEADER.size)
    if len(data) < _HEADER.size or data[:4] != _MEMBER:
        return None
    _, _, flags, method, _, _, crc, packed, _, length, more = _HEADER.unpack(data)
    raw, extra = stream.read(length), stream.read(more)
    if len(raw) < length or len(extra) < more:
        return None
    follow = bool(flags & _SIZES_FOLLOW) and not packed
    info = zipfile.ZipInfo(raw.decode("utf-8" if flags & 0x800 else "cp437", "replace"))
    info.flag_bits = flags
    return _Member(
        name=name_of(info),
        method=method,
        encrypted=bool(flags & IS_ENCRYPTED),
        crc=None if flags & _SIZES_FOLLOW and not crc else crc,
        size=None if follow else _large_size(extra) if packed == _LARGE else packed,
        start=at + _HEADER.size + length + more,
    )


def _large_size(extra: bytes) -> int | None:
    """The size of a member of over 4 GiB: the second number of the extra field 1."""
    while len(extra) >= 4:
        kind, length = struct.unpack_from("<2H", extra)
        if kind == 1 and length >= 16 and len(extra) >= 20:
            return int.from_bytes(extra[12:20], "little")
        extra = extra[4 + length :]
    return None


def _behind(stream: Transport, member: _Member, content: _Content, limit: int) -> int | None:
    """Where the next header is, whatever the reader has left of a member; None if the member has no end."""
    if member.size is not None:
        return member.start + member.size
    try:
        while not content.whole and limit > 0:
            limit -= len(content.read(CHUNK))
    except (EOFError, zlib.error):
        return None
    except zipfile.BadZipFile:  # its checksum is wrong, which is a reject already
        pass
    return _behind_descriptor(stream, content.end) if content.whole else None


def _behind_descriptor(stream: Transport, end: int) -> int:
    """Where the next header begins: behind the checksum and sizes, which have a mark or none, and 4 or 8 bytes."""
    stream.seek(end)
    data = stream.read(28)
    skip = 4 if data[:4] == _DESCRIPTOR else 0
    for width in (4, 8):
        behind = skip + 4 + 2 * width
        if data[behind : behind + 2] == b"PK":
            return end + behind
    return end + skip + 12
