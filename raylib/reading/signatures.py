"""What the first bytes of a file say it is, whatever its name says."""

from __future__ import annotations

import re

from raylib.reading.block import Unreadable

__all__ = ["SIGNATURE_BYTES", "foreign", "pointer", "what_it_is"]

SIGNATURE_BYTES = 512
_POINTER = b"version https://git-lfs.github.com/spec/"
_MARKS = (
    (rb"PAR1", "Parquet"),
    (rb"ARROW1\x00\x00", "an Arrow file"),
    (rb"\x1f\x8b\x08", "gzip"),
    (rb"BZh[1-9]1AY&SY", "bz2"),
    (rb"\xfd7zXZ\x00", "xz"),
    (rb"\x28\xb5\x2f\xfd|[\x50-\x5f]\x2a\x4d\x18", "zstd"),
    (rb"PK\x03\x04", "a zip archive, or a docx, xlsx or epub file"),
    (rb".{257}ustar", "a tar archive"),
    (rb"WARC/[01]\.", "a WARC archive"),
    (rb"%PDF-", "a PDF file"),
    (rb"Rar!\x1a", "a rar archive"),
    (rb"7z\xbc\xaf\x27\x1c", "a 7z archive"),
    (rb"SQLite format 3\x00", "an SQLite database"),
    (rb"\x89HDF\r\n", "an HDF5 file"),
    (rb"\x93NUMPY", "a NumPy array"),
    (rb"\x80[\x02-\x05].{0,10}[\x8c\x8e}\](c]", "a pickle, which is never read"),
    (rb"\xd0\xcf\x11\xe0\xa1\xb1", "an Office file of before 2007"),
    (rb"\x89PNG\r\n|\xff\xd8\xff|GIF8[79]a", "a picture"),
    (rb"\x7fELF", "a program"),
)
_COMPILED = tuple((re.compile(mark, re.DOTALL), name) for mark, name in _MARKS)


def pointer(head: bytes) -> Unreadable | None:
    """The reject of a file that is a pointer of Git LFS; None if it is none.

    Args:
        head: First bytes of the file.
    """
    if not head.startswith(_POINTER):
        return None
    size = re.search(rb"\nsize (\d+)", head[:SIGNATURE_BYTES])
    missing = f" of {int(size[1]):,} bytes" if size else ""
    return Unreadable(
        "lfs_pointer", f"this is a Git LFS pointer, not the file{missing} that it stands for: run `git lfs pull`"
    )


def what_it_is(head: bytes) -> str:
    """The binary format of a file in words; empty if its first bytes are those of none.

    Args:
        head: First bytes of the file.
    """
    return next((name for mark, name in _COMPILED if mark.match(head)), "")


def foreign(head: bytes, promised: str) -> Unreadable | None:
    """The reject of a file that holds something else than text; None if its first bytes may be text.

    Args:
        head: First bytes of the file.
        promised: What its name says it is.
    """
    found = pointer(head)
    if found is not None:
        return found
    name = what_it_is(head)
    if not name:
        return None
    return Unreadable("unreadable_file", f"this is {name}, not {promised}: nothing of it is read; rename or convert it")
