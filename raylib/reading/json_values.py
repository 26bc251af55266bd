"""JSON cut into its values without parsing it: elements of arrays, and objects written one behind the other.

Only strings and nesting are followed, so that a value that is no JSON is cut out like any other, becomes a reject where
it is parsed, and the values behind it are read. All of it is done by numpy on the few bytes that matter: a file of any
size is cut at several hundred megabytes a second, in the memory of one value.
"""

from __future__ import annotations

import re
from collections.abc import Generator, Iterator

import numpy as np
from numpy.typing import NDArray

from raylib.errors import RecordError
from raylib.exact import loads
from raylib.reading.block import Unreadable

__all__ = ["Splitter"]

_QUOTE, _COMMA, _NEWLINE, _OPENING, _CLOSING = b'"', b",", b"\n", b"[", b"]"
_STRUCTURAL = bytes(byte in b'"{}[],\n' for byte in range(256))
_STEP = np.zeros(256, np.int64)
_STEP[list(b"{[")], _STEP[list(b"}]")] = 1, -1
_SPACE = b" \t\r\n"
_BACKSLASH = ord("\\")
_STEPS = 64
_BOM = b"\xef\xbb\xbf"
_BEGINNING = re.compile(rb'\{\s*"(?:[^"\\]|\\.)*"\s*:')
_MEMBERS = re.compile(
    rb'(?:\s*(?:,\s*)?"(?:[^"\\]|\\.)*"\s*:\s*(?:"(?:[^"\\]|\\.)*"|[\d.eE+-]+|true|false|null))*'
    rb'(?:\s*(?:,\s*)?"(?:[^"\\]|\\.)*"\s*:)?\s*'
)  # of an object around arrays: fields that are no records, and the name of the next array
_FAULTS = 1000  # brackets too many; behind so many the rest is one reject
_KEPT_BACK = 256  # in which the beginning of a value may be cut


class _Tokens:
    """The bytes of a piece of JSON that matter, outside of strings."""

    def __init__(self, data: bytes, depth: int, inside: bool) -> None:
        at = np.flatnonzero(np.frombuffer(data.translate(_STRUCTURAL), np.bool_))
        every = np.frombuffer(data, np.uint8)
        if b'\\"' in data:
            at = at[~_escaped(data, every, at)]
        self.at, self.kind = at, every[at]
        quotes = self.kind == _QUOTE[0]
        seen = np.cumsum(quotes) + int(inside)
        newline = self.kind == _NEWLINE[0]
        if (seen[newline] & 1).any():  # no string goes over a line end, so a stray quote ends with its line
            seen = seen - np.maximum.accumulate(np.where(newline, seen, 0))
        self.outside = ((seen & 1) == 0) & ~quotes
        self.depth = depth + np.cumsum(_STEP[self.kind] * self.outside)
        self.last = (int(self.depth[-1]), bool(seen[-1] & 1)) if len(seen) else (depth, inside)

    def borders(self, *, in_array: bool) -> NDArray[np.intp]:
        """Which of the bytes end a value, or begin or end an array."""
        closing = _STEP[self.kind] < 0
        if in_array:
            found = ((self.kind == _COMMA[0]) & (self.depth == 1)) | (closing & (self.depth < 1))
        else:
            found = (closing & (self.depth < 1)) | ((self.kind == _OPENING[0]) & (self.depth == 1))
        return np.flatnonzero(found & self.outside)


def _escaped(data: bytes, every: NDArray[np.uint8], at: NDArray[np.intp]) -> NDArray[np.bool_]:
    """Which of the bytes at some places are quotes behind an odd number of backslashes: no quotes, but escapes."""
    out = np.zeros(len(at), np.bool_)
    behind = np.flatnonzero((every[at] == _QUOTE[0]) & (every[at - 1] == _BACKSLASH) & (at > 0))
    steps = 1
    while len(behind):
        out[behind] ^= True
        steps += 1
        if steps > _STEPS:  # as nobody writes them
            masked = np.frombuffer(data.replace(b"\\\\", b"__").replace(b'\\"', b"__"), np.uint8)
            return np.asarray((every[at] == _QUOTE[0]) & (masked[at] != _QUOTE[0]), np.bool_)
        behind = behind[(at[behind] >= steps) & (every[at[behind] - steps] == _BACKSLASH)]
    return out


