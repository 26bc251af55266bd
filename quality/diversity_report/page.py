"""The diversity report: an interactive page, a picture and the metrics as JSON."""

from __future__ import annotations

import html
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa

from quality.diversity_report.colours import colourings, colours_of
from quality.diversity_report.drawing import DiversityOptions, Drawing, Sample, draw, sample_of
from quality.diversity_report.picture import draw_figure, write_picture
from raylib.schema import text_of

__all__ = ["figure_of", "tsne_figure", "write_report"]


def _hover(sample: Sample) -> list[str]:
    return [(t or "")[:220] for t in text_of(sample.table).to_pylist()]


def write_page(drawing: Drawing, path: Path, options: DiversityOptions) -> None:
    """One HTML file that needs no network: linked maps with hover, zoom and colour switching, and the numbers."""
    from bokeh.embed import file_html
    from bokeh.layouts import column, gridplot, row
    from bokeh.models import ColumnDataSource, CustomJS, Div, HoverTool, Range1d, Select
    from bokeh.plotting import figure
    from bokeh.resources import INLINE

    modes = colourings(drawing, options)
    everything = np.concatenate(drawing.places)
    pad = 0.04 * float(np.ptp(everything, axis=0).max())
    low, high = everything.min(axis=0) - pad, everything.max(axis=0) + pad
    ranges = {"x_range": Range1d(*map(float, (low[0], high[0]))), "y_range": Range1d(*map(float, (low[1], high[1])))}
    coloured = {by: colours_of(drawing, by) for by in modes}
    sources, plots = [], []
    size = float(np.clip(220 / np.sqrt(max(len(p) for p in drawing.places)), 1.5, 7))
    for k, (sample, places) in enumerate(zip(drawing.samples, drawing.places, strict=True)):
        data: dict[str, Any] = {"x": places[:, 0], "y": places[:, 1], "text": _hover(sample), "id": sample.table["id"].to_pylist(), "source": sample.table["source"].to_pylist(), "cluster": [f"{i}: {drawing.topics[i]}" for i in sample.labels.tolist()]}  # fmt: skip
        for by in modes:
            data[f"colour_{by}"] = coloured[by][0][k]
        data["colour"] = data[f"colour_{modes[0]}"]
        source = ColumnDataSource(data, name=f"points{k}")
        plot = figure(
            width=560, height=560, title=f"{sample.name}: {len(places):,} of {sample.total:,} records",
            tools="pan,wheel_zoom,box_zoom,reset,save", active_scroll="wheel_zoom", output_backend="canvas",
            name=f"map{k}", background_fill_color="#fbfcfd", **ranges,
        )  # fmt: skip
        points = plot.scatter("x", "y", source=source, size=size, color="colour", alpha=0.65, line_color=None)
        plot.add_tools(HoverTool(renderers=[points], tooltips='<div style="max-width:420px"><b>@source</b> · @cluster · @id<br>@text</div>'))  # fmt: skip
        plot.axis.visible = False
        plot.grid.grid_line_color = "#eef1f4"
        sources.append(source)
        plots.append(plot)
    legends = {by: "".join(f'<span style="white-space:nowrap;margin-right:14px"><i style="background:{c};display:inline-block;width:11px;height:11px;border-radius:6px;margin-right:5px"></i>{html.escape(n)}</span>' for n, c in coloured[by][1]) for by in modes}  # fmt: skip
    legend = Div(text=legends[modes[0]], width=1140, name="legend")
    select = Select(title="Colour by", value=modes[0], options=modes, name="colour", width=220)
    select.js_on_change(
        "value",
        CustomJS(
            args={"sources": sources, "legend": legend, "legends": legends},
            code="for (const s of sources) { s.data = {...s.data, colour: s.data['colour_' + this.value]} } legend.text = legends[this.value]",
        ),
    )
    head = Div(text=_head(drawing), width=1140)
    layout = column(head, row(select), legend, gridplot([plots], merge_tools=True, toolbar_location="right"), row(*_charts(drawing)), Div(text=_closing(drawing, options), width=1140))  # fmt: skip
    path.write_text(file_html(layout, INLINE, title="Diversity report"), "utf-8")


def _head(drawing: Drawing) -> str:
    from quality.selection.selection_report import metric_table

    table = metric_table(drawing.metrics, "")
    cell = 'style="padding:3px 18px 3px 0;text-align:right"'
    first = 'style="padding:3px 18px 3px 0"'
    rows = "".join("<tr>" + "".join(f"<td {first if i == 0 else cell}>{html.escape(str(c))}</td>" for i, c in enumerate(r)) + "</tr>" for r in table["rows"])  # fmt: skip
    heads = "".join(f"<th {cell}>{html.escape(h)}</th>" for h in table["head"])
    return f'<h1 style="font:600 24px system-ui;margin:8px 0 2px">Diversity</h1><p style="color:#5d6b7e;margin:0 0 10px">{html.escape(" → ".join(s.name for s in drawing.samples))}</p><table style="border-collapse:collapse;font:14px system-ui">{"<tr>" + heads + "</tr>"}{rows}</table>'  # fmt: skip


