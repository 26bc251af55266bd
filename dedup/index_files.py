"""The files of an index: its state as JSON, and the Arrow files of its segments."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any, TypedDict, cast, get_type_hints

import numpy as np
import pyarrow as pa

from dedup.folding import Level
from dedup.shingles import Unit
from raylib.atomic import create_atomically
from raylib.errors import ParameterError

__all__ = ["FORMAT", "Settings", "State", "read_segment", "read_state", "record_in", "segment_columns", "write_segment"]

FORMAT = 2
_MOST_BYTES = 16 << 20  # of index.json
_MOST_VALUES = 1 << 16  # of a signature
_COUNTS = ("permutations", "bands", "rows", "ngram")
_SEGMENT = re.compile(r"segment-\d{6,}")
_TEXTS = [pa.string(), pa.large_string()]


class Settings(TypedDict):
    """What decides which records are similar."""

    threshold: float
    ngram: int
    unit: Unit
    normalise: Level
    permutations: int
    seed: int
    bands: int
    rows: int


class State(TypedDict):
    """The content of `index.json`."""

    format: int
    version: int
    settings: Settings
    probe: list[int]
    segments: list[str]


def read_state(folder: Path) -> State:
    """Read `index.json`.

    Args:
        folder: Folder of the index.

    Returns:
        Its content.

    Raises:
        ParameterError: if it is damaged.
    """
    try:
        with open(folder / "index.json", "rb") as file:
            data = file.read(_MOST_BYTES + 1)
        state = json.loads(data) if len(data) <= _MOST_BYTES else None
    except (ValueError, RecursionError):
        raise ParameterError(f"{str(folder)!r} is damaged: its index.json is not JSON; build it again") from None
    if not isinstance(state, dict):
        raise ParameterError(f"{str(folder)!r} is damaged: its index.json is not that of an index; build it again")
    if state.get("format") == FORMAT:  # of another one, little is known
        for problem in _problems(state):
            raise ParameterError(f"{str(folder)!r} is damaged: its index.json has {problem}; build it again")
    return cast(State, state)


def _problems(state: dict[str, Any]) -> Iterator[str]:
    """What is wrong with an `index.json`."""
    settings = state.get("settings")
    if not isinstance(settings, dict):
        yield "no settings"
        return
    for name, kind in get_type_hints(Settings).items():
        value = settings.get(name)
        wanted = (str,) if name in ("unit", "normalise") else (int, float) if kind is float else (int,)
        if (
            not isinstance(value, wanted)
            or isinstance(value, bool)
            or (name in ("permutations", "bands", "rows", "ngram") and not 0 < int(value) <= _MOST_VALUES)
        ):
            yield f"no valid {name}"
    if not isinstance(state.get("version"), int):
        yield "no version"
    segments = state.get("segments")
    if not isinstance(segments, list) or not all(isinstance(s, str) and _SEGMENT.fullmatch(s) for s in segments):
        yield "names of segments that raylib does not give"
    if not isinstance(state.get("probe"), list):
        yield "no values to compare hash functions by"
    if settings.get("bands", 0) * settings.get("rows", 0) > settings.get("permutations", 0):
        yield "more bands than a signature has values for"


def segment_columns(permutations: int) -> dict[str, dict[str, list[pa.DataType]]]:
    """Columns of the files of a segment.

    Args:
        permutations: Number of values of a signature.
    """
    texts = ("id", "source", "head")
    records = {**dict.fromkeys(texts, _TEXTS), "signature": [pa.binary(permutations)]}
    return {"keys.arrow": {"key": [pa.uint64()], "row": [pa.int64()]}, "records.arrow": records}


def read_segment(file: Path, permutations: int) -> pa.RecordBatch:
    """Map a file of a segment, whose sizes and offsets are checked against the file before anything uses them.

    Args:
        file: Path of the file.
        permutations: Number of values of a signature.

    Returns:
        Its content.

    Raises:
        ParameterError: if it is missing or damaged.
    """
    try:
        opened = pa.ipc.open_file(pa.memory_map(str(file)))
        batch = opened.get_batch(0)
        batch.validate()
        _check_columns(batch, segment_columns(permutations)[file.name])
    except (OSError, ValueError, IndexError, MemoryError, pa.ArrowException) as error:
        reason = f" ({error})" if isinstance(error, _Wrong) else ""
        raise ParameterError(f"the index is damaged: {file} cannot be read{reason}; build it again") from None
    return batch


class _Wrong(ValueError):
    """What a file of a segment holds is not what raylib writes."""


def _check_columns(batch: pa.RecordBatch, columns: Mapping[str, list[pa.DataType]]) -> None:
    """Check types, and that the texts lie in the file one after the other.

    Raises:
        _Wrong: They do not.
    """
    if batch.schema.names != list(columns):
        raise _Wrong(f"its columns are {', '.join(batch.schema.names)[:100]}")
    for name, types in columns.items():
        column = batch.column(name)
        if column.type not in types or column.null_count:
            raise _Wrong(f"its column {name} is of type {column.type}, or has empty values")
        if column.type in _TEXTS and len(column):
            wide = np.int64 if pa.types.is_large_string(column.type) else np.int32
            offsets = np.frombuffer(column.buffers()[1], wide, len(column) + 1, column.offset * np.dtype(wide).itemsize)
            end = column.buffers()[2].size if column.buffers()[2] else 0
            if offsets[0] < 0 or offsets[-1] > end or (np.diff(offsets) < 0).any():
                raise _Wrong(f"the texts of its column {name} lie outside the file")


def write_segment(file: Path, table: pa.Table) -> None:
    """Write a file of a segment.

    Args:
        file: Path of the file.
        table: Its content, which becomes one batch.
    """
    table = table.combine_chunks()
    with create_atomically(file) as stream, pa.ipc.new_file(stream, table.schema) as writer:
        writer.write_table(table)


def record_in(records: pa.Table, row: int, folder: Path) -> dict[str, str]:
    """A record of a segment.

    Args:
        records: The records of the segment.
        row: Number of the record.
        folder: Folder of the segment, for the error.

    Raises:
        ParameterError: A text of it is none.
    """
    try:
        record: dict[str, str] = records.slice(row, 1).to_pylist()[0]
    except UnicodeDecodeError:
        raise ParameterError(f"the index is damaged: {folder} holds what is no text; build it again") from None
    return record
