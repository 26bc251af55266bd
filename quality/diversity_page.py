"""The diversity report: two sets in the same embedding space, on one self-contained page and as a picture."""

from __future__ import annotations

import html
import itertools
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from dedup.semantic import fit_centroids, nearest_centroid
from quality.clustering import class_keywords, default_clusters
from quality.diversity import metrics_of, nearest_neighbour_distances
from quality.embedding import Embed, embedding_matrix
from quality.tsne import project
from quality.words import segment
from raylib.schema import text_of

__all__ = ["DiversityOptions", "Sample", "draw", "figure_of", "sample_of", "write_report"]

Matrix = np.ndarray[Any, Any]


@dataclass(frozen=True)
class DiversityOptions:
    """points: drawn at random from each set. embedding: a column of the records, `tfidf`, or a sentence-transformers
    model by path; empty: the column `embedding` where both sets have it, tfidf otherwise. clusters: 0: half the square
    root of the points. perplexity, seed: of t-SNE."""

    points: int = 20_000
    embedding: str = ""
    clusters: int = 0
    perplexity: float = 35.0
    seed: int = 0
    colour: tuple[str, ...] = ()


@dataclass
class Sample:
    """Records drawn from a set, uniformly, and how many it has."""

    name: str
    total: int
    table: pa.Table
    vectors: Matrix | None = None
    labels: Matrix = field(default_factory=lambda: np.zeros(0, np.int64))


def sample_of(name: str, tables: Iterable[pa.Table], size: int, seed: int) -> Sample:
    """The records with the smallest hashes of their ids: the same ones whatever the order of files."""
    from dedup.folding import id_hashes

    held: pa.Table | None = None
    total = 0
    for table in tables:
        total += len(table)
        keyed = table.append_column("__key", pa.array(id_hashes(table, seed)))
        held = keyed if held is None else pa.concat_tables([held, keyed], promote_options="default")
        if len(held) > 2 * size:
            held = _smallest(held, size)
    if held is None or len(held) == 0:
        raise ValueError(f"{name}: no records")
    return Sample(name, total, _smallest(held, size).drop_columns(["__key"]))


def _smallest(table: pa.Table, size: int) -> pa.Table:
    order = np.argsort(table["__key"].to_numpy(), kind="stable")[:size]
    return table.take(pa.array(order)).combine_chunks()


@dataclass(frozen=True)
class _Together:
    """A SketchStore of one table, to fit the built-in embedding on."""

    table: pa.Table

    def tables(self) -> Iterator[pa.Table]:
        yield self.table

    def shared(self) -> Iterator[pa.Table]:
        return iter(())

    def facts(self, nodes: Matrix, columns: Sequence[str] | None = None) -> pa.Table:
        raise NotImplementedError

    def texts(self, nodes: Matrix) -> list[str]:
        raise NotImplementedError


def embed_samples(samples: Sequence[Sample], options: DiversityOptions) -> str:
    """Give every sample vectors of one and the same space; returns which."""
    if not options.embedding or options.embedding == "embedding":
        if all("embedding" in s.table.column_names for s in samples):
            for s in samples:
                s.vectors = embedding_matrix(s.table)
            widths = {s.vectors.shape[1] for s in samples if s.vectors is not None}
            if len(widths) > 1:
                raise ValueError(f"the embeddings of the sets have different widths: {sorted(widths)}; name one with --embedding")  # fmt: skip
            return "column embedding"
        if options.embedding:
            raise ValueError("not all sets have the column 'embedding'; use --embedding tfidf or a model")
    model = options.embedding or "tfidf"
    stage = Embed(model=model, seed=options.seed)
    shared: list[pa.Table] = []
    plain = [s.table.drop_columns([c for c in ("embedding",) if c in s.table.column_names]) for s in samples]
    if model == "tfidf":
        # fitted on the first set alone, as a reader expects of "before"; small ones on all of it
        sketch = stage.sketch(plain[0])
        if len(sketch) < min(len(plain[0]), 2000):
            key = np.arange(len(plain[0]), dtype=np.uint64)
            texts = pc.utf8_slice_codeunits(text_of(plain[0]), 0, stage.max_characters)
            sketch = pa.table({"row": pa.array(key.astype(np.int32)), "key": pa.array(key), "text": texts})
        fit = stage.rounds()[0].step(
            _Together(sketch.append_column("shard", pa.array(np.zeros(len(sketch), np.int32))))
        )
        shared = [fit.rows]
    apply = stage.applier(shared)
    for s, table in zip(samples, plain, strict=True):
        s.vectors = embedding_matrix(apply(table, pa.table({"row": pa.array([], pa.int32())})).kept)
    return model


