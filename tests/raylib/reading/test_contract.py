"""The contract of reading: every record is kept or announced as lost, nothing is raised, and the neighbour is whole.

Each case makes files of one format in one packing: whole, cut, with a changed byte, with the content of another format,
in several members, and empty; each is read alone and between two good files, as the engine does it. What must be kept
is counted by other means than those that read (`files`).
"""

from __future__ import annotations

import random
from collections.abc import Sequence
from pathlib import Path
from typing import NamedTuple

import pytest

from raylib.reading.block import ReadOptions
from raylib.reading.opening import blocks_of
from raylib.reading.parsing import parse
from raylib.reading.sources import SourceFile
from raylib.reading.units import plan
from tests.raylib.reading.files import FORMATS, NO_CHECKSUM, PACKINGS, encoded, packed, unpacked, whole_texts

TEXTS = [f"第{n:03d}条，" + "山上有座庙，庙里有口钟；" * (n % 5 + 1) + f"钟声{n * n}" for n in range(23)]
GOOD = [f"邻居{n}，一切安好。" for n in range(5)]
CUTS, CHANGES = 4, 4  # of each file
OF_LINES = ("jsonl", "array", "csv", "tsv", "lines")


class Read(NamedTuple):
    """What a file gave: texts of records, and the reasons and details of rejects."""

    texts: list[str]
    rejects: list[tuple[str, str]]


class Bench:
    """A folder with a file under test between two good ones."""

    def __init__(self, folder: Path, form: str, packing: str) -> None:
        self.form, self.packing = form, packing
        name = FORMATS[form]
        self.member = name
        packed_name = name + packing if packing in ("", ".gz", ".bz2", ".xz", ".zst") else f"x{packing}"
        self.path = folder / packed_name
        self._neighbours = [folder / "a_good.jsonl", folder / "z_good.jsonl"]
        for path in self._neighbours:
            path.write_bytes(encoded(GOOD, "jsonl"))
        self.options = ReadOptions(document_per="file" if form == "document" else "line", block_bytes=700)

    def read(self, data: bytes) -> Read:
        """Read a file alone and beside good ones: the same, and they are whole."""
        self.path.write_bytes(data)
        alone = self._units([self.path], 1 << 20)[0]
        first, beside, last = self._units([self._neighbours[0], self.path, self._neighbours[1]], 4 << 20)
        large = self._units([self.path], 64)[0]
        for neighbour in (first, last):
            assert neighbour == Read(GOOD, [])
        assert beside == alone
        assert large.texts == alone.texts, "whatever the size of units"
        return alone

    def _units(self, paths: Sequence[Path], batch_bytes: int) -> list[Read]:
        files = [SourceFile(str(path), path.stat().st_size, 0) for path in paths]
        found = {file.path: Read([], []) for file in files}
        for unit in plan(files, batch_bytes):
            for piece in unit.pieces:
                for block in blocks_of(piece, self.options):
                    for parsed in parse(block, "document"):
                        read = found[piece.file.path]
                        read.texts.extend(parsed.table["text"].to_pylist())
                        rows = parsed.rejects.select(["reason", "detail"]).to_pylist()
                        read.rejects.extend((row["reason"], row["detail"]) for row in rows)
        for path, read in found.items():
            assert all(path in detail for _, detail in read.rejects), "a reject names its file"
        return list(found.values())


@pytest.fixture(params=PACKINGS, ids=lambda packing: packing or "plain")
def packing(request: pytest.FixtureRequest) -> str:
    return str(request.param)


@pytest.fixture(params=FORMATS)
def form(request: pytest.FixtureRequest) -> str:
    return str(request.param)


@pytest.fixture
def bench(tmp_path: Path, form: str, packing: str) -> Bench:
    return Bench(tmp_path, form, packing)


def expected(form: str, texts: Sequence[str]) -> list[str]:
    return ["\n".join(texts)] if form == "document" else list(texts)


def test_a_whole_file_is_kept_whole(bench: Bench) -> None:
    content = encoded(TEXTS, bench.form)
    assert bench.read(packed([(bench.member, content)], bench.packing)) == Read(expected(bench.form, TEXTS), [])


