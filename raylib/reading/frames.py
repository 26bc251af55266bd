"""Decoders of gzip, bz2, xz and zstd that know whether the last frame of a file is whole.

The standard readers of these formats, and that of zstandard most of all, end quietly where a download ended early.
These raise `Damaged` instead, with the place and the number of bytes that were not read.
"""

from __future__ import annotations

import bz2
import lzma
import zlib
from typing import Protocol

from raylib.reading.damage import Damaged
from raylib.reading.signatures import pointer, what_it_is

__all__ = ["Input", "Members", "describe"]

_READ = 1 << 20
_PIECE = 1 << 16  # fed to a decoder at once: what is lost in front of a damaged byte is less
_MEMORY = 3 << 30  # of xz, whose largest preset needs 1.6 GB with a dictionary of 1.5 GB
_MAGIC = {"gzip": (b"\x1f\x8b",), "bz2": (b"BZh",), "xz": (b"\xfd7zXZ\x00", b"]\x00\x00"), "zstd": ()}


class _Stream(Protocol):
    def read(self, size: int = -1, /) -> bytes: ...


class _Object(Protocol):
    """A decoder of one frame, as zlib, bz2 and lzma have them."""

    @property
    def eof(self) -> bool: ...

    @property
    def unused_data(self) -> bytes: ...

    def decompress(self, data: bytes, max_length: int = -1, /) -> bytes: ...


class Input:
    """The bytes of a file as stored, with the place up to which they were used.

    Args:
        stream: The stream.
        size: Number of bytes that it holds; 0 if nobody knows.
    """

    def __init__(self, stream: _Stream, size: int) -> None:
        self._stream, self._size = stream, size
        self._held = b""
        self._used = 0  # of what is held
        self.place = 0

    def take(self, size: int) -> bytes:
        """The next `size` bytes; fewer only at the end of the file."""
        if len(self._held) - self._used < size:
            self.ahead(size)
        taken = self._held[self._used : self._used + size]
        self.skip(len(taken))
        return taken

    def ahead(self, size: int) -> memoryview:
        """What comes next, not taken yet: at least `size` bytes, unless the file ends before."""
        while len(self._held) - self._used < size:
            data = self._stream.read(_READ)
            if not data:
                break
            self._held = self._held[self._used :] + data
            self._used = 0
        return memoryview(self._held)[self._used :]

    def skip(self, size: int) -> None:
        """Count bytes as taken that `ahead` has given."""
        self._used += size
        self.place += size

    def give_back(self, data: bytes) -> None:
        """Put bytes back that were taken but not used."""
        self.place -= len(data)
        begin = self._used - len(data)
        if begin >= 0 and self._held[begin : self._used] == data:
            self._used = begin
        else:
            self._held, self._used = data + self._held[self._used :], 0

    def where(self) -> str:
        """The place in words, and what was not read behind it."""
        if not self._size:
            return f"at byte {self.place:,}"
        return f"at byte {self.place:,} of {self._size:,}; {max(self._size - self.place, 0):,} bytes were not read"

    def truncated(self, name: str) -> Damaged:
        """The error for a file that ends inside a frame."""
        place = f"at byte {self.place:,}; what should follow is missing"
        return Damaged("truncated_file", f"the file ends in the middle of its {name} data, {place}")


def describe(input_: Input, name: str, members: int) -> Damaged:
    """The error for bytes that should begin a frame and do not.

    Args:
        input_: Where they are next.
        name: What the file should hold: gzip, bz2, xz or zstd.
        members: Number of whole frames before them.
    """
    head = input_.take(512)
    input_.give_back(head)
    if members:
        return Damaged("unreadable_file", f"what follows the {name} data is no {name}, {input_.where()}")
    found = pointer(head)
    if found is not None:
        return Damaged(*found)
    other = what_it_is(head)
    if not other:
        text = head[: max(1, len(head) - 4)]
        plain = b"\x00" not in text and text.decode("utf-8", "ignore").encode() in (text, text[:-1], text[:-2])
        other = "plain text" if plain else ""
    if other:
        return Damaged("unreadable_file", f"this is {other}, not {name}: rename the file; {input_.where()}")
    return Damaged("unreadable_file", f"this is no {name}: it does not begin as such files do, {input_.where()}")


class Members:
    """The bytes of gzip, bz2 or xz: of all members one after the other.

    Args:
        input_: The bytes as stored.
        name: gzip, bz2 or xz.
    """

    def __init__(self, input_: Input, name: str) -> None:
        self._input, self._name = input_, name
        self._object: _Object | None = None
        self._pending = b""
        self._hungry = True
        self._members = 0
        self._done = False

    def read(self, size: int = -1, /) -> bytes:
        """The next bytes, `size` at most; empty at the end.

        Raises:
            Damaged: The file is cut or damaged, or what follows its last member is none.
        """
        limit = size if size > 0 else _READ
        while not self._done:
            data = self._begin() if self._object is None else self._step(self._object, limit)
            if data:
                return data
        return b""

    def _begin(self) -> bytes:
        """Begin the next member; zeros behind the last one, as tapes have them, are no damage."""
        head = self._input.take(8)
        while self._members and head and not head.strip(b"\x00"):
            head = self._input.take(_PIECE)
        self._input.give_back(head.lstrip(b"\x00") if self._members else head)
        if not head:
            if not self._members:
                raise Damaged("truncated_file", f"the file is empty: not even the beginning of {self._name} data")
            self._done = True
            return b""
        head = self._input.take(8)
        self._input.give_back(head)
        if not head.startswith(_MAGIC[self._name]):
            short = self._members == 0 and any(magic.startswith(head) for magic in _MAGIC[self._name])
            raise self._input.truncated(self._name) if short else describe(self._input, self._name, self._members)
        self._object, self._hungry = self._made(), True
        return b""

    def _made(self) -> _Object:
        if self._name == "gzip":
            return zlib.decompressobj(31)
        if self._name == "bz2":
            return bz2.BZ2Decompressor()
        return lzma.LZMADecompressor(lzma.FORMAT_AUTO, memlimit=_MEMORY)

    def _step(self, decoder: _Object, limit: int) -> bytes:
        """Feed the decoder of a member once."""
        if self._hungry and not self._pending:
            self._pending = self._input.take(_PIECE)
            if not self._pending:
                raise self._input.truncated(self._name)
        fed, self._pending = self._pending, b""
        try:
            data = decoder.decompress(fed, limit)
        except (OSError, zlib.error, lzma.LZMAError, EOFError, MemoryError, ValueError) as error:
            self._input.give_back(fed)
            raise Damaged("unreadable_file", f"damaged {self._name} data ({error}) {self._input.where()}") from None
        if decoder.eof:
            self._input.give_back(decoder.unused_data)
            self._object, self._members = None, self._members + 1
        elif self._name == "gzip":
            self._pending = getattr(decoder, "unconsumed_tail", b"")
            self._hungry = len(data) < limit
        else:
            self._hungry = getattr(decoder, "needs_input", True)
        return data
