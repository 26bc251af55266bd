"""Checksums find every flipped bit of a line, and are the same however the data are written."""

from __future__ import annotations

import io

import orjson
from hypothesis import given
from hypothesis import strategies as st

from raylib.checksums import SummedStream, checksum, checksum_of, opened, sealed

TEXTS = st.text(st.characters(codec="utf-8"))
OBJECTS = st.dictionaries(TEXTS, st.integers(-(1 << 53), 1 << 53) | TEXTS, min_size=1)


@given(OBJECTS, st.data())
def test_a_sealed_line_is_json_and_no_bit_of_it_can_change(content: dict[str, object], data: st.DataObject) -> None:
    line = orjson.dumps(content)
    written = sealed(line)
    assert opened(written, strict=True) == line
    assert orjson.loads(written) == content | {"line": checksum(line)}
    changed = bytearray(written)
    changed[data.draw(st.integers(0, len(written) - 1))] ^= 1 << data.draw(st.integers(0, 7))
    assert opened(bytes(changed), strict=True) is None
    assert opened(written[: data.draw(st.integers(0, len(written) - 1))], strict=True) is None


def test_a_line_of_an_older_version_has_none() -> None:
    assert opened(b'{"a":1}') == b'{"a":1}'
    assert opened(b'{"a":1}', strict=True) is None


@given(st.lists(st.binary()))
def test_what_is_written_in_pieces_is_summed_as_a_whole(pieces: list[bytes]) -> None:
    inner = io.BytesIO()
    stream = SummedStream(inner)
    for piece in pieces:
        stream.write(piece)
    whole = b"".join(pieces)
    assert inner.getvalue() == whole
    assert (stream.size, stream.tell(), stream.checksum) == (len(whole), len(whole), checksum(whole))
    assert checksum_of(io.BytesIO(whole)) == (len(whole), checksum(whole))
