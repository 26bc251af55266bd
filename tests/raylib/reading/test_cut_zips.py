"""A zip archive that lost its end: members in front of the cut are read, and one reject says what is behind it."""

from __future__ import annotations

import io
import random
import zipfile
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tests.raylib.reading.reads import read_file, reasons

ROWS = 6


class _Pipe(io.RawIOBase):
    """Where nothing can be mended afterwards, so that checksum and sizes stand behind each member."""

    def __init__(self) -> None:
        self.data = bytearray()

    def writable(self) -> bool:
        return True

    def write(self, data: object) -> int:
        self.data += bytes(data)  # type: ignore[call-overload]
        return len(bytes(data))  # type: ignore[call-overload]


def lines(member: int) -> bytes:
    """Records that do not compress well, so that members have a length."""
    draw = random.Random(member)
    texts = ["".join(chr(draw.randrange(0x4E00, 0x9FFF)) for _ in range(20)) for _ in range(ROWS)]
    return "".join(f'{{"id": "{member}-{row}", "text": "{text}"}}\n' for row, text in enumerate(texts)).encode()


def archive(methods: list[int], *, piped: bool) -> tuple[bytes, list[int]]:
    """An archive, and where each member ends."""
    sink: io.BytesIO | _Pipe = _Pipe() if piped else io.BytesIO()
    with zipfile.ZipFile(sink, "w") as made:
        for number, method in enumerate(methods):
            made.writestr(zipfile.ZipInfo(f"数据/{number}.jsonl"), lines(number), method)
    data = bytes(sink.data) if isinstance(sink, _Pipe) else sink.getvalue()
    with zipfile.ZipFile(io.BytesIO(data)) as read:
        begins = [info.header_offset for info in read.infolist()] + [read.start_dir]
    return data, begins[1:]


@settings(max_examples=120)
@given(
    methods=st.lists(st.sampled_from([zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED]), min_size=1, max_size=4),
    share=st.floats(0, 1, exclude_max=True),
    piped=st.booleans(),
)
def test_members_in_front_of_a_cut_are_read(
    tmp_path_factory: pytest.TempPathFactory, methods: list[int], share: float, piped: bool
) -> None:
    if piped:
        methods = [zipfile.ZIP_DEFLATED for _ in methods]  # of a stored one, nothing would say where it ends
    data, ends = archive(methods, piped=piped)
    cut = int(share * len(data))
    records, rejects = read_file(tmp_path_factory.mktemp("zip") / "x.zip", data[:cut])
    ids = [record["id"] for record in records]
    whole = sum(end <= cut for end in ends)
    expected = [f"{member}-{row}" for member in range(len(methods)) for row in range(ROWS)]
    assert ids == expected[: len(ids)]
    assert len(ids) >= whole * ROWS
    assert len(ids) < (whole + 1) * ROWS + 1
    assert rejects or cut == 0
    texts = {row for member in range(len(methods)) for row in lines(member).decode().splitlines()}
    assert all(any(f'"{record["text"]}"' in line for line in texts) for record in records), "no half text"


def test_the_reject_names_place_and_amount(tmp_path: Path) -> None:
    data, ends = archive([zipfile.ZIP_DEFLATED] * 3, piped=False)
    records, rejects = read_file(tmp_path / "x.zip", data[: ends[1] + 10])
    assert len(records) == 2 * ROWS
    assert reasons(rejects) == ["truncated_file"]
    assert f"10 bytes from byte {ends[1]:,} on belong to no whole member" in rejects[0]["detail"]
    records, rejects = read_file(tmp_path / "x.zip", data[:-1])
    assert len(records) == 3 * ROWS
    assert reasons(rejects) == ["truncated_file"]
    assert "all 3 members in front of it were read" in rejects[0]["detail"]


def test_a_damaged_member_of_a_cut_archive_costs_itself(tmp_path: Path) -> None:
    data, ends = archive([zipfile.ZIP_STORED] * 3, piped=False)
    damaged = bytearray(data[: ends[2]])
    damaged[ends[1] - 8] ^= 1
    records, rejects = read_file(tmp_path / "x.zip", bytes(damaged))
    assert {"0-0", "2-5"} <= {record["id"] for record in records}
    assert any("1.jsonl" in reject["detail"] for reject in rejects)
    data, ends = archive([zipfile.ZIP_DEFLATED] * 3, piped=True)
    damaged = bytearray(data[: ends[2]])
    damaged[ends[1] - 12] ^= 1  # the checksum behind it
    records, rejects = read_file(tmp_path / "x.zip", bytes(damaged))
    assert {"0-0", "2-5"} <= {record["id"] for record in records}
    assert any("Bad CRC-32" in reject["detail"] and "1.jsonl" in reject["detail"] for reject in rejects)


def test_what_is_outside_encrypted_or_no_archive(tmp_path: Path) -> None:
    sink = io.BytesIO()
    with zipfile.ZipFile(sink, "w") as made:
        made.writestr("../a.jsonl", lines(0))
        made.writestr("b.jsonl", lines(1))
        made.writestr("c.jsonl", lines(2))
        ends = [made.infolist()[1].header_offset, made.infolist()[2].header_offset, made.start_dir]
    data = bytearray(sink.getvalue()[: ends[2]])
    data[ends[0] + 6] |= 1
    records, rejects = read_file(tmp_path / "x.zip", bytes(data))
    assert [record["id"] for record in records] == [f"2-{row}" for row in range(ROWS)]
    assert reasons(rejects)[0] == "unsafe_path"
    assert "encrypted" in rejects[1]["detail"]
    assert reasons(read_file(tmp_path / "x.zip", b"PK\x05\x06 no archive")[1]) == ["unreadable_file"]


def test_a_bomb_in_a_cut_archive_stops_early(tmp_path: Path) -> None:
    sink = _Pipe()
    with zipfile.ZipFile(sink, "w", zipfile.ZIP_DEFLATED) as made:
        made.writestr("a.txt", bytes(300 << 20))
        end = made.start_dir
    _, rejects = read_file(tmp_path / "x.zip", bytes(sink.data[:end]), max_expansion=10)
    assert reasons(rejects) == ["document_too_long", "truncated_file"]
