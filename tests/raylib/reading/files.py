"""Files of every format and packing, written by other means than those that read them, and counts of what they hold."""

from __future__ import annotations

import bz2
import csv
import gzip
import io
import json
import lzma
import tarfile
import zipfile
import zlib
from collections.abc import Callable, Sequence

import pyarrow as pa
import pyarrow.parquet as pq
import zstandard

__all__ = ["FORMATS", "NO_CHECKSUM", "PACKINGS", "encoded", "packed", "unpacked", "whole_texts"]

FORMATS = {
    "jsonl": "x.jsonl",
    "array": "x.json",
    "csv": "x.csv",
    "tsv": "x.tsv",
    "lines": "x.txt",
    "document": "x.txt",
    "parquet": "x.parquet",
    "arrow": "x.arrow",
    "arrow_stream": "x.arrow",
}
PACKINGS = ("", ".gz", ".bz2", ".xz", ".zst", ".zip", ".tar", ".tar.gz", ".tar.zst")
NO_CHECKSUM = ("", ".tar")
"""Packings in which a changed byte may go unnoticed, as it does in any text."""


def rows(texts: Sequence[str], form: str) -> list[bytes]:
    """The bytes of the header and of each record of a format of lines."""
    if form == "jsonl":
        return [b"", *(json.dumps({"id": t[:8], "text": t}, ensure_ascii=False).encode() + b"\n" for t in texts)]
    if form == "lines":
        return [b"", *(text.encode() + b"\n" for text in texts)]
    written = []
    for row in [["name", "text"], *([text[:8], text] for text in texts)]:
        sink = io.StringIO()
        csv.writer(sink, delimiter="\t" if form == "tsv" else ",", lineterminator="\n").writerow(row)
        written.append(sink.getvalue().encode())
    return written


def encoded(texts: Sequence[str], form: str) -> bytes:
    """Texts as the content of a file."""
    if form == "array":
        return json.dumps([{"id": t[:8], "text": t} for t in texts], ensure_ascii=False).encode()
    if form == "document":
        return "\n".join(texts).encode()
    if form not in ("parquet", "arrow", "arrow_stream"):
        return b"".join(rows(texts, form))
    table = pa.table({"id": [t[:8] for t in texts], "text": texts})
    sink = pa.BufferOutputStream()
    if form == "parquet":
        pq.write_table(table, sink, row_group_size=4, compression="none", use_dictionary=False)
    else:
        opened = pa.ipc.new_file if form == "arrow" else pa.ipc.new_stream
        with opened(sink, table.schema) as writer:
            writer.write_table(table, max_chunksize=4)
    content: bytes = sink.getvalue().to_pybytes()
    return content


_COMPRESSED: dict[str, Callable[[bytes], bytes]] = {
    "gz": lambda data: gzip.compress(data, mtime=0),
    "bz2": bz2.compress,
    "xz": lzma.compress,
    "zst": lambda data: zstandard.ZstdCompressor(write_checksum=True).compress(data),
}


def packed(members: Sequence[tuple[str, bytes]], packing: str) -> bytes:
    """Contents in one file: members of an archive, or frames one behind the other."""
    sink = io.BytesIO()
    if packing == ".zip":
        with zipfile.ZipFile(sink, "w", zipfile.ZIP_DEFLATED) as archive:
            for name, data in members:
                archive.writestr(name, data)
        return sink.getvalue()
    if not packing.startswith(".tar"):
        compress = _COMPRESSED.get(packing[1:], bytes)
        return b"".join(compress(data) for _, data in members)
    with tarfile.open(fileobj=sink, mode="w") as tar:
        for name, data in members:
            member = tarfile.TarInfo(name)
            member.size = len(data)
            tar.addfile(member, io.BytesIO(data))
    return _COMPRESSED.get(packing[5:], bytes)(sink.getvalue())


def unpacked(data: bytes, packing: str, size: int) -> bytes:
    """What other decoders get out of the beginning of a file: the bytes of its first member, of `size` bytes."""
    compression = packing.removeprefix(".tar").lstrip(".")
    if packing == ".zip":
        return b""  # its index is at its end
    if compression == "gz":
        data = zlib.decompressobj(31).decompress(data)
    elif compression == "bz2":
        data = bz2.BZ2Decompressor().decompress(data)
    elif compression == "xz":
        data = lzma.LZMADecompressor().decompress(data)
    elif compression == "zst":
        data = zstandard.ZstdDecompressor().decompressobj().decompress(data) if data else b""
    return data[512 : 512 + size] if packing.startswith(".tar") else data


def whole_texts(texts: Sequence[str], form: str, prefix: bytes) -> list[str]:
    """The texts that are whole in the beginning of a file's content, by the places at which their bytes end."""
    if form in ("document", "parquet"):
        return []
    if form in ("arrow", "arrow_stream"):
        return _whole_batches(prefix[8:] if form == "arrow" else prefix)
    if form == "array":
        ends = [len(encoded(texts[: n + 1], form)) - 1 for n in range(len(texts))]
    else:
        lengths = [len(row) for row in rows(texts, form)]
        ends = [sum(lengths[: n + 2]) for n in range(len(texts))]
    return [text for text, end in zip(texts, ends, strict=True) if end <= len(prefix)]


def _whole_batches(prefix: bytes) -> list[str]:
    found: list[str] = []
    try:
        for batch in pa.ipc.open_stream(prefix):
            found += batch["text"].to_pylist()
    except (pa.ArrowInvalid, OSError):
        pass
    return found
