"""What reading and folding cost in CPU time, here or against another version of this repository.

RAYLIB_TEST_DATA=... python benchmarks/reading.py [--against FOLDER] [--megabytes 24] [--rounds 7] [--only NAME ...]

Each version works in a process of its own, and the two take turns. The least of some rounds counts, so that other work
on the machine changes the figures little.
"""

from __future__ import annotations

import argparse
import csv
import gzip
import json
import os
import subprocess
import tempfile
from collections.abc import Callable, Iterator
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq
import zstandard
from measure import PYTHON, ROOT, data_file, write_section

_WORKER = """
import os, sys, time
import pyarrow as pa
from raylib.reading.block import ReadOptions
from raylib.reading.opening import blocks_of
from raylib.reading.parsing import parse
from raylib.reading.sources import SourceFile
from raylib.reading.units import Piece

def read(path, kind):
    rows = rejects = 0
    for block in blocks_of(Piece(SourceFile(path, os.path.getsize(path), 0)), ReadOptions()):
        for parsed in parse(block, kind):
            rows, rejects = rows + len(parsed.table), rejects + len(parsed.rejects)
    return f"{rows}+{rejects}"

texts = {}
def fold(path, kind):
    from dedup.folding import fold_hashes
    if path not in texts:
        blocks = blocks_of(Piece(SourceFile(path, os.path.getsize(path), 0)), ReadOptions())
        texts[path] = [p.table["text"].combine_chunks() for block in blocks for p in parse(block, "document")]
    begun = time.process_time()
    hashes = [fold_hashes(batch) for batch in texts[path]]
    return time.process_time() - begun, sum(map(len, hashes))

for line in sys.stdin:
    what, kind, path = line.rstrip("\\n").split("\\t")
    begun = time.process_time()
    if what == "fold":
        seconds, count = fold(path, kind)
    else:
        count = read(path, kind)
        seconds = time.process_time() - begun
    print(seconds, count, flush=True)
"""


class _Version:
    """A process that works with one version."""

    def __init__(self, folder: Path) -> None:
        # threads of Arrow count as CPU time as well; one of them makes rounds more alike
        environment = {**os.environ, "PYTHONPATH": str(folder), "OMP_NUM_THREADS": "1"}
        self._process = subprocess.Popen(
            [PYTHON, "-c", _WORKER], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True, cwd=folder,
            env=environment,
        )  # fmt: skip

    def work(self, what: str, kind: str, path: Path) -> tuple[float, str]:
        """CPU seconds of one piece of work, and what it counted."""
        assert self._process.stdin is not None
        assert self._process.stdout is not None
        self._process.stdin.write(f"{what}\t{kind}\t{path}\n")
        self._process.stdin.flush()
        seconds, count = self._process.stdout.readline().split()
        return float(seconds), count

    def close(self) -> None:
        """End the process."""
        assert self._process.stdin is not None
        self._process.stdin.close()
        self._process.wait()


def _rows(name: str, most: int) -> list[dict[str, object]]:
    """The first records of a data file, `most` bytes of them; from the beginning again if there are fewer."""
    rows: list[dict[str, object]] = []
    size = 0
    while size < most:
        with gzip.open(data_file(name), "rb") as stream:
            for line in stream:
                rows.append(json.loads(line))
                size += len(line)
                if size >= most:
                    break
    return rows


def _lines(rows: list[dict[str, object]]) -> bytes:
    return b"".join(json.dumps(row, ensure_ascii=False).encode() + b"\n" for row in rows)


def _write_csv(path: Path, rows: list[dict[str, object]]) -> None:
    with path.open("w", encoding="utf-8", newline="") as stream:
        writer = csv.writer(stream)
        writer.writerow(["id", "title", "text"])
        writer.writerows((row["id"], "标题", row["text"]) for row in rows)