def _is_whole(text: bytes) -> bool:
    """Whether some bytes are JSON."""
    try:
        loads(text)
    except RecordError:
        return False
    return True


class Splitter:
    """Cuts JSON into values, whatever is wrong with some of them.

    A bracket or quote too many or too few in one value is healed at the next place where a value begins as the first
    one does, such as `{"id":`.

    Args:
        most: Size in bytes above which a value is a reject.

    Attributes:
        wrapped: Whether the arrays are fields of an object, such as `{"data": [...]}`.
    """

    def __init__(self, most: int) -> None:
        self.wrapped = False
        self._most = most
        self._held = b""  # from the beginning of the open value on
        self._scanned = 0  # of what is held
        self._dropped = 0  # bytes of a value that is too long
        self._depth, self._inside, self._in_array = 0, False, False
        self._marker: re.Pattern[bytes] | None = None
        self._beginning = b""
        self._nested = False  # values hold others that begin as they do, so a marker says nothing
        self._damaged = False
        self._faults = 0

    def open_array(self, *, wrapped: bool) -> None:
        """Say that the next bytes are inside an array; `wrapped` if that is a field of an object."""
        self._in_array, self._depth, self.wrapped = True, 1, wrapped

    def feed(self, data: bytes, *, final: bool = False) -> Iterator[bytes | Unreadable]:
        """Cut the next bytes.

        Args:
            data: The bytes, in UTF-8.
            final: Whether no others follow.

        Yields:
            The values that end in them; for one that cannot be had, why.
        """
        self._held += data
        yield from self._scan(final=final)
        while len(self._held) > self._most or (final and self._open()):
            if self._damaged or self._nested or self._next_marker(0) is None:
                break
            self._damaged = True
            self._restart(0)
            yield from self._scan(final=final)
        if final:
            yield from self._rest()
        elif len(self._held) > self._most:
            self._dropped += self._scanned
            self._held, self._scanned = self._held[self._scanned :], 0

    def _open(self) -> bool:
        return bool(self._held.strip(_SPACE + b","))

    def _rest(self) -> Iterator[bytes | Unreadable]:
        """What is left at the end of the file."""
        held = self._held.strip(_SPACE + b",")
        self._held = b""
        if self._in_array:
            if held and not self._dropped and _is_whole(held):
                yield held
                held = b""
            size = f", in an element of which {self._dropped + len(held):,} bytes are there" if held else ""
            yield Unreadable("truncated_file", f"JSON array: the file ends before it does{size}")
        elif held and not (self.wrapped and _MEMBERS.fullmatch(held)):
            yield held if not self._dropped else self._too_long(len(held))

    def _scan(self, *, final: bool) -> Iterator[bytes | Unreadable]:
        """Give the values that end in what is held."""
        start = 0
        while True:
            marker = self._next_marker(max(start + 1, self._scanned)) if self._damaged else None
            stop = self._stop(final=final) if marker is None else marker
            if self._scanned < stop:
                start = yield from self._cut(start, stop)
                if self._scanned < stop:
                    continue  # an array began or ended
            if marker is None:
                break
            if self._held[start:marker].strip(_SPACE):
                yield self._held[start:marker].strip(_SPACE + b",")
            start = marker
            self._restart(marker)
            self._scanned = marker + 1
            self._depth += 1
        self._held, self._scanned = self._held[start:], self._scanned - start

    def _stop(self, *, final: bool) -> int:
        """Up to where what is held can be looked at: a backslash at its end belongs to the next byte."""
        if final:
            return len(self._held)
        back = _KEPT_BACK if self._damaged else 0
        return max(self._scanned, len(self._held.rstrip(b"\\")) - back)

    def _restart(self, at: int) -> None:
        """Take a place for the beginning of a value, whatever is open there."""
        self._scanned, self._inside, self._depth = at, False, 1 if self._in_array else 0

    def _cut(self, start: int, stop: int) -> Generator[bytes | Unreadable, None, int]:
        """Give the values that end before `stop`; returns where the open one begins."""
        begin = self._scanned
        tokens = _Tokens(self._held[begin:stop], self._depth, self._inside)
        for index in tokens.borders(in_array=self._in_array):
            at, kind, depth = begin + int(tokens.at[index]), int(tokens.kind[index]), int(tokens.depth[index])
            if self._in_array and kind == _COMMA[0]:
                yield from self._value(self._held[start:at])
                start = at + 1
            elif not self._in_array and depth == 0 and kind != _OPENING[0]:
                yield from self._value(self._held[start : at + 1])
                start = at + 1
            else:
                start = yield from self._bracket(start, at, kind)
                return start
        self._scanned, (self._depth, self._inside) = stop, tokens.last
        return start

    def _bracket(self, start: int, at: int, kind: int) -> Generator[bytes | Unreadable, None, int]:
        """An array begins or ends, or there is a bracket too many; returns where the next value begins."""
        self._scanned, self._inside = at + 1, False
        if self._in_array and kind != _CLOSING[0]:
            self._depth = 1
            self._count_fault()
            return start
        before = self._held[start:at]
        if self._in_array:
            yield from self._value(before)
            self._in_array, self._depth = False, 0
        else:
            if not (self.wrapped and _MEMBERS.fullmatch(before)):
                yield from self._value(before)
            self._in_array, self._depth = (True, 1) if kind == _OPENING[0] else (False, 0)
            if kind != _OPENING[0] and not self.wrapped:
                self._count_fault()
        return at + 1

    def _count_fault(self) -> None:
        self._faults += 1
        if self._faults > _FAULTS:
            raise RecordError("bad_json", f"over {_FAULTS:,} brackets too many: the rest of the file was not read")

    def _too_long(self, size: int) -> Unreadable:
        size, self._dropped = self._dropped + size, 0
        limit = self._most >> 20
        return Unreadable(
            "record_too_long", f"value of {size >> 20} MiB, the limit is {limit} MiB (input.max_record_mb)"
        )

    def _value(self, text: bytes) -> Iterator[bytes | Unreadable]:
        """Give a value; where several begin in what was taken for one, each of them."""
        text = text.strip(_SPACE if self._in_array else _SPACE + b",").removeprefix(_BOM)
        if self._dropped:
            yield self._too_long(len(text))
            return
        if not text:
            return
        if self._marker is None and not self._nested:
            found = _BEGINNING.match(text)
            if found is not None:
                self._marker = re.compile(rb"[^:\[\s]\s*(" + re.escape(found[0]) + rb")")
                self._beginning = found[0]
        if self._marker is not None and not self._nested and text.find(self._beginning, 1) > 0:
            yield from self._unglued(text)
        else:
            yield text

    def _unglued(self, text: bytes) -> Iterator[bytes]:
        """The values in a text that was cut out as one, if it is none."""
        assert self._marker is not None
        begins = [0, *(found.start(1) for found in self._marker.finditer(text))]
        if len(begins) > 1 and _is_whole(text):
            self._nested, begins = True, [0]
        for begin, end in zip(begins, [*begins[1:], len(text)], strict=True):
            yield text[begin:end].strip(_SPACE + b",")

    def _next_marker(self, at: int) -> int | None:
        """The next place at which a value begins as the first one does."""
        if self._marker is None or self._nested:
            return None
        found = self._marker.search(self._held, max(at - 1, 0))
        return None if found is None else found.start(1)
