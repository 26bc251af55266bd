"""File systems of paths and URIs, and the format that a file's name promises."""

from __future__ import annotations

import os
import re
from urllib.parse import quote

import fsspec
import pyarrow.fs as pafs

from raylib.credentials import ADVICE, secret_in
from raylib.errors import SourceError

__all__ = [
    "FORMATS",
    "check_readable",
    "file_format",
    "located_uri",
    "open_filesystem",
    "raw_size",
    "split_query",
    "stem_of",
]


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
_NOT_READ = {
    **dict.fromkeys((".xlsx", ".xls", ".ods"), "save the sheet as CSV in UTF-8"),
    **dict.fromkeys((".docx", ".doc", ".pdf", ".pptx", ".ppt", ".epub", ".mobi"), "convert it to .txt or .jsonl"),
    **dict.fromkeys((".rar", ".7z"), "unpack it, or pack it as .zip or .tar"),
    **dict.fromkeys((".pkl", ".pickle", ".npy", ".npz", ".db", ".sqlite", ".h5"), "export it as Parquet or .jsonl"),
}
COMPRESSIONS = {".gz": "gzip", ".zst": "zstd", ".zstd": "zstd", ".bz2": "bz2", ".xz": "xz"}

_ARROW_SCHEMES = ("file", "s3", "gs", "gcs", "abfs", "abfss", "hdfs", "viewfs")  # that pyarrow opens itself
_SAFE = "%/:@!$&'()*+,;=-._~"  # characters that a URI may hold as they are, in its path and before it
_EXPANSION = {"gzip": 3.0, "zstd": 3.0, "bz2": 4.0, "xz": 4.0, "zip": 3.0, "parquet": 2.0}  # of texts in Chinese


def file_format(path: str) -> tuple[str, str]:
    """Format and compression by the name of a file; the format is empty if the extension is unknown."""
    name = (split_query(path)[0] if "://" in path else path).rsplit("/", 1)[-1].lower()
    compression = ""
    for suffix, codec in COMPRESSIONS.items():
        if name.endswith(suffix):
            name, compression = name[: -len(suffix)], codec
            break
    extension = os.path.splitext(name)[1]
    return FORMATS.get(extension, ""), compression


def check_readable(path: str) -> None:
    """Refuse a file of a format that is not text and that is known not to be read.

    Args:
        path: Path of the file.

    Raises:
        SourceError: Says what to do with such a file.
    """
    advice = _NOT_READ.get(os.path.splitext(path)[1].lower())
    if advice is not None:
        known = ", ".join(sorted(FORMATS))
        raise SourceError(f"{path}: this format is not read; {advice}. Formats that are: {known}")


def raw_size(path: str, size: int) -> int:
    """About how many bytes a file holds once it is decompressed, by its name.

    Args:
        path: Path or URI of the file.
        size: Size of the file in bytes.
    """
    kind, compression = file_format(path)
    if path.lower().endswith(".tgz"):
        compression = "gzip"
    return int(size * _EXPANSION.get(compression or kind, 1.0))


def stem_of(path: str) -> str:
    """Name of a file without folders and extensions: the source of records that name none."""
    return path.rsplit("/", 1)[-1].split(".", maxsplit=1)[0]


def open_filesystem(path: str) -> tuple[pafs.FileSystem, str]:
    """The file system of a path or URI, and the path within it: pyarrow's where it has one, otherwise fsspec's.

    Raises:
        SourceError: Neither of them can open the URI, or it holds a secret.
    """
    if "://" not in path:
        return pafs.LocalFileSystem(), os.path.abspath(os.path.expanduser(path))
    secret = secret_in(path)
    if secret:  # not shown here either
        raise SourceError(f"the URI holds {secret}: {ADVICE}")
    try:
        found: tuple[pafs.FileSystem, str] = pafs.FileSystem.from_uri(_quoted(path))
    except (ValueError, OSError) as arrow_error:
        try:
            system, inner = fsspec.core.url_to_fs(path)
        except (ValueError, ImportError) as error:
            raise SourceError(f"cannot open {path!r}: {arrow_error}; fsspec: {error}") from None
        return pafs.PyFileSystem(pafs.FSSpecHandler(system)), inner
    return found


def located_uri(uri: str) -> str:
    """The URI at which a file is opened whose path in it is as the storage spells it.

    Args:
        uri: URI of a file that was found, without a query; its path may hold characters that a URI may not.

    Returns:
        The URI in the form that pyarrow reads; one that fsspec opens stays as it is.
    """
    if uri.split("://", 1)[0] not in _ARROW_SCHEMES:
        return uri
    return _quoted(uri.replace("%", "%25").replace("?", "%3F"))


def _quoted(uri: str) -> str:
    """A URI with its path in the characters of URIs; what is percent-encoded already stays."""
    path, query = split_query(uri)
    scheme, rest = path.split("://", 1)
    return f"{scheme}://{quote(re.sub('%(?![0-9A-Fa-f]{2})', '%25', rest), safe=_SAFE)}{query}"


def split_query(uri: str) -> tuple[str, str]:
    """Split a URI: `s3://bucket/path` and `?region=...`. A `?` that no `=` follows is part of a glob."""
    path, mark, query = uri.rpartition("?")
    return (path, mark + query) if mark and "=" in query and "/" not in query.split("=")[0] else (uri, "")