def test_several_members_are_all_read(bench: Bench) -> None:
    halves = [encoded(part, bench.form) for part in (TEXTS[:9], TEXTS[9:])]
    members = [(f"{number}{bench.member}", half) for number, half in enumerate(halves)]
    read = bench.read(packed(members, bench.packing))
    if bench.packing in (".zip", ".tar", ".tar.gz", ".tar.zst"):
        assert read == Read(expected(bench.form, TEXTS[:9]) + expected(bench.form, TEXTS[9:]), [])
    elif bench.form in OF_LINES:
        assert read == Read(TEXTS, [])
    elif bench.form == "document":
        assert read == Read(["\n".join(TEXTS[:9]) + "\n".join(TEXTS[9:])], [])
    else:  # tables one behind the other are no table: what is not read is announced
        assert set(read.texts) <= set(TEXTS)
        assert len(read.texts) == len(TEXTS) or read.rejects


def test_a_cut_file_gives_what_it_holds_and_says_so(bench: Bench) -> None:
    content = encoded(TEXTS, bench.form)
    whole = packed([(bench.member, content)], bench.packing)
    wanted = expected(bench.form, TEXTS)
    draw = random.Random(f"{bench.form}{bench.packing}")
    for size in [draw.randrange(1, len(whole)) for _ in range(CUTS)] + [len(whole) - 1]:
        prefix = unpacked(whole[:size], bench.packing, len(content))
        read = bench.read(whole[:size])
        kept = [text for text in read.texts if text in wanted]
        assert set(whole_texts(TEXTS, bench.form, prefix)) <= set(kept), size
        if bench.packing == "" and bench.form in ("csv", "tsv", "lines", "document"):
            continue  # a text that ends early is a text; half a line of it, too
        assert read.texts == kept, "no half record is kept as a whole one"
        ends_between_lines = bench.packing == "" and bench.form == "jsonl" and whole[:size].endswith((b"\n", b"}"))
        complete = len(kept) == len(wanted)
        assert read.rejects or ends_between_lines or (complete and bench.packing in NO_CHECKSUM), size
        if bench.packing == "" and bench.form == "jsonl":
            assert len(read.texts) + len(read.rejects) == len(whole[:size].splitlines())


def test_a_changed_byte_loses_no_record_in_silence(bench: Bench) -> None:
    content = encoded(TEXTS, bench.form)
    whole = packed([(bench.member, content)], bench.packing)
    wanted = expected(bench.form, TEXTS)
    draw = random.Random(f"{bench.packing}{bench.form}")
    for _ in range(CHANGES):
        at, by = draw.randrange(len(whole)), draw.randrange(1, 256)
        read = bench.read(whole[:at] + bytes([whole[at] ^ by]) + whole[at + 1 :])
        kept = [text for text in read.texts if text in wanted]
        assert len(read.texts) + len(read.rejects) >= len(wanted) or read.rejects, (at, by)
        if bench.packing not in NO_CHECKSUM:
            assert len(kept) == len(wanted) or read.rejects, (at, by)
        elif bench.packing == "" and bench.form in OF_LINES:
            of_header = bench.form in ("csv", "tsv") and at < content.index(b"\n") + 1
            assert len(kept) >= len(wanted) - 2 or of_header or at < 8, (at, by, read.rejects)


def test_the_content_of_another_format_is_announced(bench: Bench) -> None:
    for other in FORMATS:
        if FORMATS[other] == FORMATS[bench.form] or bench.form in ("lines", "document"):
            continue
        read = bench.read(packed([(bench.member, encoded(TEXTS, other))], bench.packing))
        assert set(read.texts) == set(TEXTS) or read.rejects, other
        assert set(read.texts) <= set(TEXTS), other
    for garbage in (b"\x00" * 3000, bytes(range(256)) * 8, b"PAR1", b"ARROW1\x00\x00", b"[", b"{", b'"'):
        read = bench.read(packed([(bench.member, garbage)], bench.packing))
        assert read.rejects or bench.form in ("lines", "document", "csv", "tsv"), garbage[:8]
        assert bench.read(garbage) is not None


def test_an_empty_file_is_no_fault_of_anybody(bench: Bench) -> None:
    read = bench.read(packed([(bench.member, b"")], bench.packing))
    assert read.texts == []
    assert len(read.rejects) <= 1
    assert bench.read(b"").texts == []