def _write_parquet(path: Path, rows: list[dict[str, object]], *, meta: bool) -> None:
    table = pa.Table.from_pylist([{name: row[name] for name in ("id", "source", "text")} for row in rows])
    if meta:
        table = table.append_column("score", pa.array([i % 97 for i in range(len(rows))]))
        table = table.append_column("url", pa.array([f"https://example.org/{i}" for i in range(len(rows))]))
    pq.write_table(table, path)


def _cases(folder: Path, most: int) -> Iterator[tuple[str, str, str, Path]]:
    """Name, what is done, kind and file of each case; the files are made on the way."""
    rows = _rows("pretrain_zh.jsonl.gz", most)
    plain = _lines(rows)
    chats = _lines(_rows("sft_alpaca_zh.jsonl.gz", most))
    array = b"[" + b",\n".join(plain.splitlines()) + b"]"
    medical = _rows("more/sft_law_zh.jsonl.gz", most // 2)
    files: dict[str, tuple[str, str, Callable[[Path], object]]] = {
        "JSON lines": ("document", "a.jsonl", lambda p: p.write_bytes(plain)),
        "JSON lines of conversations": ("conversation", "b.jsonl", lambda p: p.write_bytes(chats)),
        "JSON lines of long conversations": ("conversation", "c.jsonl", lambda p: p.write_bytes(_lines(medical))),
        "JSON array": ("document", "d.json", lambda p: p.write_bytes(array)),
        "gzip": ("document", "e.jsonl.gz", lambda p: p.write_bytes(gzip.compress(plain, 6))),
        "zstd": ("document", "f.jsonl.zst", lambda p: p.write_bytes(zstandard.compress(plain))),
        "zstd, fast to parse": ("conversation", "g.txt.zst", lambda p: p.write_bytes(zstandard.compress(plain))),
        "Parquet": ("document", "h.parquet", lambda p: _write_parquet(p, rows, meta=False)),
        "Parquet with other columns": ("document", "i.parquet", lambda p: _write_parquet(p, rows, meta=True)),
        "CSV, cells of many lines": ("document", "j.csv", lambda p: _write_csv(p, rows)),
        "rejects: lines {}": ("document", "k.jsonl", lambda p: p.write_bytes(b"{}\n" * (most // 50))),
    }
    for name, (kind, file, write) in files.items():
        write(folder / file)
        yield name, "read", kind, folder / file
    yield "folding", "fold", "standard", folder / "a.jsonl"


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--against", type=Path, help="folder of another version, as `git worktree add` makes it")
    parser.add_argument("--megabytes", type=float, default=24, help="size of each input")
    parser.add_argument("--rounds", type=int, default=7)
    parser.add_argument("--only", nargs="*", help="names of cases")
    parser.add_argument("--write", action="store_true", help="write the table to RESULTS.md")
    options = parser.parse_args()
    versions = [_Version(folder) for folder in (ROOT, options.against) if folder is not None]
    lines = [
        "| input | MB/s | CPU seconds | before | ratio | records + rejects |",
        "|---|---|---|---|---|---|",
    ]
    with tempfile.TemporaryDirectory() as name:
        for case, what, kind, path in _cases(Path(name), int(options.megabytes * 1e6)):
            if options.only and case not in options.only:
                continue
            least, counts = [9e9] * len(versions), [""] * len(versions)
            for _ in range(options.rounds):
                for number, version in enumerate(versions):
                    seconds, counts[number] = version.work(what, kind, path)
                    least[number] = min(least[number], seconds)
            before = f"{least[1]:.3f} | {least[0] / least[1]:.2f}" if len(least) > 1 else "|"
            counted = " / ".join(dict.fromkeys(counts))
            rate = path.stat().st_size / 1e6 / least[0]
            lines.append(f"| {case} | {rate:.0f} | {least[0]:.3f} | {before} | {counted} |")
            print(lines[-1], flush=True)
    for version in versions:
        version.close()
    if options.write:
        write_section("Reading", lines)


if __name__ == "__main__":
    main()
