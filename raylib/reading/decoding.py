"""The first bytes of a stream, pushed back after a look at them."""

from __future__ import annotations

import codecs
from collections.abc import Iterator

from raylib.reading.block import Unreadable
from raylib.reading.decompression import CHUNK, ByteStream
from raylib.reading.encodings import detect_encoding, normalise_encoding
from raylib.reading.signatures import foreign

__all__ = ["Pushback"]

_HEAD = 1 << 16
_UNDECODED = "raylib.undecoded"


def _undecoded(error: UnicodeError) -> tuple[str, int]:
    """What stands for bytes that do not decode: half a surrogate pair, which becomes a byte that is not UTF-8."""
    assert isinstance(error, UnicodeDecodeError)
    return "\udc80", error.end


codecs.register_error(_UNDECODED, _undecoded)


class Pushback:
    """A byte stream whose head can be looked at before it is read; wide encodings become UTF-8.

    Args:
        stream: Bytes as stored.
        encoding: `auto`, or the name of a codec.
        chunk: Largest number of bytes to read at once.

    Attributes:
        encoding: Codec of the bytes that `chunks` gives.
        head: First bytes of the stream (64 KiB, or all if there are fewer), without a byte order mark.
        whole: Whether these are all.
        foreign: Why the stream is no text, if its first bytes say so.
    """

    def __init__(self, stream: ByteStream, encoding: str, chunk: int) -> None:
        self._stream, self._chunk = stream, max(1, min(chunk, CHUNK))
        head = b""
        while len(head) < _HEAD and (data := stream.read(_HEAD - len(head))):
            head += data
        self.whole = len(head) < _HEAD
        self.foreign: Unreadable | None = foreign(head, "text")
        self.encoding = detect_encoding(head) if encoding == "auto" else normalise_encoding(encoding)
        if self.encoding in ("utf-8", "utf-8-sig") and head.startswith(codecs.BOM_UTF8):
            head = head[3:]
        if self.encoding == "utf-8-sig":
            self.encoding = "utf-8"
        self._decoder = None
        if self.encoding.startswith(("utf-16", "utf-32", "utf_16", "utf_32")):
            # a newline byte can be half of a character there, so these are converted to UTF-8 first
            self._decoder = codecs.getincrementaldecoder(self.encoding)(_UNDECODED)
            self.encoding = "utf-8"
            head = self._converted(head)
        self.head = head
        self._old_lines = False

    def lines_end_with_returns(self) -> bool:
        """Give line feeds in place of carriage returns, if those alone end the lines, as old tools write them."""
        self._old_lines = b"\r" in self.head and b"\n" not in self.head
        if self._old_lines:
            self.head = self.head.replace(b"\r", b"\n")
        return self._old_lines

    @property
    def error(self) -> Exception | None:
        """Why the stream ended early, if it did."""
        return getattr(self._stream, "error", None)

    def chunks(self) -> Iterator[bytes]:
        """All bytes of the stream in `encoding`, the head first."""
        yield self.head
        while data := self._stream.read(self._chunk):
            yield self._given(self._converted(data))
        if self._decoder and (rest := self._converted(b"", final=True)):
            yield self._given(rest)

    def _given(self, data: bytes) -> bytes:
        return data.replace(b"\r", b"\n") if self._old_lines else data

    def _converted(self, data: bytes, *, final: bool = False) -> bytes:
        """Bytes in UTF-8; those that do not decode become one that is not UTF-8 either, so that they are refused."""
        if self._decoder is None:
            return data
        return self._decoder.decode(data, final=final).encode("utf-8", "surrogateescape")
