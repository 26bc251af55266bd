"""Colours of the points of a map, by a column or by cluster."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from matplotlib import colormaps
from matplotlib.colors import to_hex

from quality.diversity_report.drawing import DiversityOptions, Drawing
from raylib.errors import ParameterError
from raylib.messages import LISTS

__all__ = ["colourings", "colours_of"]

PALETTE = (
    "#0072B2",
    "#E69F00",
    "#009E73",
    "#CC79A7",
    "#D55E00",
    "#56B4E9",
    "#8B6BC9",
    "#B8A600",
    "#7A5C3E",
    "#4C9F70",
    "#A23B72",
    "#2E86AB",
    "#F18F01",
    "#6A994E",
    "#BC4B51",
    "#5E60CE",
    "#80B918",
    "#BF4E30",
    "#3D5A80",
    "#9A8C98",
)
_OTHER = "#b3bac2"
_MODES = 14  # colourings that a page offers
_OWN = {"id", "text", *LISTS, "tools", "meta", "embedding", "cluster", "topic", "source"}


def colourings(drawing: Drawing, options: DiversityOptions) -> list[str]:
    """Find what points can be coloured by.

    Args:
        drawing: The drawing.
        options: Options of the report; `colour` comes first.

    Returns:
        `source`, `cluster` and columns that all sets have, at most 14.

    Raises:
        ParameterError: If a wanted column is not one that all sets have.
    """
    extra = _shared_columns(drawing)
    for name in options.colour:
        if name not in {"source", "cluster", *extra}:
            known = ", ".join(["source", "cluster", *extra])
            raise ParameterError(f"colour: {name!r} is not a column that all sets have; there are {known}")
    named = {str(v) for s in drawing.samples for v in pc.unique(s.table["source"]).to_pylist()}
    first = ("source", "cluster") if len(named) > 1 else ("cluster", "source")
    rest = [c for c in (*first, *extra) if c not in options.colour]
    return [*options.colour, *rest][:_MODES]


def _shared_columns(drawing: Drawing) -> list[str]:
    """Columns of numbers, booleans or strings that stages added to all sets."""
    shared = set.intersection(*(set(s.table.column_names) for s in drawing.samples)) - _OWN
    kinds = (pa.types.is_floating, pa.types.is_integer, pa.types.is_boolean, pa.types.is_string)
    fields = drawing.samples[0].table.schema
    return [f.name for f in fields if f.name in shared and any(is_kind(f.type) for is_kind in kinds)]


def colours_of(drawing: Drawing, by: str) -> tuple[list[list[str]], list[tuple[str, str]]]:
    """Colour the points of all samples.

    Args:
        drawing: The drawing.
        by: `source`, `cluster` or a column.

    Returns:
        A colour for each point of each sample, and the legend: names and their colours.
    """
    if _is_number(drawing, by):
        return _ramp(drawing, by)
    shown, names = _categories(drawing, by)
    table_of = {n: PALETTE[i] if n != "other" else _OTHER for i, n in enumerate(names)}
    return [[table_of[n] for n in part] for part in shown], [(n, table_of[n]) for n in names]


def _is_number(drawing: Drawing, by: str) -> bool:
    """Whether a column holds numbers."""
    if by in ("source", "cluster"):
        return False
    kind = drawing.samples[0].table.schema.field(by).type
    return bool(pa.types.is_floating(kind) or pa.types.is_integer(kind))


def _ramp(drawing: Drawing, by: str) -> tuple[list[list[str]], list[tuple[str, str]]]:
    """Colours of numbers, from the 2nd to the 98th percentile."""
    values = [s.table[by].cast(pa.float64()).to_numpy(zero_copy_only=False) for s in drawing.samples]
    finite = np.concatenate([v[np.isfinite(v)] for v in values])
    low, high = np.quantile(finite, [0.02, 0.98]) if len(finite) else (0.0, 1.0)
    ramp = colormaps["viridis"]
    table = [to_hex(ramp(i / 255)) for i in range(256)]
    scaled = [np.clip((v - low) / max(high - low, 1e-12), 0, 1) for v in values]
    colours = [[table[int(255 * x)] if np.isfinite(x) else _OTHER for x in part] for part in scaled]
    return colours, [(f"{low + (high - low) * i / 4:.3g}", table[int(255 * i / 4)]) for i in range(5)]


def _categories(drawing: Drawing, by: str) -> tuple[list[list[str]], list[str]]:
    """Values of each point by a column or by cluster, and the names by size; all past the palette become `other`."""
    values: Sequence[list[str]]
    if by == "cluster":
        values = [[f"{i}: {drawing.topics[i]}" for i in s.labels.tolist()] for s in drawing.samples]
    else:
        values = [[str(v) if v is not None else "(none)" for v in s.table[by].to_pylist()] for s in drawing.samples]
    counts = Counter(name for part in values for name in part)
    ranked = sorted(counts, key=lambda n: (-counts[n], n))
    top = ranked[: len(PALETTE)]
    kept = set(top)
    shown = [[v if v in kept else "other" for v in part] for part in values]
    return shown, [*top, *(["other"] if len(ranked) > len(PALETTE) else [])]
