"""Reading: formats, compressions, encodings, and everything that can be wrong with a file."""

from __future__ import annotations

import bz2
import gzip
import io
import json
import lzma
import tarfile
import zipfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
import zstandard
from hypothesis import given, settings
from hypothesis import strategies as st

from raylib.errors import SourceError
from raylib.reading.block import ReadOptions
from raylib.reading.opening import blocks_of
from raylib.reading.parsing import parse
from raylib.reading.sources import SourceFile, find_files
from raylib.reading.units import Piece, plan
from tests.texts import ARTICLE, ENGLISH, POEM

ROWS = [{"id": "a", "source": "s", "text": ARTICLE}, {"id": "b", "text": ENGLISH}, {"id": "c", "text": POEM}]
LINES = "".join(json.dumps(r, ensure_ascii=False) + "\n" for r in ROWS).encode()


def read(path: Path, kind: str = "document", **options: Any) -> tuple[list[dict[str, Any]], list[dict[str, Any]]]:
    """All records and all rejects of a path."""
    records: list[dict[str, Any]] = []
    rejects: list[dict[str, Any]] = []
    for file in find_files(path)[0]:
        for block in blocks_of(Piece(file), ReadOptions(**options)):
            for parsed in parse(block, kind):
                records += parsed.table.to_pylist()
                rejects += parsed.rejects.to_pylist()
    return records, rejects


def reasons(rejects: list[dict[str, Any]]) -> list[str]:
    return [r["reason"] for r in rejects]


@pytest.mark.parametrize(
    ("suffix", "pack"),
    [
        ("", lambda b: b),
        (".gz", gzip.compress),
        (".bz2", bz2.compress),
        (".xz", lzma.compress),
        (".zst", lambda b: zstandard.ZstdCompressor().compress(b)),
    ],
)
@pytest.mark.parametrize("block_bytes", [100, 1 << 20])
def test_json_lines_compressed(tmp_path: Path, suffix: str, pack: Any, block_bytes: int) -> None:
    path = tmp_path / f"x.jsonl{suffix}"
    path.write_bytes(pack(LINES))
    records, rejects = read(path, block_bytes=block_bytes)
    assert [r["text"] for r in records] == [r["text"] for r in ROWS]
    assert [r["id"] for r in records] == ["a", "b", "c"]
    assert not rejects


def _zip(members: dict[str, bytes]) -> bytes:
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w", zipfile.ZIP_DEFLATED) as archive:
        for name, data in members.items():
            archive.writestr(name, data)
    return buffer.getvalue()


def _tar(members: dict[str, bytes], mode: str) -> bytes:
    buffer = io.BytesIO()
    with tarfile.open(fileobj=buffer, mode=mode) as archive:  # type: ignore[call-overload]
        for name, data in members.items():
            info = tarfile.TarInfo(name)
            info.size = len(data)
            archive.addfile(info, io.BytesIO(data))
    return buffer.getvalue()


@pytest.mark.parametrize("name", ["x.zip", "x.tar", "x.tar.gz", "x.tgz"])
def test_archives(tmp_path: Path, name: str) -> None:
    members = {"in/one.jsonl": LINES, "two.txt": ARTICLE.encode(), "three.jsonl.gz": gzip.compress(LINES)}
    data = _zip(members) if name.endswith(".zip") else _tar(members, "w:gz" if "gz" in name else "w")
    (tmp_path / name).write_bytes(data)
    records, rejects = read(tmp_path / name)
    assert sorted(r["text"] for r in records) == sorted([r["text"] for r in ROWS] * 2 + [ARTICLE])
    assert not rejects
    assert any("::two.txt" in r["id"] for r in records)


@pytest.mark.parametrize("name", ["x.zip", "x.tar"])
def test_paths_outside_the_archive(tmp_path: Path, name: str) -> None:
    members = {"../../etc/evil.jsonl": LINES, "/root/evil.jsonl": LINES, "good.jsonl": LINES}
    (tmp_path / name).write_bytes(_zip(members) if name.endswith("zip") else _tar(members, "w"))
    records, rejects = read(tmp_path / name)
    assert len(records) == 3
    assert reasons(rejects) == ["unsafe_path", "unsafe_path"]


@pytest.mark.slow
def test_zip_bomb_is_bounded(tmp_path: Path) -> None:
    bomb = tmp_path / "bomb.zip"
    with zipfile.ZipFile(bomb, "w", zipfile.ZIP_DEFLATED) as archive:
        with archive.open("zeros.jsonl", "w", force_zip64=True) as member:
            for _ in range(400):
                member.write(b"0" * (1 << 20))
        archive.writestr("good.jsonl", LINES)
    assert bomb.stat().st_size < 1 << 20
    records, rejects = read(bomb, max_expansion=2)
    assert "expansion_limit" in reasons(rejects)
    assert len(records) == 3, "the harmless member is still read"


