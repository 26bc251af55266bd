"""The diversity report's maps as one picture."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np

from quality.diversity_report.colours import colourings, colours_of
from quality.diversity_report.drawing import DiversityOptions, Drawing

__all__ = ["draw_figure", "write_picture"]


def write_picture(drawing: Drawing, path: Path, options: DiversityOptions) -> None:
    """The maps side by side on shared axes, as a PNG."""
    import matplotlib

    matplotlib.use("Agg", force=False)
    figure = draw_figure(drawing, colourings(drawing, options)[0])
    figure.savefig(path, dpi=150, bbox_inches="tight")


def draw_figure(drawing: Drawing, by: str) -> Any:
    import io

    from matplotlib import font_manager
    from matplotlib.figure import Figure

    class Map(Figure):
        """A figure that a notebook shows whether or not pyplot is set up there."""

        def _repr_png_(self) -> bytes:
            stream = io.BytesIO()
            self.savefig(stream, format="png", dpi=110, bbox_inches="tight")
            return stream.getvalue()

    colours, legend = colours_of(drawing, by)
    known = {f.name for f in font_manager.fontManager.ttflist}
    fonts = [f for f in ("Noto Sans CJK SC", "WenQuanYi Zen Hei", "PingFang SC", "Microsoft YaHei", "SimHei") if f in known]  # fmt: skip
    figure = Map(figsize=(7 * len(drawing.samples), 7.2))
    axes = figure.subplots(1, len(drawing.samples), sharex=True, sharey=True, squeeze=False)[0]
    for axis, sample, places, colour in zip(axes, drawing.samples, drawing.places, colours, strict=True):
        size = float(np.clip(9000 / len(places), 0.6, 16))
        axis.scatter(places[:, 0], places[:, 1], s=size, c=colour, alpha=0.65, linewidths=0)
        axis.set_title(f"{sample.name}: {len(places):,} of {sample.total:,} records", fontsize=12)
        axis.set_xticks([])
        axis.set_yticks([])
        axis.set_aspect("equal")
        for side in axis.spines.values():
            side.set_color("#d8dee5")
    if len(legend) <= 25:
        from matplotlib.lines import Line2D

        handles = [Line2D([], [], marker="o", linestyle="", color=c, label=n[:40]) for n, c in legend]
        properties = {"family": [*fonts, "sans-serif"], "size": 9}
        figure.legend(handles=handles, loc="lower center", ncols=min(6, len(handles)), frameon=False, prop=properties)
    return figure
