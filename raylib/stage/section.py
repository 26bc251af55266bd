"""Typed blocks of a report: what a stage may show, and the JSON that the report's template reads."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import TypeAlias

__all__ = [
    "Bar",
    "Bars",
    "Block",
    "Histograms",
    "Maps",
    "Matrix",
    "PairOfTexts",
    "Pairs",
    "Scatter",
    "Section",
    "Table",
    "Text",
]

Json: TypeAlias = Mapping[str, object]


@dataclass(frozen=True)
class Text:
    """A paragraph.

    Attributes:
        text: Its text.
        warning: Whether the report draws attention to it.
    """

    text: str
    warning: bool = False

    def to_json(self) -> Json:
        """The block as the template reads it."""
        return {"kind": "text", **({"warning": True} if self.warning else {}), "text": self.text}


@dataclass(frozen=True)
class Bar:
    """A bar of a horizontal bar chart.

    Attributes:
        label: What the bar stands for.
        value: Its length, 0 or more.
        note: Text beside the bar.
    """

    label: str
    value: int
    note: str | None = None

    def to_json(self) -> Json:
        """The bar as the template reads it."""
        row: dict[str, object] = {"label": self.label, "value": self.value}
        return row if self.note is None else {**row, "note": self.note}


@dataclass(frozen=True)
class Bars:
    """A horizontal bar chart.

    Attributes:
        title: Title of the block.
        rows: Bars from top to bottom.
    """

    title: str
    rows: Sequence[Bar]

    def to_json(self) -> Json:
        """The block as the template reads it."""
        return {"kind": "bars", "title": self.title, "rows": [row.to_json() for row in self.rows]}


@dataclass(frozen=True)
class Matrix:
    """Counts of pairs of names.

    Attributes:
        title: Title of the block.
        names: Names of rows and columns, N of them.
        values: Counts, [N, N]; `values[i][j]` belongs to row `names[i]` and column `names[j]`.
    """

    title: str
    names: Sequence[str]
    values: Sequence[Sequence[int]]

    def to_json(self) -> Json:
        """The block as the template reads it."""
        return {"kind": "matrix", "title": self.title, "names": self.names, "values": self.values}


@dataclass(frozen=True)
class Scatter:
    """Points in the unit square.

    Attributes:
        title: Title of the block.
        x: Name of the horizontal axis.
        y: Name of the vertical axis.
        points: Points (x, y), 0 to 1.
    """

    title: str
    x: str
    y: str
    points: Sequence[Sequence[float]]

    def to_json(self) -> Json:
        """The block as the template reads it."""
        return {"kind": "scatter", "title": self.title, "x": self.x, "y": self.y, "points": self.points}


@dataclass(frozen=True)
class Table:
    """Rows of text cells under a head.

    Attributes:
        title: Title of the block.
        head: Cells of the head, C of them.
        rows: Cells of the rows, C in each.
    """

    title: str
    head: Sequence[str]
    rows: Sequence[Sequence[str]]

    def to_json(self) -> Json:
        """The block as the template reads it."""
        return {"kind": "table", "title": self.title, "head": self.head, "rows": self.rows}


@dataclass(frozen=True)
class PairOfTexts:
    """Two texts whose difference the report shows.

    Attributes:
        header: Line above the texts.
        before: The first text.
        after: The second text.
    """

    header: str
    before: str
    after: str

    def to_json(self) -> Json:
        """The pair as the template reads it."""
        return {"header": self.header, "before": self.before, "after": self.after}


@dataclass(frozen=True)
class Pairs:
    """Pairs of texts with their differences.

    Attributes:
        title: Title of the block.
        items: The pairs.
    """

    title: str
    items: Sequence[PairOfTexts]

    def to_json(self) -> Json:
        """The block as the template reads it."""
        return {"kind": "pairs", "title": self.title, "items": [item.to_json() for item in self.items]}


@dataclass(frozen=True)
class Maps:
    """The same points drawn once for each panel; panels after the first fade out points that were not selected.

    Attributes:
        title: Title of the block.
        names: Names that points belong to, most frequent first.
        points: For each point x, y, index of its name, whether it was selected, and its text.
        panels: Titles of the panels.
    """

    title: str
    names: Sequence[str]
    points: Sequence[tuple[float, float, int, bool, str]]
    panels: Sequence[str]

    def to_json(self) -> Json:
        """The block as the template reads it."""
        points = [list(point) for point in self.points]
        return {"kind": "maps", "title": self.title, "names": self.names, "points": points, "panels": self.panels}


@dataclass(frozen=True)
class Histograms:
    """Histograms of columns, each drawn before and after the run.

    Attributes:
        title: Title of the block.
        items: What the template draws of each histogram.
    """

    title: str
    items: Sequence[Json]

    def to_json(self) -> Json:
        """The block as the template reads it; `items` would hide a method of a mapping there."""
        return {"kind": "histograms", "title": self.title, "items_": list(self.items)}


Block: TypeAlias = Text | Bars | Matrix | Scatter | Table | Pairs | Maps | Histograms


@dataclass(frozen=True)
class Section:
    """A stage's part of the report.

    Attributes:
        title: Title of the section.
        blocks: Blocks from top to bottom.
    """

    title: str
    blocks: Sequence[Block]

    def to_json(self) -> Json:
        """The section as `sections.json` holds it."""
        return {"title": self.title, "blocks": [block.to_json() for block in self.blocks]}
