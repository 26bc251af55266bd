"""Charts below the maps of the diversity page: cluster sizes and nearest-neighbour distances."""

from __future__ import annotations

import numpy as np
from bokeh.models import HoverTool
from bokeh.plotting import figure

from quality.diversity_report.drawing import Drawing

__all__ = ["charts_of"]

_SHADES = ("#0072B2", "#009E73", "#D55E00", "#CC79A7")
_LARGEST = 40  # clusters of the bar chart
_SIZE = {"width": 560, "height": 300}


def charts_of(drawing: Drawing) -> list[figure]:
    """Draw cluster sizes and nearest-neighbour distances of all sets."""
    plots = [_cluster_sizes(drawing), _distances(drawing)]
    for plot in plots:
        plot.legend.label_text_font_size = "11px"
        plot.grid.grid_line_color = "#eef1f4"
    return plots


def _cluster_sizes(drawing: Drawing) -> figure:
    """Share of records of the largest clusters of the first set."""
    shares = [np.bincount(s.labels, minlength=len(drawing.centroids)) / max(len(s.labels), 1) for s in drawing.samples]
    order = np.argsort(-shares[0], kind="stable")[:_LARGEST]
    title = "Share of records a cluster (largest of the first set)"
    plot = figure(**_SIZE, title=title, tools="save", y_axis_label="share")
    width = 0.8 / len(shares)
    for k, (sample, part) in enumerate(zip(drawing.samples, shares, strict=True)):
        data = {
            "x": [i + k * width for i in range(len(order))],
            "top": part[order].tolist(),
            "topic": [drawing.topics[i] for i in order],
        }
        shade = _SHADES[k % len(_SHADES)]
        glyph = plot.vbar(x="x", top="top", width=width, source=data, color=shade, legend_label=sample.name)
        plot.add_tools(HoverTool(renderers=[glyph], tooltips="@topic: @top{0.0%}"))
    plot.xaxis.visible = False
    return plot


def _distances(drawing: Drawing) -> figure:
    """Histograms of the distances to the nearest neighbour."""
    title = "Distance to the nearest neighbour (1 - cosine)"
    plot = figure(**_SIZE, title=title, tools="save", y_axis_label="share")
    top = max([float(np.quantile(d, 0.995)) for d in drawing.distances if len(d)] or [1.0])
    for k, (sample, distance) in enumerate(zip(drawing.samples, drawing.distances, strict=True)):
        counts, edges = np.histogram(distance, bins=40, range=(0.0, max(top, 1e-6)))
        middles, shares = (edges[:-1] + edges[1:]) / 2, counts / max(counts.sum(), 1)
        plot.line(middles, shares, line_width=2.5, color=_SHADES[k % len(_SHADES)], legend_label=sample.name)
    return plot
