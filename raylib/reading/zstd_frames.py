"""The decoder of zstd: block by block, so that no bomb unfolds at once and a cut frame is noticed where it is cut."""

from __future__ import annotations

import zstandard

from raylib.reading.damage import Damaged
from raylib.reading.frames import Input, describe

__all__ = ["ZstdFrames"]

_MAGIC = 0xFD2FB528
_SKIPPABLE = range(0x184D2A50, 0x184D2A60)
_BLOCKS = 8  # of at most 128 KiB each, decoded at once
_ENOUGH = 256 << 10  # bytes that are worth the work around them; small frames are joined
_SMALLEST = 9  # bytes of a frame
_WINDOW = 20  # exponent above 1 KiB of a window that is far from the limit
_SKIPPED = 1 << 20
_LARGEST_WINDOW = 1 << 31  # `zstd --long=31`, the most that its format is used with


class ZstdFrames:
    """The bytes of all zstd frames of a file; skippable frames between them are passed over.

    python-zstandard's own reader takes a frame that is cut for one that ends, and decodes a frame however much it
    unfolds to. So the frame is followed block by block, as RFC 8878 describes it.

    Args:
        input_: The bytes as stored.
    """

    def __init__(self, input_: Input) -> None:
        self._input = input_
        self._decoder = zstandard.ZstdDecompressor(max_window_size=_LARGEST_WINDOW)
        self._object: zstandard.ZstdDecompressionObj | None = None
        self._checksum = False
        self._members = 0
        self._done = False
        self._error: Damaged | None = None

    def read(self, size: int = -1, /) -> bytes:
        """The next bytes, about a megabyte; empty at the end.

        Raises:
            Damaged: The file is cut or damaged, or needs more memory than it may have.
        """
        parts: list[bytes] = []
        total = 0
        while not self._done and total < _ENOUGH:
            if self._error is not None:
                if parts:
                    break
                raise self._error
            try:
                if self._object is None:
                    data = self._whole() or self._begin()
                else:
                    data = self._blocks(self._object)
            except Damaged as error:  # what was decoded before it is given first
                self._error = error
                continue
            if data:
                parts.append(data)
                total += len(data)
        return parts[0] if len(parts) == 1 else b"".join(parts)

    def _exactly(self, size: int) -> bytes:
        """The next `size` bytes."""
        taken = self._input.take(size)
        if len(taken) < size:
            raise self._input.truncated("zstd")
        return taken

    def _whole(self) -> bytes:
        """The next frame at once, if it is small, sound and already here; else nothing, and nothing is used."""
        view = self._input.ahead(0)
        stored, content = _small_frame(view)
        if not 0 < stored <= len(view):
            return b""
        try:
            data = self._decoder.decompress(view[:stored], allow_extra_data=False)
        except (zstandard.ZstdError, MemoryError):
            return b""  # followed block by block, it says where it is damaged
        if len(data) != content:
            return b""
        self._input.skip(stored)
        self._members += 1
        return data

    def _begin(self) -> bytes:
        """Begin the next frame."""
        magic = self._input.take(4)
        if not magic:
            if not self._members:
                raise Damaged("truncated_file", "the file is empty: not even the beginning of zstd data")
            self._done = True
            return b""
        number = int.from_bytes(magic, "little")
        if len(magic) == 4 and number in _SKIPPABLE:
            self._members += 1
            self._skip(int.from_bytes(self._exactly(4), "little"))
            return b""
        if number != _MAGIC:
            cut = _MAGIC.to_bytes(4, "little").startswith(magic)
            self._input.give_back(magic)
            raise self._input.truncated("zstd") if cut else describe(self._input, "zstd", self._members)
        header, window = self._header()
        if window > _LARGEST_WINDOW:
            raise Damaged(
                "unreadable_file",
                f"zstd data with a window of {window >> 20:,} MiB, over the limit of {_LARGEST_WINDOW >> 20:,} MiB, "
                f"{self._input.where()}",
            )
        self._object = self._decoder.decompressobj()
        self._input.give_back(magic + header)
        data = self._decoded(self._object, magic + header)
        self._input.skip(4 + len(header))
        return data

    def _skip(self, size: int) -> None:
        while size:
            size -= len(self._exactly(min(size, _SKIPPED)))

    def _header(self) -> tuple[bytes, int]:
        """The header of a frame behind its magic number, and the size of its window in bytes."""
        descriptor = self._exactly(1)
        flags = descriptor[0]
        single = bool(flags & 0x20)
        self._checksum = bool(flags & 0x04)
        content = (1 if single else 0, 2, 4, 8)[flags >> 6]
        window = b"" if single else self._exactly(1)
        dictionary = self._exactly((0, 1, 2, 4)[flags & 3])
        size = self._exactly(content)
        header = descriptor + window + dictionary + size
        if single:
            return header, int.from_bytes(size, "little") + (256 if content == 2 else 0)
        base = 1 << (10 + (window[0] >> 3))
        return header, base + (base >> 3) * (window[0] & 7)

    def _blocks(self, decoder: zstandard.ZstdDecompressionObj) -> bytes:
        """Decode the next few blocks; the whole ones before a cut are given before its error."""
        end, last, cut = self._measured()
        data = self._decoded(decoder, self._input.ahead(end)[:end])
        self._input.skip(end)
        if cut:
            self._input.skip(len(self._input.ahead(0)))
            self._error = self._input.truncated("zstd")
        elif last:
            if not decoder.eof:
                raise Damaged("unreadable_file", f"damaged zstd data {self._input.where()}")
            self._object, self._members = None, self._members + 1
        return data

    def _measured(self) -> tuple[int, bool, bool]:
        """Bytes of the next few whole blocks, whether they end the frame, and whether the file is cut behind them."""
        end, last = 0, False
        for _ in range(_BLOCKS):
            view = self._input.ahead(end + 3)
            number = int.from_bytes(view[end : end + 3], "little")
            kind, size = number >> 1 & 3, number >> 3
            behind = end + 3 + (1 if kind == 1 else size)
            if len(view) < behind and len(self._input.ahead(behind)) < behind:
                return end, False, True
            end, last = behind, bool(number & 1)
            if last:
                break
        if last and self._checksum:
            if len(self._input.ahead(end + 4)) < end + 4:
                return end, last, True
            end += 4
        return end, last, False

    def _decoded(self, decoder: zstandard.ZstdDecompressionObj, data: bytes | memoryview) -> bytes:
        try:
            return decoder.decompress(data) if data else b""
        except (zstandard.ZstdError, MemoryError) as error:
            raise Damaged("unreadable_file", f"damaged zstd data ({error}) {self._input.where()}") from None


def _small_frame(view: memoryview) -> tuple[int, int]:
    """Bytes that a frame takes as stored, and of its content; zeros if it is none, or not a small and simple one.

    Args:
        view: What begins with the frame.
    """
    if len(view) < _SMALLEST or view[:4] != _MAGIC.to_bytes(4, "little"):
        return 0, 0
    flags = view[4]
    single, width = flags >> 5 & 1, flags >> 6
    if flags & 0x03 or width == 3 or not (single or (width and view[5] >> 3 <= _WINDOW)):
        return 0, 0
    at = 6 - single
    end = at + (1 if width == 0 else width * 2)
    content = int.from_bytes(view[at:end], "little") + (256 if width == 1 else 0)
    if not 0 < content <= _ENOUGH:
        return 0, 0
    for _ in range(_BLOCKS):
        number = int.from_bytes(view[end : end + 3], "little")
        end += 3 + (1 if number >> 1 & 3 == 1 else number >> 3)
        if number & 1:
            return end + (4 if flags & 0x04 else 0), content
    return 0, 0
