"""Members of zip archives, each read like a file, and what all archives have in common."""

from __future__ import annotations

import zipfile
from collections.abc import Iterator

from raylib.reading.block import Block, ReadOptions, Unreadable
from raylib.reading.damage import READ_ERRORS, Damaged, error_of
from raylib.reading.decompression import ByteStream, Limited
from raylib.reading.filesystems import file_format
from raylib.reading.streams import stream_blocks

__all__ = ["IS_ENCRYPTED", "member_blocks", "name_of", "unsafe_member", "zip_blocks"]

_OUTSIDE = Unreadable("unsafe_path", "path outside the archive")
_NESTED = Unreadable("nested_archive", "archives inside archives are not read")
_IS_UTF8 = 0x800  # flag of a member of a zip file: its name is in UTF-8
IS_ENCRYPTED = 0x1
"""Flag of an encrypted member."""


def unsafe_member(path: str, name: str) -> Block | None:
    """The reject of a member whose name points outside the archive; None if it does not.

    Args:
        path: Path of the archive.
        name: Name of the member.
    """
    parts = name.replace("\\", "/").split("/")
    outside = name.startswith(("/", "\\")) or ".." in parts or (len(name) > 1 and name[1] == ":")
    return Block(f"{path}::{name}", "lines", error=_OUTSIDE) if outside else None


def member_blocks(path: str, name: str, stream: ByteStream, size: int, options: ReadOptions) -> Iterator[Block]:
    """Blocks of one member of an archive; what ends its reading is an error block, and no matter of its neighbours.

    Args:
        path: Path of the archive.
        name: Name of the member.
        stream: Its bytes.
        size: Number of bytes that it takes up in the archive.
        options: How to read.
    """
    shown = f"{path}::{name}"
    found, compression = file_format(name)
    if found in ("zip", "tar"):
        yield Block(shown, "lines", error=_NESTED)
        return
    try:
        yield from stream_blocks(shown, found, compression, stream, size, options)
    except READ_ERRORS as error:
        yield Block(shown, "lines", error=error_of(error))


def zip_blocks(path: str, archive: zipfile.ZipFile, options: ReadOptions) -> Iterator[Block]:
    """Blocks of all members of a zip file, in the archive's order. A member that cannot be read is one reject.

    Args:
        path: Path of the archive.
        archive: The archive, which is closed at the end.
        options: How to read.
    """
    with archive:
        for member in archive.infolist():
            if member.is_dir():
                continue
            name = name_of(member)
            outside = unsafe_member(path, name)
            if outside is not None:
                yield outside
                continue
            try:
                raw = archive.open(member)
            except READ_ERRORS as error:
                yield Block(f"{path}::{name}", "lines", error=_closed(member, error))
                continue
            with raw:
                limited = Limited(raw, member.compress_size, options.max_expansion)
                yield from member_blocks(path, name, limited, member.compress_size, options)


def name_of(member: zipfile.ZipInfo) -> str:
    """The name of a member; Chinese tools store it in UTF-8 or GBK without saying so, which zipfile takes for CP437.

    Args:
        member: What a header says.
    """
    if member.flag_bits & _IS_UTF8:
        return member.filename
    try:
        raw = member.filename.encode("cp437")
    except UnicodeEncodeError:
        return member.filename
    return _decoded(raw, "utf-8") or _decoded(raw, "gb18030") or member.filename


def _decoded(raw: bytes, encoding: str) -> str:
    """The text of some bytes; empty if they are not in this encoding."""
    try:
        return raw.decode(encoding)
    except UnicodeDecodeError:
        return ""


def _closed(member: zipfile.ZipInfo, error: Exception) -> Unreadable:
    """The reject of a member that cannot be opened."""
    if member.flag_bits & IS_ENCRYPTED:
        error = Damaged("unreadable_file", "this member is encrypted; unpack the archive with its password")
    elif isinstance(error, NotImplementedError):
        error = Damaged("unreadable_file", f"compression method {member.compress_type} of zip is not read")
    reason, detail = error_of(error)
    return Unreadable(reason, f"{detail}; {member.file_size:,} bytes were not read")
