"""The files of an index: its state as JSON, and the Arrow files of its segments."""

from __future__ import annotations

import json
from pathlib import Path
from typing import TypedDict, cast

import pyarrow as pa

from dedup.folding import Level
from dedup.shingles import Unit
from raylib.atomic import create_atomically
from raylib.errors import ParameterError

__all__ = ["Settings", "State", "read_segment", "read_state", "write_segment"]


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
        return cast(State, json.loads((folder / "index.json").read_text("utf-8")))
    except ValueError:
        raise ParameterError(f"{str(folder)!r} is damaged: its index.json is not JSON; build it again") from None


def read_segment(file: Path) -> pa.RecordBatch:
    """Map a file of a segment.

    Args:
        file: Path of the file.

    Returns:
        Its content.

    Raises:
        ParameterError: if it is missing or damaged.
    """
    try:
        return pa.ipc.open_file(pa.memory_map(str(file))).get_batch(0)
    except (OSError, pa.ArrowInvalid):
        raise ParameterError(f"the index is damaged: {file} cannot be read; build it again") from None


def write_segment(file: Path, table: pa.Table) -> None:
    """Write a file of a segment.

    Args:
        file: Path of the file.
        table: Its content, which becomes one batch.
    """
    table = table.combine_chunks()
    with create_atomically(file) as stream, pa.ipc.new_file(stream, table.schema) as writer:
        writer.write_table(table)