@dataclass(frozen=True)
class Drawing:
    """Everything that the page and the picture show."""

    samples: list[Sample]
    places: list[Matrix]
    centroids: Matrix
    topics: list[str]
    metrics: dict[str, dict[str, Any]]
    distances: list[Matrix]
    embedding: str


def draw(samples: list[Sample], options: DiversityOptions) -> Drawing:
    """Embed, cluster, measure and project samples of sets."""
    embedding = embed_samples(samples, options)
    vectors = [s.vectors for s in samples if s.vectors is not None]
    count = options.clusters or default_clusters(len(vectors[0]))
    centroids = fit_centroids(vectors[0], min(count, max(1, len(vectors[0]) // 5)), options.seed)
    words: dict[int, dict[str, int]] = {}
    for s, matrix in zip(samples, vectors, strict=True):
        s.labels = nearest_centroid(matrix, centroids)[0]
        for text, label in zip(text_of(s.table).to_pylist()[:20_000], s.labels.tolist(), strict=False):
            row = words.setdefault(label, {})
            if len(row) < 20_000:
                for word in set(segment((text or "")[:1000])):
                    row[word] = row.get(word, 0) + 1
    named = class_keywords(words, 5)
    topics = [" ".join(named.get(i, [])) for i in range(len(centroids))]
    # one projection of both sets together, so that a place means the same on both maps
    places = project(np.concatenate(vectors), perplexity=options.perplexity, seed=options.seed)
    borders = np.cumsum([0, *(len(v) for v in vectors)])
    # distances shrink as a set grows, so sets are compared at the size of the smallest
    same = min(len(v) for v in vectors)
    metrics = {s.name: metrics_of(v[:same], s.labels[:same], len(centroids), seed=options.seed) | {"total": s.total} for s, v in zip(samples, vectors, strict=True)}  # fmt: skip
    distances = [nearest_neighbour_distances(v[:same], seed=options.seed) for v in vectors]
    parts = [places[a:b] for a, b in itertools.pairwise(borders)]
    return Drawing(samples, parts, centroids, topics, metrics, distances, embedding)


PALETTE = ("#0072B2", "#E69F00", "#009E73", "#CC79A7", "#D55E00", "#56B4E9", "#8B6BC9", "#B8A600", "#7A5C3E", "#4C9F70",
           "#A23B72", "#2E86AB", "#F18F01", "#6A994E", "#BC4B51", "#5E60CE", "#80B918", "#BF4E30", "#3D5A80", "#9A8C98")  # fmt: skip
_OTHER = "#b3bac2"


def _categories(drawing: Drawing, by: str) -> tuple[list[list[str]], list[str]]:
    """Values of each point by a column or by cluster, and the names by size; all past the palette become `other`."""
    if by == "cluster":
        values = [[f"{i}: {drawing.topics[i]}" for i in s.labels.tolist()] for s in drawing.samples]
    else:
        values = [[str(v) if v is not None else "(none)" for v in s.table[by].to_pylist()] for s in drawing.samples]
    counts: dict[str, int] = {}
    for part in values:
        for name in part:
            counts[name] = counts.get(name, 0) + 1
    ranked = sorted(counts, key=lambda n: (-counts[n], n))
    top = set(ranked[: len(PALETTE)])
    shown = [[v if v in top else "other" for v in part] for part in values]
    return shown, ranked[: len(PALETTE)] + (["other"] if len(ranked) > len(PALETTE) else [])


def _colourings(drawing: Drawing, options: DiversityOptions) -> list[str]:
    """What points can be coloured by: source, cluster, then the columns that all sets have."""
    shared = set.intersection(*(set(s.table.column_names) for s in drawing.samples))
    own = {"id", "text", "messages", "prompt", "chosen", "rejected", "meta", "embedding", "cluster", "topic"}
    kinds = (pa.types.is_floating, pa.types.is_integer, pa.types.is_boolean, pa.types.is_string)
    extra = [c for c in drawing.samples[0].table.column_names if c in shared - own - {"source"} and any(k(drawing.samples[0].table.schema.field(c).type) for k in kinds)]  # fmt: skip
    for name in options.colour:
        if name not in {"source", "cluster", *extra}:
            raise ValueError(f"colour: {name!r} is no column that all sets have; there are source, cluster, {', '.join(extra)}")  # fmt: skip
    named = {str(v) for s in drawing.samples for v in pc.unique(s.table["source"]).to_pylist()}
    first = ("source", "cluster") if len(named) > 1 else ("cluster", "source")
    rest = [c for c in (*first, *extra) if c not in options.colour]
    return [*options.colour, *rest][:14]


def _is_number(drawing: Drawing, by: str) -> bool:
    if by in ("source", "cluster"):
        return False
    kind = drawing.samples[0].table.schema.field(by).type
    return bool(pa.types.is_floating(kind) or pa.types.is_integer(kind))


def _colours(drawing: Drawing, by: str) -> tuple[list[list[str]], list[tuple[str, str]]]:
    """A colour for each point of each sample, and the legend."""
    if _is_number(drawing, by):
        from matplotlib import colormaps
        from matplotlib.colors import to_hex

        values = [s.table[by].cast(pa.float64()).to_numpy(zero_copy_only=False) for s in drawing.samples]
        finite = np.concatenate([v[np.isfinite(v)] for v in values])
        low, high = np.quantile(finite, [0.02, 0.98]) if len(finite) else (0.0, 1.0)
        ramp = colormaps["viridis"]
        table = [to_hex(ramp(i / 255)) for i in range(256)]
        scaled = [np.clip((v - low) / max(high - low, 1e-12), 0, 1) for v in values]
        colours = [[table[int(255 * x)] if np.isfinite(x) else _OTHER for x in part] for part in scaled]
        legend = [(f"{low + (high - low) * i / 4:.3g}", table[int(255 * i / 4)]) for i in range(5)]
        return colours, legend
    shown, names = _categories(drawing, by)
    table_of = {n: PALETTE[i] if n != "other" else _OTHER for i, n in enumerate(names)}
    return [[table_of[n] for n in part] for part in shown], [(n, table_of[n]) for n in names]


def _hover(sample: Sample) -> list[str]:
    return [(t or "")[:220] for t in text_of(sample.table).to_pylist()]


def write_page(drawing: Drawing, path: Path, options: DiversityOptions) -> None:
    """One HTML file that needs no network: linked maps with hover, zoom and colour switching, and the numbers."""
    from bokeh.embed import file_html
    from bokeh.layouts import column, gridplot, row
    from bokeh.models import ColumnDataSource, CustomJS, Div, HoverTool, Range1d, Select
    from bokeh.plotting import figure
    from bokeh.resources import INLINE

    modes = _colourings(drawing, options)
    everything = np.concatenate(drawing.places)
    pad = 0.04 * float(np.ptp(everything, axis=0).max())
    low, high = everything.min(axis=0) - pad, everything.max(axis=0) + pad
    ranges = {"x_range": Range1d(*map(float, (low[0], high[0]))), "y_range": Range1d(*map(float, (low[1], high[1])))}
    coloured = {by: _colours(drawing, by) for by in modes}
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
    from quality.selection_report import metric_table

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


def write_picture(drawing: Drawing, path: Path, options: DiversityOptions) -> None:
    """The maps side by side on shared axes, as a PNG."""
    import matplotlib

    matplotlib.use("Agg", force=False)
    figure = _figure(drawing, _colourings(drawing, options)[0])
    figure.savefig(path, dpi=150, bbox_inches="tight")


def _figure(drawing: Drawing, by: str) -> Any:
    import io

    from matplotlib import font_manager
    from matplotlib.figure import Figure

    class Map(Figure):
        """A figure that a notebook shows whether or not pyplot is set up there."""

        def _repr_png_(self) -> bytes:
            stream = io.BytesIO()
            self.savefig(stream, format="png", dpi=110, bbox_inches="tight")
            return stream.getvalue()

    colours, legend = _colours(drawing, by)
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


def figure_of(samples: list[Sample], options: DiversityOptions, out: str | Path | None = None) -> Any:
    """The maps as a matplotlib figure; with `out` also the page and the picture in that folder."""
    drawing = draw(samples, options)
    if out is not None:
        _write(drawing, Path(out), options)
    return _figure(drawing, _colourings(drawing, options)[0])


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
