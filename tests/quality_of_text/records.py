"""Records of our own wording: good text that must come out whole, and bad text that must not come out."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any

import orjson

__all__ = ["RECORDS", "Record"]


@dataclass(frozen=True)
class Record:
    """A text and what a chain owes it.

    Attributes:
        name: Its name.
        text: The text.
        keep: Whether a chain should keep it.
        must: What has to be in the text that comes out.
        must_not: What must not be in it.
    """

    name: str
    text: str
    keep: bool = True
    must: tuple[str, ...] = ()
    must_not: tuple[str, ...] = ()


def _of(line: bytes) -> Record:
    fields = orjson.loads(line)
    lists: dict[str, Any] = {name: tuple(fields.pop(name)) for name in ("must", "must_not")}
    return Record(**fields, **lists)


RECORDS = tuple(map(_of, Path(__file__).with_name("records.jsonl").read_bytes().splitlines()))
"""Records of `records.jsonl`, which were written for this project."""
