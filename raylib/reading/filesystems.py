"""File systems of paths and URIs, and the format that a file's name promises."""

from __future__ import annotations

import os

import pyarrow.fs as pafs

from raylib.errors import SourceError

__all__ = ["FORMATS", "file_format", "open_filesystem", "split_query"]


FORMATS = {
    ".jsonl": "jsonl",
    ".ndjson": "jsonl",
    ".json": "json",
    ".parquet": "parquet",
    ".arrow": "arrow",
    ".feather": "arrow",
    ".ipc": "arrow",
    ".csv": "csv",
    ".tsv": "tsv",
    ".txt": "txt",
    ".zip": "zip",
    ".tar": "tar",
    ".tgz": "tar",
}
COMPRESSIONS = {".gz": "gzip", ".zst": "zstd", ".zstd": "zstd", ".bz2": "bz2", ".xz": "xz"}


def file_format(path: str) -> tuple[str, str]:
    """(format, compression) by file name; format is "" when the extension is unknown."""
    name = split_query(path)[0].rsplit("/", 1)[-1].lower() if "://" in path else path.rsplit("/", 1)[-1].lower()
    compression = ""
    for suffix, codec in COMPRESSIONS.items():
        if name.endswith(suffix):
            name, compression = name[: -len(suffix)], codec
            break
    extension = os.path.splitext(name)[1]
    return FORMATS.get(extension, ""), compression


def open_filesystem(path: str) -> tuple[pafs.FileSystem, str]:
    """The file system of a path or URI, and the path within it. pyarrow first, then any fsspec scheme."""
    if "://" not in path:
        return pafs.LocalFileSystem(), os.path.abspath(os.path.expanduser(path))
    try:
        return pafs.FileSystem.from_uri(path)
    except (ValueError, OSError) as arrow_error:
        try:
            import fsspec

            system, inner = fsspec.core.url_to_fs(path)
        except (ValueError, ImportError) as error:
            raise SourceError(f"cannot open {path!r}: {arrow_error}; fsspec: {error}") from None
        return pafs.PyFileSystem(pafs.FSSpecHandler(system)), inner


def split_query(uri: str) -> tuple[str, str]:
    """`s3://bucket/path` and `?region=...&endpoint_override=...`; a `?` without `=` behind it is a glob."""
    path, mark, query = uri.rpartition("?")
    return (path, mark + query) if mark and "=" in query and "/" not in query.split("=")[0] else (uri, "")
