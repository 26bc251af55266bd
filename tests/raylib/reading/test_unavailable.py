"""A file that cannot be had is no verdict about its records: an error, and the same command tries again."""

from __future__ import annotations

import gzip
import http.server
import os
import threading
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from raylib.engine import Progress, run
from raylib.errors import RaylibError, SourceError
from raylib.reading.block import ReadOptions
from raylib.reading.opening import blocks_of
from raylib.reading.sources import SourceFile, find_files
from raylib.reading.units import Piece
from raylib.recipe import Recipe
from tests.texts import ARTICLE

Write = Callable[..., Path]
NO_DATA = Path("/proc/self/mem")  # a real file whose first bytes cannot be read: EIO


def blocks(file: SourceFile) -> list[str]:
    return [b.error.reason if b.error else b.format for b in blocks_of(Piece(file), ReadOptions())]


@pytest.mark.parametrize("name", ["a.jsonl", "a.jsonl.gz", "a.zip", "a.tar.gz", "a.parquet", "a.arrow", "a.txt"])
def test_a_file_that_is_gone_is_an_error(tmp_path: Path, name: str) -> None:
    with pytest.raises(SourceError, match=rf"cannot read input file .*{name} on .*: No such file"):
        blocks(SourceFile(str(tmp_path / name), 10, 0))


@pytest.mark.skipif(not NO_DATA.exists(), reason="Linux's /proc")
@pytest.mark.parametrize("name", ["a.jsonl", "a.csv", "a.jsonl.gz", "a.tar", "a.tar.zst", "a.txt", "a.json"])
def test_a_disk_that_fails_is_an_error(tmp_path: Path, name: str) -> None:
    (tmp_path / name).symlink_to(NO_DATA)
    with pytest.raises(SourceError, match=rf"cannot read input file .*{name} on .*: Input/output error"):
        blocks(SourceFile(str(tmp_path / name), 10, 0))


def test_damage_inside_a_file_is_a_reject(tmp_path: Path) -> None:
    damaged = {
        "a.jsonl.gz": gzip.compress(b'{"text": "a"}\n' * 5000)[:60],
        "b.jsonl.gz": b"no gzip at all",
        "c.zip": b"PK\x03\x04 no zip",
        "d.parquet": b"PAR1 no parquet PAR1",
        "e.arrow": b"no arrow",
        "f.jsonl.bz2": b"BZh9 no bz2",
        "g.jsonl.xz": b"no xz",
        "h.jsonl.zst": b"no zstd",
        "i.tar": b"x" * 2000,
    }
    for name, data in damaged.items():
        (tmp_path / name).write_bytes(data)
    for file in find_files(tmp_path)[0]:
        assert {"unreadable_file", "truncated_file"} & set(blocks(file)), file.path


class Failing(http.server.BaseHTTPRequestHandler):
    """A server that knows the file's size and then has no data, as one behind an overloaded proxy."""

    def do_HEAD(self) -> None:
        self.send_response(200)
        self.send_header("Content-Length", "1000000")
        self.send_header("Accept-Ranges", "bytes")
        self.end_headers()

    def do_GET(self) -> None:
        self.send_error(503)

    def log_message(self, *_: object) -> None:
        """Say nothing."""


@pytest.fixture
def failing_server() -> Iterator[str]:
    server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Failing)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    yield f"http://127.0.0.1:{server.server_address[1]}"
    server.shutdown()
    server.server_close()


@pytest.mark.parametrize("name", ["a.jsonl", "a.jsonl.gz", "a.zip", "a.parquet"])
def test_a_server_without_the_data_is_an_error(failing_server: str, name: str) -> None:
    pytest.importorskip("aiohttp")
    with pytest.raises(SourceError, match=name):
        blocks(SourceFile(f"{failing_server}/{name}", 1_000_000, 0))


class Hiding(Progress):
    """Takes a file away as the run begins to read."""

    def __init__(self, file: Path) -> None:
        self.file = file

    def phase(self, *_: object) -> None:
        if self.file.exists():
            os.replace(self.file, self.file.with_suffix(".hidden"))

    def give_back(self) -> None:
        os.replace(self.file.with_suffix(".hidden"), self.file)


@pytest.mark.parametrize("size", [1, 400])  # one shard of small files; blocks that a reader cuts
def test_a_run_that_could_not_read_a_file_reads_it_the_next_time(tmp_path: Path, write_jsonl: Write, size: int) -> None:
    (tmp_path / "source").mkdir()
    source = write_jsonl([{"id": str(n), "text": ARTICLE} for n in range(size)], "source/a.jsonl")
    write_jsonl([{"id": "b", "text": ARTICLE}], "source/b.jsonl")
    recipe = Recipe.from_dict(
        {
            "input": {"path": str(tmp_path / "source"), "kind": "document"},
            "output": {"path": str(tmp_path / "out")},
            "engine": {"mode": "inline", "batch_mb": 0.1},
            "stages": ["length"],
        }
    )
    hiding = Hiding(source)
    with pytest.raises(RaylibError, match=r"cannot read input file .*a\.jsonl on .*: No such file"):
        run(recipe, progress=hiding)
    hiding.give_back()
    assert run(recipe).summary["records_in"] == size + 1