def test_json_array(tmp_path: Path) -> None:
    path = tmp_path / "x.json"
    path.write_text(json.dumps(ROWS, ensure_ascii=False), "utf-8")
    assert [r["text"] for r in read(path)[0]] == [r["text"] for r in ROWS]
    path.write_text(json.dumps(ROWS, ensure_ascii=False)[:-20], "utf-8")
    records, rejects = read(path)
    assert len(records) == 2
    assert reasons(rejects) == ["truncated_file"]


def test_json_array_comes_in_blocks(tmp_path: Path) -> None:
    path = tmp_path / "x.json"
    path.write_text(json.dumps([{"id": str(i), "text": ARTICLE} for i in range(50)], ensure_ascii=False), "utf-8")
    records, rejects = read(path, block_bytes=2000)
    assert [r["id"] for r in records] == [str(i) for i in range(50)]
    assert not rejects


@pytest.mark.parametrize("name", ["x.parquet", "x.arrow"])
def test_tables(tmp_path: Path, name: str) -> None:
    table = pa.Table.from_pylist([*ROWS, {"id": "d", "text": None}, {"id": "e", "text": "有\x00字节"}])
    if name.endswith("parquet"):
        pq.write_table(table, tmp_path / name, row_group_size=2)
    else:
        with pa.ipc.new_file(tmp_path / name, table.schema) as writer:
            writer.write_table(table, max_chunksize=2)
    records, rejects = read(tmp_path / name)
    assert [r["id"] for r in records] == ["a", "b", "c"]
    assert reasons(rejects) == ["missing_field", "nul_byte"]


