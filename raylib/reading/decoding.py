"""The first bytes of a stream, pushed back after a look at them."""

from __future__ import annotations

import codecs
from collections.abc import Iterator

from raylib.reading.decompression import CHUNK, ByteStream
from raylib.reading.encodings import detect_encoding, normalise_encoding

__all__ = ["Pushback"]


_HEAD = 1 << 16


class Pushback:
    """A byte stream whose head can be looked at before it is read; wide encodings become UTF-8.

    Args:
        stream: Bytes as stored.
        encoding: `auto`, or the name of a codec.
        chunk: Largest number of bytes to read at once.

    Attributes:
        encoding: Codec of the bytes that `chunks` gives.
        head: First bytes of the stream (64 KiB, or all if there are fewer), without a byte order mark.
    """

    def __init__(self, stream: ByteStream, encoding: str, chunk: int) -> None:
        self._stream, self._chunk = stream, max(1, min(chunk, CHUNK))
        head = b""
        while len(head) < _HEAD and (data := stream.read(_HEAD - len(head))):
            head += data
        self.encoding = detect_encoding(head) if encoding == "auto" else normalise_encoding(encoding)
        if self.encoding in ("utf-8", "utf-8-sig") and head.startswith(codecs.BOM_UTF8):
            head = head[3:]
        if self.encoding == "utf-8-sig":
            self.encoding = "utf-8"
        self._decoder = None
        if self.encoding.startswith(("utf-16", "utf-32", "utf_16", "utf_32")):
            # a newline byte can be half of a character there, so these are converted to UTF-8 first
            self._decoder = codecs.getincrementaldecoder(self.encoding)("replace")
            self.encoding = "utf-8"
            head = self._decoder.decode(head).encode("utf-8", "replace")
        self.head = head

    @property
    def error(self) -> Exception | None:
        """Why the stream ended early, if it did."""
        return getattr(self._stream, "error", None)

    def chunks(self) -> Iterator[bytes]:
        """All bytes of the stream in `encoding`, the head first."""
        yield self.head
        while data := self._stream.read(self._chunk):
            yield self._decoder.decode(data).encode("utf-8", "replace") if self._decoder else data
        if self._decoder and (rest := self._decoder.decode(b"", final=True)):
            yield rest.encode("utf-8", "replace")
