"""Sections of a report as the template draws them: shares of bars, shades of cells, places of points, differences.

This module and `raylib.stage.section` are the only ones that know the kinds of blocks.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from raylib.report.difference import difference
from raylib.stage.section import (
    Bar,
    Bars,
    Block,
    Histograms,
    Maps,
    Matrix,
    PairOfTexts,
    Pairs,
    Scatter,
    Section,
    Table,
    Text,
)

__all__ = ["DrawnSection", "drawn_section", "read_section"]


Json = Mapping[str, Any]
_SIDE = 1000  # of a map
_RADIUS = 5
_MARGIN = 15

# Okabe and Ito's colours, which people with any kind of colour vision can tell apart, and a few more
_COLOURS = (
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
)
_OTHERS = "#9aa3ad"


@dataclass(frozen=True)
class DrawnSection:
    """A section for the template.

    Attributes:
        name: Label of the stage.
        heading: What is written above the section.
        blocks: JSON of each block, with what the template needs to draw it.
    """

    name: str
    heading: str
    blocks: Sequence[Json]


def read_section(data: Json) -> Section:
    """Read the JSON of a section, as `Section.to_json` writes it.

    Args:
        data: `title` and `blocks`. A block of an unknown kind becomes a warning.

    Returns:
        The section.
    """
    return Section(data["title"], [_read_block(block) for block in data["blocks"]])


def _read_block(data: Json) -> Block:
    read = _READERS.get(data["kind"])
    return read(data) if read else Text(f"A block of kind {data['kind']!r} cannot be drawn.", warning=True)


_READERS: Mapping[str, Callable[[Json], Block]] = {
    "text": lambda d: Text(d["text"], bool(d.get("warning"))),
    "bars": lambda d: Bars(d["title"], [Bar(row["label"], row["value"], row.get("note")) for row in d["rows"]]),
    "matrix": lambda d: Matrix(d["title"], d["names"], d["values"]),
    "scatter": lambda d: Scatter(d["title"], d["x"], d["y"], d["points"]),
    "table": lambda d: Table(d["title"], d["head"], d["rows"]),
    "pairs": lambda d: Pairs(d["title"], [PairOfTexts(i["header"], i["before"], i["after"]) for i in d["items"]]),
    "maps": lambda d: Maps(d["title"], d["names"], d["points"], d["panels"]),
    "histograms": lambda d: Histograms(d["title"], d["items_"]),
}


def drawn_section(name: str, section: Section, *, own: bool = False) -> DrawnSection:
    """Prepare a section for the template.

    Args:
        name: Label of the stage.
        section: What the stage shows.
        own: Whether the section belongs to the report and not to a stage, so that its title stands alone.

    Returns:
        The section with shares, shades, places and differences.
    """
    heading = section.title if own else f"{name}: {section.title.lower()}"
    return DrawnSection(name, heading, [{**block.to_json(), **_drawing(block)} for block in section.blocks])


def _drawing(block: Block) -> Json:
    """What the template needs of a block besides its JSON."""
    if isinstance(block, Bars):
        top = max([row.value for row in block.rows] or [1])
        return {"rows": [{**row.to_json(), "share": 100 * row.value / max(top, 1e-12)} for row in block.rows]}
    if isinstance(block, Matrix):
        top = max([value for row in block.values for value in row] or [1])
        return {"cells": [[(value, round((value / max(top, 1)) ** 0.5, 3)) for value in row] for row in block.values]}
    if isinstance(block, Pairs):
        return {"items": [{**pair.to_json(), "html": difference(pair.before, pair.after)} for pair in block.items]}
    if isinstance(block, Maps):
        return _maps(block)
    return {}


def _maps(block: Maps) -> Json:
    """A panel of points for each title: all of them in the first, the others faded in the next ones."""
    xs, ys = [p[0] for p in block.points] or [0.0], [p[1] for p in block.points] or [0.0]
    low_x, low_y = min(xs), min(ys)
    width, height = max(max(xs) - low_x, 1e-6), max(max(ys) - low_y, 1e-6)
    colours = [_COLOURS[i] if i < len(_COLOURS) else _OTHERS for i in range(max(len(block.names), 1))]
    panels = []
    for number, title in enumerate(block.panels):
        shown = []
        for x, y, name, selected, text in sorted(block.points, key=lambda p: p[3]):
            faded = number > 0 and not selected
            shown.append(
                {
                    "x": round(_SIDE * (x - low_x) / width, 1),
                    "y": round(_SIDE * (y - low_y) / height, 1),
                    "colour": _OTHERS if faded else colours[name],
                    "alpha": 0.12 if faded else 0.7,
                    "text": f"{block.names[name]}: {text}",
                }
            )
        count = len(block.points) if number == 0 else sum(bool(p[3]) for p in block.points)
        panels.append({"title": title, "points": shown, "count": count})
    size = _SIDE + 2 * _MARGIN
    return {"drawn": panels, "colours": colours, "view": f"-{_MARGIN} -{_MARGIN} {size} {size}", "radius": _RADIUS}
