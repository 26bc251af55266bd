"""Labelled records for classifiers: reading and splitting them."""

from __future__ import annotations

import re
from collections.abc import Sequence

import numpy as np
import orjson
import pyarrow as pa

from raylib.errors import ParameterError
from raylib.records import tables_of

__all__ = ["read_labelled", "safe_label", "split"]


def read_labelled(
    paths: Sequence[str], *, text: str = "text", label: str = "label"
) -> tuple[list[str], list[str], list[str]]:
    """Read labelled records from files of any readable format.

    Args:
        paths: Files, folders, globs or URIs.
        text: Field of the text.
        label: Field of the label, a string or an integer.

    Returns:
        Texts, their labels, and a line about each record that lacks one of the fields.

    Raises:
        ParameterError: If no record has both fields.
    """
    texts: list[str] = []
    labels: list[str] = []
    problems: list[str] = []
    for path in paths:

        def refused(rejects: pa.Table) -> None:
            problems.extend(rejects["detail"].to_pylist())

        for table in tables_of(path, "document", rejected=refused):
            _add_labelled(table, path, (text, label), (texts, labels, problems))
    if not texts:
        raise ParameterError(f"no record of {', '.join(paths)} has the fields {text!r} and {label!r}")
    return texts, labels, problems


def _add_labelled(
    table: pa.Table, path: str, fields: tuple[str, str], found: tuple[list[str], list[str], list[str]]
) -> None:
    """Add the labelled records of a table to (texts, labels, problems)."""
    (text, label), (texts, labels, problems) = fields, found
    for row in table.select(["id", "text", "meta"]).to_pylist():
        meta = orjson.loads(row["meta"]) if row["meta"] else {}
        given = meta.get(label)
        content = row["text"] if text == "text" else meta.get(text)
        if not isinstance(given, (str, int)) or given == "" or not isinstance(content, str):
            missing = label if isinstance(content, str) else text
            problems.append(f"{path}: record {row['id']}: no field {missing!r}")
            continue
        texts.append(content)
        labels.append(str(given))


def safe_label(label: str) -> str:
    """The label as fastText takes it: a run of white space becomes an underscore."""
    return re.sub(r"\s+", "_", label.strip())


def split(count: int, share: float, seed: int) -> tuple[list[int], list[int]]:
    """Draw positions for training and for testing.

    Args:
        count: Number of records.
        share: Share of records for testing.
        seed: Seed of the draw.

    Returns:
        Positions for training and positions for testing, both ascending.
    """
    order = np.random.default_rng(seed).permutation(count)
    held = round(share * count)
    return sorted(order[held:].tolist()), sorted(order[:held].tolist())
