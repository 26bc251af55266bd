"""Lines of the manifest as bytes, each with its checksum. They are written and read here alone."""

from __future__ import annotations

import orjson

from raylib.checksums import opened, sealed
from raylib.errors import RaylibError
from raylib.foreign_json import fault_in
from raylib.storage.entry import Line, LineJson, RoundEntry, RunEnd, RunHeader, ShardEntry, StreamEntry
from raylib.storage.names import Phase

__all__ = ["DamagedLineError", "parse_line", "read_line", "write_line"]


class DamagedLineError(RaylibError):
    """A line of the manifest that no version of raylib has written."""


def write_line(line: Line) -> bytes:
    """A line of the manifest, with its checksum and without its end.

    Args:
        line: What it says.
    """
    return sealed(orjson.dumps(line.to_json()))


def read_line(line: bytes) -> Line | None:
    """What a line of the manifest says.

    Args:
        line: One line, without its end.

    Returns:
        What it says; None for a line that is damaged, such as one that was cut when the writer was killed, and for one
        that this version does not know.
    """
    body = opened(line)
    try:
        return None if body is None else parse_line(body)
    except DamagedLineError:
        return None


def parse_line(body: bytes) -> Line | None:
    """What a line without its checksum says.

    Args:
        body: The line.

    Returns:
        What it says; None for a line that this version does not know.

    Raises:
        DamagedLineError: it is not one that any version writes.
    """
    try:
        data = orjson.loads(body)
        wrong = fault_in(data, LineJson)
        if wrong:
            raise DamagedLineError(wrong)
        return _line_of(data)
    except (ValueError, KeyError, TypeError, AttributeError) as error:
        raise DamagedLineError(str(error)) from None


def _line_of(data: LineJson) -> Line | None:
    if "end" in data:
        return RunEnd.from_json(data)
    if "shard" not in data:
        return RunHeader.from_json(data) if "run" in data else None
    phase = Phase.parse(data["phase"])
    if phase.kind == "stream":
        return StreamEntry.from_json(data)
    return ShardEntry.from_json(data) if phase.is_segment else RoundEntry.from_json(data)
