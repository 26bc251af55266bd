"""The diversity report as an interactive page: linked maps with hover, zoom and a choice of colours."""

from __future__ import annotations

import html
import json
import re
from pathlib import Path

import numpy as np
from bokeh.embed import file_html
from bokeh.layouts import column, gridplot, row
from bokeh.models import ColumnDataSource, Div, HoverTool, Range1d, Select
from bokeh.plotting import figure
from bokeh.resources import INLINE

from quality.diversity_report.charts import charts_of
from quality.diversity_report.colours import colourings, colours_of
from quality.diversity_report.drawing import DiversityOptions, Drawing, Sample
from quality.selection.selection_report import metric_table
from raylib.content_policy import page_policy, script_source
from raylib.schema import text_of

__all__ = ["write_page"]

_HOVER = '<div style="max-width:420px"><b>@source</b> · @cluster · @id<br>@text</div>'
# A callback of Bokeh would be compiled from its text, which a policy without 'unsafe-eval' forbids.
_RECOLOUR = """
(function wire() {
  const page = window.Bokeh && Bokeh.documents[0], select = page && page.get_model_by_name("colour");
  if (!select) { setTimeout(wire, 50); return }
  const legends = JSON.parse(document.getElementById("legends").textContent);
  select.connect(select.properties.value.change, () => {
    page.get_model_by_name("legend").text = legends[select.value];
    for (let i = 0, points; (points = page.get_model_by_name("points" + i)); i++)
      points.data = {...points.data, colour: points.data["colour_" + select.value]};
  });
})();
"""
_WIDTH = 1140
_SWATCH = (
    '<span style="white-space:nowrap;margin-right:14px"><i style="background:{colour};display:inline-block;width:11px;'
    'height:11px;border-radius:6px;margin-right:5px"></i>{name}</span>'
)
_HEAD = (
    '<h1 style="font:600 24px system-ui;margin:8px 0 2px">Diversity</h1>'
    '<p style="color:#5d6b7e;margin:0 0 10px">{sets}</p>'
    '<table style="border-collapse:collapse;font:14px system-ui"><tr>{heads}</tr>{rows}</table>'
)
_FIRST_CELL = 'style="padding:3px 18px 3px 0"'
_CELL = 'style="padding:3px 18px 3px 0;text-align:right"'
_CLOSING = '<p style="color:#5d6b7e;font:13px system-ui;max-width:1100px">{words}</p>'


def write_page(drawing: Drawing, path: Path, options: DiversityOptions) -> None:
    """Write one HTML file that needs no network.

    Args:
        drawing: The drawing.
        path: File to write.
        options: Options of the report.

    Raises:
        ParameterError: If a wanted colour is not a column that all sets have.
    """
    modes = colourings(drawing, options)
    coloured = {by: colours_of(drawing, by) for by in modes}
    colours = {by: coloured[by][0] for by in modes}
    plots = _maps(drawing, colours)
    legends = _legends({by: coloured[by][1] for by in modes})
    legend = Div(text=legends[modes[0]], width=_WIDTH, name="legend", disable_math=True)
    select = Select(title="Colour by", value=modes[0], options=modes, name="colour", width=220)
    layout = column(
        Div(text=_head(drawing), width=_WIDTH, disable_math=True),
        row(select),
        legend,
        gridplot([plots], merge_tools=True, toolbar_location="right"),
        row(*charts_of(drawing)),
        Div(text=_closing(drawing, options), width=_WIDTH, disable_math=True),
    )
    path.write_text(_under_policy(file_html(layout, INLINE, title="Diversity report"), legends), "utf-8")


def _under_policy(page: str, legends: dict[str, str]) -> str:
    """The page with the script that changes colours, and a policy under which its own scripts alone run.

    Bokeh escapes every sign of markup in the data that it puts into a page.
    """
    held = json.dumps(legends, ensure_ascii=False).replace("<", "\\u003c")
    own = f'<script type="application/json" id="legends">{held}</script><script>{_RECOLOUR}</script>'
    head, body, rest = page.rpartition("</body>")
    page = f"{head}{own}{body}{rest}"
    scripts = re.findall(r"<script>(.*?)</script>", page, re.DOTALL)
    policy = page_policy(*map(script_source, scripts))
    return page.replace("<head>", f'<head><meta http-equiv="Content-Security-Policy" content="{policy}">', 1)


