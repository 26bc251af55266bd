"""Compressed files and archives: their ends, their members, and files that are not what their names say."""

from __future__ import annotations

import gzip
import io
import zipfile
from pathlib import Path

import pytest
import zstandard

from raylib.reading.block import ReadOptions
from raylib.reading.opening import blocks_of
from raylib.reading.sources import SourceFile
from raylib.reading.units import Piece
from tests.raylib.reading.files import packed
from tests.raylib.reading.reads import read_file, reasons

LINES = '{"text": "甲"}\n{"text": "乙"}\n'.encode()
POINTER = b"version https://git-lfs.github.com/spec/v1\noid sha256:4d7a\nsize 146946961\n"


@pytest.mark.parametrize("window", [27, 28, 30, 31])
def test_windows_of_zstd_as_large_as_its_own_program_reads(tmp_path: Path, window: int) -> None:
    parameters = zstandard.ZstdCompressionParameters(window_log=window, compression_level=1, write_content_size=False)
    writer = zstandard.ZstdCompressor(compression_params=parameters).compressobj()
    records, rejects = read_file(tmp_path / "x.jsonl.zst", writer.compress(LINES) + writer.flush())
    assert (len(records), rejects) == (2, [])


def test_a_larger_window_is_named(tmp_path: Path) -> None:
    frame = b"\x28\xb5\x2f\xfd" + bytes([0x00, (32 - 10) << 3]) + b"\x01\x00\x00"
    [reject] = read_file(tmp_path / "x.jsonl.zst", frame)[1]
    assert "window of 4,096 MiB" in reject["detail"]


def test_skippable_frames_and_frames_of_every_header(tmp_path: Path) -> None:
    skippable = b"\x50\x2a\x4d\x18\x04\x00\x00\x00skip"
    frames = [
        zstandard.ZstdCompressor(write_checksum=checksum, write_content_size=size).compress(LINES * times)
        for checksum in (False, True)
        for size in (False, True)
        for times in (1, 20, 9000)
    ]
    records, rejects = read_file(tmp_path / "x.jsonl.zst", skippable + skippable.join(frames))
    assert (len(records), rejects) == (2 * 4 * 9021, [])


def test_a_bomb_of_zstd_unfolds_step_by_step(tmp_path: Path) -> None:
    bomb = zstandard.ZstdCompressor().compress(b"0" * (300 << 20))
    found = reasons(read_file(tmp_path / "x.jsonl.zst", bomb, max_expansion=2)[1])
    assert found == ["line_too_long", "expansion_limit"]


@pytest.mark.parametrize("tail", [b"\x00" * 1000, b"garbage behind"])
def test_what_follows_gzip(tmp_path: Path, tail: bytes) -> None:
    records, rejects = read_file(tmp_path / "x.jsonl.gz", gzip.compress(LINES) * 2 + tail)
    assert len(records) == 4
    assert len(rejects) == (0 if tail.startswith(b"\x00") else 1)


def zipped() -> tuple[bytearray, list[int]]:
    """An archive of three members, and the places of their entries in its index."""
    data = packed([(f"{name}.jsonl", LINES) for name in "abc"], ".zip")
    return bytearray(data), [at for at in range(len(data)) if data[at : at + 4] == b"PK\x01\x02"]


@pytest.mark.parametrize(("offset", "value", "words"), [(8, 1, "encrypted"), (10, 99, "compression method 99")])
def test_a_member_that_cannot_be_opened_is_one_reject(tmp_path: Path, offset: int, value: int, words: str) -> None:
    data, entries = zipped()
    data[entries[1] + offset] = value
    records, [reject] = read_file(tmp_path / "x.zip", bytes(data))
    assert len(records) == 4
    assert "x.zip::b.jsonl" in reject["detail"]
    assert words in reject["detail"]


def test_a_damaged_member_is_one_reject(tmp_path: Path) -> None:
    data, _ = zipped()
    data[data.index(b"b.jsonl") + 9] ^= 0xFF
    records, rejects = read_file(tmp_path / "x.zip", bytes(data))
    assert len(records) >= 4
    assert all("::b.jsonl" in reject["detail"] for reject in rejects)
    assert rejects