def test_parquet_of_huge_rows_comes_in_small_batches(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("raylib.reading.tables._TABLE_BYTES", 50_000)
    rows = [{"id": str(i), "text": f"{i}" * 20_000} for i in range(20)]
    pq.write_table(pa.Table.from_pylist(rows), tmp_path / "x.parquet", compression="none", use_dictionary=False)
    piece = Piece(find_files(tmp_path / "x.parquet")[0][0])
    blocks = list(blocks_of(piece, ReadOptions()))
    assert len(blocks) >= 5
    assert sum(len(b.table) for b in blocks if b.table is not None) == 20


@pytest.mark.parametrize(
    ("encoding", "text"),
    [
        ("utf-8", ARTICLE),
        ("utf-8-sig", ARTICLE),
        ("gb18030", ARTICLE),
        ("gbk", ARTICLE),
        ("big5", "這座圖書館位於舊城區的小街上，門口有兩棵很大的銀杏樹，每到秋天便落滿一地金黃。"),
        ("utf-16", ARTICLE),
        ("utf-32", ARTICLE),
    ],
)
@pytest.mark.parametrize("declared", [False, True])
def test_encodings(tmp_path: Path, encoding: str, text: str, declared: bool) -> None:
    path = tmp_path / "x.txt"
    path.write_bytes(text.encode(encoding))
    records, rejects = read(path, encoding=encoding if declared else "auto")
    assert [r["text"] for r in records] == [text]
    assert not rejects


def test_unknown_encoding_is_an_error(tmp_path: Path) -> None:
    (tmp_path / "x.txt").write_text("好")
    with pytest.raises(SourceError, match="unknown encoding 'gb9'"):
        read(tmp_path / "x.txt", encoding="gb9")


def test_text_one_document_a_line(tmp_path: Path) -> None:
    (tmp_path / "x.txt").write_text(f"{POEM}\n\n第三行\n", "utf-8")
    records, _ = read(tmp_path / "x.txt", document_per="line")
    assert [r["text"] for r in records] == [*POEM.split("\n"), "第三行"]


def test_csv_with_quotes_newlines_and_flaws(tmp_path: Path) -> None:
    path = tmp_path / "x.csv"
    path.write_bytes(
        'title,ask,answer\n问题,"他说：""好""，\n然后走了。",答案一\n少一列,问\n标题,问,答\n'.encode("gb18030")
        + "坏字节,问".encode("gb18030") + b"\x80\xff,x\n" + "末行,被切".encode("gb18030")
    )  # fmt: skip
    records, rejects = read(path)
    assert records[0]["text"] == '问题\n他说："好"，\n然后走了。\n答案一'
    assert records[1]["text"] == "标题\n问\n答"
    assert len(records) == 2
    assert sorted(reasons(rejects)) == ["bad_encoding", "wrong_columns", "wrong_columns"]
    assert any(":4:" in r["detail"] for r in rejects), "the reject names the line of the file"


@pytest.mark.parametrize(
    ("line", "reason"),
    [
        (b'{"id": "x", "text": "cut off in the mid', "cut_line"),
        (b"{broken}", "bad_json"),
        (b"[1, 2]", "not_an_object"),
        (b"42", "not_an_object"),
        (b'{"text": 5}', "wrong_type"),
        (b'{"text": null}', "missing_field"),
        (b'{"text": ["a"]}', "wrong_type"),
        (b'{"body_html": "x"}', "missing_field"),
        (b'{"text": ""}', "empty_text"),
        (b'{"text": " \\n "}', "empty_text"),
        (b'{"text": "a\\u0000b"}', "nul_byte"),
        (b'{"text": "a\x00b"}', "nul_byte"),
        (b'{"text": "a\\ud800b"}', "lone_surrogate"),
        (b'{"text": "\xff\xfe"}', "bad_encoding"),
        (b'{"text": "ok", "extra": "\\udfff"}', "bad_field"),
        (b"[" * 100_000, "bad_json"),
    ],
)
def test_flawed_lines_are_rejected_by_name(tmp_path: Path, line: bytes, reason: str) -> None:
    path = tmp_path / "x.jsonl"
    path.write_bytes(LINES + line + b"\n" + LINES)
    records, rejects = read(path)
    assert len(records) == 6
    assert reasons(rejects) == [reason]
    assert f"{path}:4:" in rejects[0]["detail"]
    assert rejects[0]["stage"] == "read"


def test_over_long_line_is_rejected_without_reading_it_whole(tmp_path: Path) -> None:
    path = tmp_path / "x.jsonl"
    with path.open("wb") as stream:
        stream.write(LINES + b'{"id": "long", "text": "')
        for _ in range(100):
            stream.write(b"x" * (1 << 20))
        stream.write(b'"}\n' + LINES)
    records, rejects = read(path, block_bytes=1 << 20, max_record_bytes=8 << 20)
    assert len(records) == 6
    assert reasons(rejects) == ["line_too_long"]
    assert ":4:" in rejects[0]["detail"]
    assert [r["id"] for r in records] == ["a", "b", "c"] * 2


@pytest.mark.parametrize("suffix", [".gz", ".zst", ".xz"])
def test_cut_archive_gives_what_it_holds(tmp_path: Path, suffix: str) -> None:
    packs: dict[str, Callable[[bytes], bytes]] = {
        ".gz": gzip.compress,
        ".xz": lzma.compress,
        ".zst": zstandard.ZstdCompressor().compress,
    }
    rows = b"".join(json.dumps({"id": str(i), "text": f"{i * i}{ARTICLE}"}).encode() + b"\n" for i in range(3000))
    path = tmp_path / f"x.jsonl{suffix}"
    whole = packs[suffix](rows)
    path.write_bytes(whole[: len(whole) // 2])
    records, rejects = read(path)
    assert 0 < len(records) < 3000
    # the line in which the file ends, and (where the codec notices) the file itself
    assert {"truncated_file", "cut_line", "unreadable_file"} & set(reasons(rejects))


@pytest.mark.parametrize("name", ["x.parquet", "x.arrow", "x.zip", "x.jsonl.gz", "x.tar"])
def test_garbage_is_one_reject_not_a_crash(tmp_path: Path, name: str) -> None:
    (tmp_path / name).write_bytes(b"this is not what the name says" * 50)
    records, rejects = read(tmp_path / name)
    assert not records
    assert reasons(rejects) in (["unreadable_file"], ["truncated_file"])
    assert name in rejects[0]["detail"]


def test_record_with_extra_fields_beside_records_without(tmp_path: Path) -> None:
    path = tmp_path / "x.jsonl"
    path.write_text('{"id": 1, "text": "好", "url": "u", "n": {"k": [1]}}\n{"id": 2, "text": "好"}\n', "utf-8")
    records, _ = read(path)
    assert json.loads(records[0]["meta"]) == {"url": "u", "n": {"k": [1]}}
    assert records[1]["meta"] is None
    assert [r["id"] for r in records] == ["1", "2"]


def test_paths_globs_folders_and_lists(tmp_path: Path) -> None:
    for name in ("a.jsonl", "b.jsonl.gz", "c.txt", "notes.docx", ".hidden.jsonl"):
        (tmp_path / name).write_bytes(b"x")
    (tmp_path / "deep").mkdir()
    (tmp_path / "deep" / "d.jsonl").write_bytes(b"x")
    found, passed = find_files(tmp_path)
    assert [Path(f.path).name for f in found] == ["a.jsonl", "b.jsonl.gz", "c.txt", "d.jsonl"]
    assert [Path(p.path).name for p in passed] == [".hidden.jsonl", "notes.docx"]
    assert len(find_files(f"{tmp_path}/*.jsonl*")[0]) == 2
    assert len(find_files([tmp_path / "a.jsonl", f"{tmp_path}/*.jsonl"])[0]) == 1, "a file is read once"
    assert len(find_files(f"file://{tmp_path}/a.jsonl")[0]) == 1
    with pytest.raises(SourceError, match="no input file matches"):
        find_files(tmp_path / "missing.jsonl")
    (tmp_path / "only").mkdir()
    (tmp_path / "only" / "x.docx").write_bytes(b"x")
    with pytest.raises(SourceError, match="unknown extensions"):
        find_files(tmp_path / "only")


def test_plan_packs_small_files_and_streams_large_ones() -> None:
    files = [SourceFile(f"{i}.jsonl", 400, 0) for i in range(10)] + [SourceFile("big.jsonl", 5000, 0)]
    units = list(plan(files, 1000))
    assert [len(u.pieces) for u in units] == [2, 2, 2, 2, 2, 1]
    assert [u.streamed for u in units] == [False] * 5 + [True]
    assert sum(u.bytes for u in units) == 9000


@settings(max_examples=60)
@given(
    lines=st.lists(st.one_of(st.binary(max_size=30).filter(lambda b: b"\n" not in b), st.sampled_from([LINES[:50]]))),
    block_bytes=st.integers(1, 200),
)
def test_every_line_is_a_record_or_a_reject(
    tmp_path_factory: pytest.TempPathFactory, lines: list[bytes], block_bytes: int
) -> None:
    """Whatever bytes a file holds: no crash, and the same verdicts for any block size."""
    path = tmp_path_factory.mktemp("lines") / "x.jsonl"
    path.write_bytes(b"\n".join([b"{}", *lines]))  # the first line says that these are JSON lines
    cut = read(path, block_bytes=block_bytes, encoding="utf-8")
    whole = read(path, encoding="utf-8")
    assert [r["detail"] for r in cut[1]] == [r["detail"] for r in whole[1]]
    assert cut[0] == whole[0]
    content = path.read_bytes().removeprefix(b"\xef\xbb\xbf").split(b"\n")
    assert len(cut[0]) + len(cut[1]) == sum(1 for line in content if line and not line.isspace())


@pytest.mark.data
def test_real_gbk_csv(real_data: Path) -> None:
    records, rejects = read(real_data / "medical_gbk.csv")
    assert len(records) > 3300
    assert all("\ufffd" not in r["text"] for r in records)
    assert len(rejects) == 1, "the row in whose middle the file ends"


@pytest.mark.data
@pytest.mark.parametrize(
    ("name", "kind"),
    [
        ("sft_alpaca_zh.jsonl.gz", "conversation"),
        ("sft_exam_zh.jsonl.gz", "conversation"),
        ("sft_medical_zh.jsonl.gz", "conversation"),
        ("sft_roleplay_zh.jsonl.gz", "conversation"),
        ("dpo_zh.jsonl.gz", "preference"),
        ("dpo_en.jsonl.gz", "preference"),
        ("safety_zh.jsonl.gz", "safety"),
        ("safety_prompts_zh.jsonl.gz", "safety"),
    ],
)
def test_real_layouts(real_data: Path, name: str, kind: str) -> None:
    records, rejects = read(real_data / name, kind)
    assert len(records) > 200
    assert len(rejects) <= len(records) // 100


def _kind_by_name(name: str) -> str:
    kinds = {"sft": "conversation", "eval": "conversation", "dpo": "preference", "safety": "safety"}
    return kinds[name.partition("_")[0]]


@pytest.mark.data
def test_real_chat_files_are_read_nearly_whole(real_data: Path) -> None:
    files = [
        f for pattern in ("sft_*", "eval_*", "dpo_*", "safety_*") for f in real_data.glob(f"**/{pattern}.jsonl.gz")
    ]
    assert len(files) > 10
    for file in files:
        records, rejects = read(file, _kind_by_name(file.name))
        refused = [reject for reject in rejects if reject["reason"] != "empty_text"]  # these are empty
        assert len(refused) < 0.005 * len(records), (file.name, refused[:3])
        assert all(reject["reason"] and reject["detail"] for reject in rejects)
