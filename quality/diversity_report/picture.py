"""The diversity report's maps as one picture."""

from __future__ import annotations

import functools
import io
import logging
import warnings
from collections.abc import Iterable
from os import PathLike
from pathlib import Path
from typing import IO

import matplotlib
import numpy as np
from matplotlib import font_manager
from matplotlib.figure import Figure
from matplotlib.font_manager import FontProperties
from matplotlib.lines import Line2D

from quality.diversity_report.colours import colourings, colours_of
from quality.diversity_report.drawing import DiversityOptions, Drawing

__all__ = ["draw_figure", "write_picture"]

logger = logging.getLogger(__name__)

_CHINESE_FONTS = (
    "Noto Sans CJK SC",
    "WenQuanYi Zen Hei",
    "PingFang SC",
    "Microsoft YaHei",
    "SimHei",
    "Noto Sans SC",
    "Source Han Sans SC",
    "Source Han Sans CN",
    "WenQuanYi Micro Hei",
    "Noto Sans CJK JP",
    "Hiragino Sans GB",
    "Heiti SC",
    "Droid Sans Fallback",
    "AR PL UMing CN",
    "Arial Unicode MS",
)
_LONGEST_LEGEND = 25  # entries


def write_picture(drawing: Drawing, path: Path, options: DiversityOptions) -> None:
    """Write the maps side by side on shared axes, as a PNG.

    Args:
        drawing: The drawing.
        path: File to write.
        options: Options of the report.
    """
    matplotlib.use("Agg", force=False)
    draw_figure(drawing, colourings(drawing, options)[0]).savefig(path, dpi=150, bbox_inches="tight")


def draw_figure(drawing: Drawing, by: str) -> Figure:
    """Draw the maps side by side on shared axes.

    Args:
        drawing: The drawing.
        by: What points are coloured by: `source`, `cluster` or a column.

    Returns:
        A matplotlib figure, which a notebook shows whether or not pyplot is set up there.
    """
    colours, legend = colours_of(drawing, by)
    family = _family([*(s.name for s in drawing.samples), *(name for name, _ in legend)])
    figure = Map(figsize=(7 * len(drawing.samples), 7.2))
    axes = figure.subplots(1, len(drawing.samples), sharex=True, sharey=True, squeeze=False)[0]
    for axis, sample, places, colour in zip(axes, drawing.samples, drawing.places, colours, strict=True):
        size = float(np.clip(9000 / len(places), 0.6, 16))
        axis.scatter(places[:, 0], places[:, 1], s=size, c=colour, alpha=0.65, linewidths=0)
        title = f"{sample.name}: {len(places):,} of {sample.total:,} records"
        axis.set_title(title, fontsize=12, fontfamily=family, parse_math=False)
        axis.set_xticks([])
        axis.set_yticks([])
        axis.set_aspect("equal")
        for side in axis.spines.values():
            side.set_color("#d8dee5")
    if len(legend) <= _LONGEST_LEGEND:
        _add_legend(figure, legend, family)
    return figure


def _add_legend(figure: Figure, legend: list[tuple[str, str]], family: list[str]) -> None:
    """Draw the names and their colours below the maps."""
    # matplotlib leaves names out that begin with an underscore, and takes $...$ for a formula
    handles = [Line2D([], [], marker="o", linestyle="", color=c, label=f"name {i}") for i, (_, c) in enumerate(legend)]
    properties = FontProperties(family=family, size=9)
    drawn = figure.legend(
        handles=handles, loc="lower center", ncols=min(6, len(handles)), frameon=False, prop=properties
    )
    for text, (name, _) in zip(drawn.get_texts(), legend, strict=True):
        text.set_parse_math(False)
        text.set_text(name[:40])


class Map(Figure):
    """A figure that a notebook shows whether or not pyplot is set up there.

    It is written without the warning that matplotlib gives for each character that no font has.
    """

    def savefig(
        self, fname: str | PathLike[str] | IO[bytes], *, transparent: bool | None = None, **options: object
    ) -> None:
        """Write the figure; see `matplotlib.figure.Figure.savefig`."""
        with warnings.catch_warnings():
            warnings.filterwarnings("ignore", message="Glyph .* missing from")
            super().savefig(fname, transparent=transparent, **options)

    def _repr_png_(self) -> bytes:
        stream = io.BytesIO()
        self.savefig(stream, format="png", dpi=110, bbox_inches="tight")
        return stream.getvalue()


def _family(labels: Iterable[str]) -> list[str]:
    """Fonts to take characters from, in order; logs once if labels are Chinese and no font is."""
    fonts = _installed()
    if not fonts and any("\u4e00" <= c <= "\u9fff" for label in labels for c in label):
        _say_what_is_missing()
    return [*fonts, "sans-serif"]


@functools.cache
def _installed() -> tuple[str, ...]:
    """Installed fonts with Chinese characters, best first."""
    known = {font.name for font in font_manager.fontManager.ttflist}
    return tuple(name for name in _CHINESE_FONTS if name in known)


@functools.cache
def _say_what_is_missing() -> None:
    logger.warning("no font with Chinese characters is installed, so pictures show boxes: install Noto Sans CJK SC")