def test_names_in_gbk(tmp_path: Path) -> None:
    sink = io.BytesIO()
    with zipfile.ZipFile(sink, "w") as archive:
        archive.writestr("XXXX.jsonl", LINES)
    data = sink.getvalue().replace(b"XXXX", "数据".encode("gbk"))
    assert "::数据.jsonl" in read_file(tmp_path / "x.zip", data)[0][0]["id"]


def test_a_name_that_is_not_in_the_encoding_it_says_loses_no_member(tmp_path: Path) -> None:
    sink = io.BytesIO()
    with zipfile.ZipFile(sink, "w") as archive:
        for name in ("数.jsonl", "b.jsonl"):
            archive.writestr(name, LINES)
    records, [reject] = read_file(tmp_path / "x.zip", sink.getvalue().replace("数".encode(), b"\xff\xfe\xfd"))
    assert len(records) == 4
    assert reject["reason"] == "unreadable_file"
    assert "all 2 members in front of it were read" in reject["detail"]


def test_a_tar_goes_on_after_a_damaged_header(tmp_path: Path) -> None:
    data = bytearray(packed([(f"{name}.jsonl", LINES) for name in "abc"], ".tar"))
    data[1024 + 5] ^= 1
    records, rejects = read_file(tmp_path / "x.tar", bytes(data))
    assert len(records) == 4
    assert "1,024 bytes from byte 1,024" in rejects[0]["detail"]


def test_a_tar_without_its_end(tmp_path: Path) -> None:
    data = packed([(f"{name}.jsonl", LINES) for name in "abc"], ".tar")
    records, rejects = read_file(tmp_path / "x.tar", data[: 3 * 1024])
    assert (len(records), reasons(rejects)) == (6, ["truncated_file"])
    assert [len(found) for found in read_file(tmp_path / "x.tar", data + data)] == [12, 0]


@pytest.mark.parametrize(
    ("name", "content", "words"),
    [
        ("x.jsonl.gz", LINES, "plain text, not gzip"),
        ("x.jsonl.zst", gzip.compress(LINES, mtime=0), "gzip, not zstd"),
        ("x.jsonl", gzip.compress(LINES, mtime=0), "gzip, not text"),
        ("x.csv", b"PAR1\x00\x00", "Parquet, not text"),
        ("x.txt", b"%PDF-1.7\n", "PDF"),
        ("x.txt", b"WARC/1.0\r\n", "WARC"),
        ("x.parquet", b"PK\x03\x04" + bytes(100), "zip"),
    ],
)
def test_a_file_that_is_not_what_its_name_says(tmp_path: Path, name: str, content: bytes, words: str) -> None:
    records, [reject] = read_file(tmp_path / name, content)
    assert not records
    assert words in reject["detail"]


@pytest.mark.parametrize(
    "name", ["x.jsonl", "x.json", "x.csv", "x.txt", "x.parquet", "x.arrow", "x.zip", "x.tar", "x.jsonl.zst", "x.tar.gz"]
)
def test_a_pointer_of_git_lfs(tmp_path: Path, name: str) -> None:
    records, [reject] = read_file(tmp_path / name, POINTER)
    assert (records, reject["reason"]) == ([], "lfs_pointer")
    assert "`git lfs pull`" in reject["detail"]
    assert "146,946,961 bytes" in reject["detail"]


def test_a_pointer_in_an_archive(tmp_path: Path) -> None:
    records, rejects = read_file(tmp_path / "x.zip", packed([("a.jsonl", POINTER), ("b.jsonl", LINES)], ".zip"))
    assert (len(records), reasons(rejects)) == (2, ["lfs_pointer"])


def test_a_bug_in_a_reader_takes_no_neighbour_along(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """What nobody expects becomes a reject of its file, and its traceback goes to the log."""
    (tmp_path / "x.jsonl").write_bytes(LINES)
    monkeypatch.setattr("raylib.reading.opening.stream_blocks", lambda *_: 1 / 0)
    [block] = blocks_of(Piece(SourceFile(str(tmp_path / "x.jsonl"), 5000, 0)), ReadOptions())
    assert block.error is not None
    assert "ZeroDivisionError" in block.error.detail