def _charts(drawing: Drawing) -> list[Any]:
    """Cluster sizes and nearest-neighbour distances of all sets."""
    from bokeh.models import HoverTool
    from bokeh.plotting import figure

    shades = ("#0072B2", "#009E73", "#D55E00", "#CC79A7")
    shares = [np.bincount(s.labels, minlength=len(drawing.centroids)) / max(len(s.labels), 1) for s in drawing.samples]
    order = np.argsort(-shares[0], kind="stable")[:40]
    bars = figure(width=560, height=300, title="Share of records a cluster (largest of the first set)", tools="save", y_axis_label="share")  # fmt: skip
    width = 0.8 / len(shares)
    for k, (sample, part) in enumerate(zip(drawing.samples, shares, strict=True)):
        data = {"x": [i + k * width for i in range(len(order))], "top": part[order].tolist(), "topic": [drawing.topics[i] for i in order]}  # fmt: skip
        glyph = bars.vbar(x="x", top="top", width=width, source=data, color=shades[k % 4], legend_label=sample.name)
        bars.add_tools(HoverTool(renderers=[glyph], tooltips="@topic: @top{0.0%}"))
    bars.xaxis.visible = False
    lines = figure(width=560, height=300, title="Distance to the nearest neighbour (1 - cosine)", tools="save", y_axis_label="share")  # fmt: skip
    top = max([float(np.quantile(d, 0.995)) for d in drawing.distances if len(d)] or [1.0])
    for k, (sample, distance) in enumerate(zip(drawing.samples, drawing.distances, strict=True)):
        counts, edges = np.histogram(distance, bins=40, range=(0.0, max(top, 1e-6)))
        lines.line((edges[:-1] + edges[1:]) / 2, counts / max(counts.sum(), 1), line_width=2.5, color=shades[k % 4], legend_label=sample.name)  # fmt: skip
    for plot in (bars, lines):
        plot.legend.label_text_font_size = "11px"
        plot.grid.grid_line_color = "#eef1f4"
    return [bars, lines]


def _closing(drawing: Drawing, options: DiversityOptions) -> str:
    words = f"t-SNE (perplexity {options.perplexity:g}, seed {options.seed}) of both sets together after PCA to 50 dimensions; embedding: {drawing.embedding}; {len(drawing.centroids)} clusters fitted on the first set. Metrics are of the same number of records of each set, drawn uniformly."  # fmt: skip
    return f'<p style="color:#5d6b7e;font:13px system-ui;max-width:1100px">{html.escape(words)}</p>'


def tsne_figure(
    sets: Mapping[str, Iterable[pa.Table]],
    out: str | Path | None,
    *,
    points: int,
    embedding: str,
    seed: int,
    colour: tuple[str, ...],
) -> Any:
    """Draw `points` records from each set and map them together: what `Dataset.plot_tsne` shows."""
    samples = [sample_of(name, tables, points, seed) for name, tables in sets.items()]
    return figure_of(samples, DiversityOptions(points=points, embedding=embedding, seed=seed, colour=colour), out)


def figure_of(samples: list[Sample], options: DiversityOptions, out: str | Path | None = None) -> Any:
    """The maps as a matplotlib figure; with `out` also the page and the picture in that folder."""
    drawing = draw(samples, options)
    if out is not None:
        _write(drawing, Path(out), options)
    return draw_figure(drawing, colourings(drawing, options)[0])


def write_report(samples: list[Sample], out: str | Path, options: DiversityOptions | None = None) -> dict[str, Any]:
    """Draw sets and write `diversity.html`, `diversity.png` and `diversity.json` (metrics) into a folder."""
    options = options or DiversityOptions()
    return _write(draw(samples, options), Path(out), options)


def _write(drawing: Drawing, folder: Path, options: DiversityOptions) -> dict[str, Any]:
    import orjson

    folder.mkdir(parents=True, exist_ok=True)
    write_page(drawing, folder / "diversity.html", options)
    write_picture(drawing, folder / "diversity.png", options)
    facts = {"embedding": drawing.embedding, "clusters": len(drawing.centroids), "metrics": drawing.metrics}
    (folder / "diversity.json").write_bytes(orjson.dumps(facts, option=orjson.OPT_INDENT_2))
    return facts