def _maps(drawing: Drawing, colours: dict[str, list[list[str]]]) -> list[figure]:
    """Map of each set, on shared axes."""
    everything = np.concatenate(drawing.places)
    pad = 0.04 * float(np.ptp(everything, axis=0).max())
    low, high = everything.min(axis=0) - pad, everything.max(axis=0) + pad
    ranges = {f"{axis}_range": Range1d(float(low[i]), float(high[i])) for i, axis in enumerate("xy")}
    size = float(np.clip(220 / np.sqrt(max(len(p) for p in drawing.places)), 1.5, 7))
    plots = []
    for k, sample in enumerate(drawing.samples):
        data = _points(drawing, k) | {f"colour_{by}": parts[k] for by, parts in colours.items()}
        data["colour"] = next(iter(colours.values()))[k]
        source = ColumnDataSource(data, name=f"points{k}")
        title = f"{sample.name}: {len(drawing.places[k]):,} of {sample.total:,} records"
        plots.append(_map(source, f"map{k}", title, size, ranges))
    return plots


def _points(drawing: Drawing, k: int) -> dict[str, object]:
    """Places of the points of one set, and the words that appear on hover."""
    sample, places = drawing.samples[k], drawing.places[k]
    return {
        "x": places[:, 0],
        "y": places[:, 1],
        "text": _hover(sample),
        "id": sample.table["id"].to_pylist(),
        "source": sample.table["source"].to_pylist(),
        "cluster": [f"{i}: {drawing.topics[i]}" for i in sample.labels.tolist()],
    }


def _hover(sample: Sample) -> list[str]:
    """The start of each text."""
    return [(t or "")[:220] for t in text_of(sample.table).to_pylist()]


def _map(source: ColumnDataSource, name: str, title: str, size: float, ranges: dict[str, Range1d]) -> figure:
    """The map of one set."""
    plot = figure(
        width=560,
        height=560,
        title=title,
        tools="pan,wheel_zoom,box_zoom,reset,save",
        active_scroll="wheel_zoom",
        output_backend="canvas",
        name=name,
        background_fill_color="#fbfcfd",
        **ranges,
    )
    points = plot.scatter("x", "y", source=source, size=size, color="colour", alpha=0.65, line_color=None)
    plot.add_tools(HoverTool(renderers=[points], tooltips=_HOVER))
    plot.axis.visible = False
    plot.grid.grid_line_color = "#eef1f4"
    return plot


def _legends(names: dict[str, list[tuple[str, str]]]) -> dict[str, str]:
    """The legend of each way to colour, as HTML."""
    return {
        by: "".join(_SWATCH.format(colour=colour, name=html.escape(name)) for name, colour in entries)
        for by, entries in names.items()
    }


def _head(drawing: Drawing) -> str:
    """Title and table of metrics."""
    table = metric_table(drawing.metrics, "")
    rows = []
    for values in table.rows:
        cells = (f"<td {_CELL if i else _FIRST_CELL}>{html.escape(str(c))}</td>" for i, c in enumerate(values))
        rows.append("<tr>" + "".join(cells) + "</tr>")
    heads = "".join(f"<th {_CELL}>{html.escape(h)}</th>" for h in table.head)
    sets = html.escape(" → ".join(s.name for s in drawing.samples))
    return _HEAD.format(sets=sets, heads=heads, rows="".join(rows))


def _closing(drawing: Drawing, options: DiversityOptions) -> str:
    """How the maps and metrics were made."""
    words = (
        f"t-SNE (perplexity {options.perplexity:g}, seed {options.seed}) of both sets together after PCA to 50 "
        f"dimensions; embedding: {drawing.embedding}; {len(drawing.centroids)} clusters fitted on the first set. "
        "Metrics are of the same number of records of each set, drawn uniformly."
    )
    return _CLOSING.format(words=html.escape(words))
