"""Small frames of zstd, which are decoded at once, against the same bytes followed block by block."""

from __future__ import annotations

import io

import zstandard
from hypothesis import example, given, settings
from hypothesis import strategies as st

from raylib.reading.damage import Damaged
from raylib.reading.frames import Input
from raylib.reading.zstd_frames import ZstdFrames


class BlockByBlock(ZstdFrames):
    """The plain way, which small frames do not take."""

    def _whole(self) -> bytes:
        return b""


def outcome(kind: type[ZstdFrames], stored: bytes) -> tuple[bytes, str, str]:
    """All that can be read, and the error at the end."""
    frames, found = kind(Input(io.BytesIO(stored), len(stored))), b""
    try:
        while data := frames.read():
            found += data
    except Damaged as error:
        return found, error.reason, str(error)
    return found, "", ""


def framed(content: bytes, checksum: bool, size: bool) -> bytes:
    return zstandard.ZstdCompressor(write_checksum=checksum, write_content_size=size).compress(content)


CONTENTS = st.one_of(
    st.binary(max_size=300),
    st.builds(lambda part, times: part * times, st.binary(max_size=5), st.sampled_from([0, 1, 60, 300, 70_000])),
)
FRAMES = st.one_of(st.builds(framed, CONTENTS, st.booleans(), st.booleans()), st.just(b"\x50\x2a\x4d\x18\x01\0\0\0s"))


@settings(max_examples=200)
@given(
    st.lists(FRAMES, max_size=6).map(b"".join), st.integers(0, 1 << 20), st.integers(0, 1 << 20), st.integers(0, 255)
)
@example(framed(b"a" * 900, True, True) * 3, 10, 60, 1)
@example(framed(b"", True, True) * 2 + framed(b"x", False, True), 0, 0, 0)
def test_small_frames_are_read_as_if_block_by_block(stored: bytes, cut: int, place: int, flip: int) -> None:
    damaged = bytearray(stored)
    if damaged:
        damaged[place % len(damaged)] ^= flip
    for data in (stored, stored[: cut % (len(stored) + 1)], bytes(damaged)):
        assert outcome(ZstdFrames, data) == outcome(BlockByBlock, data)


def test_many_small_frames_give_all_their_lines() -> None:
    lines = [f'{{"text": "{number}"}}\n'.encode() * 40 for number in range(2000)]
    stored = b"".join(framed(line, False, True) for line in lines)
    assert outcome(ZstdFrames, stored) == (b"".join(lines), "", "")
