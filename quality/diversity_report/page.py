"""The diversity report of one or more sets: page, picture, and metrics as JSON."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import TYPE_CHECKING, TypedDict

import orjson
import pyarrow as pa

from quality.diversity_report.colours import colourings
from quality.diversity_report.drawing import DiversityOptions, Drawing, DrawnMetrics, Sample, draw, sample_of
from quality.diversity_report.picture import draw_figure, write_picture

if TYPE_CHECKING:
    from matplotlib.figure import Figure

__all__ = ["DiversityFacts", "figure_of", "tsne_figure", "write_report"]


class DiversityFacts(TypedDict):
    """What `diversity.json` holds: the embedding, the number of clusters, and the metrics of each set."""

    embedding: str
    clusters: int
    metrics: dict[str, DrawnMetrics]


def tsne_figure(
    sets: Mapping[str, Iterable[pa.Table]],
    out: str | Path | None,
    *,
    points: int,
    embedding: str,
    seed: int,
    colour: tuple[str, ...],
) -> Figure:
    """Draw points from each set and map them together: what `Dataset.plot_tsne` shows.

    Args:
        sets: Records of each set, by name.
        out: Folder for the page, the picture and the metrics; None means that nothing is written.
        points: Number of points drawn from each set.
        embedding: See `DiversityOptions.embedding`.
        seed: Seed of samples, clusters and t-SNE.
        colour: Columns to colour by; the first one counts.

    Returns:
        A matplotlib figure.

    Raises:
        ParameterError: If a set has no records, no embeddings, or not the column to colour by.
    """
    samples = [sample_of(name, tables, points, seed) for name, tables in sets.items()]
    return figure_of(samples, DiversityOptions(points=points, embedding=embedding, seed=seed, colour=colour), out)


def figure_of(samples: list[Sample], options: DiversityOptions, out: str | Path | None = None) -> Figure:
    """Draw the maps of samples.

    Args:
        samples: One sample per set.
        options: Options of the report.
        out: Folder for the page, the picture and the metrics; None means that nothing is written.

    Returns:
        A matplotlib figure.
    """
    drawing = draw(samples, options)
    if out is not None:
        _write(drawing, Path(out), options)
    return draw_figure(drawing, colourings(drawing, options)[0])


def write_report(samples: list[Sample], out: str | Path, options: DiversityOptions | None = None) -> DiversityFacts:
    """Write `diversity.html`, `diversity.png` and `diversity.json` into a folder.

    Args:
        samples: One sample per set.
        out: The folder.
        options: Options of the report; by default those of `DiversityOptions()`.

    Returns:
        The content of `diversity.json`.
    """
    options = options or DiversityOptions()
    return _write(draw(samples, options), Path(out), options)


def _write(drawing: Drawing, folder: Path, options: DiversityOptions) -> DiversityFacts:
    """Write the three files of a drawing."""
    from quality.diversity_report.interactive import write_page  # noqa: PLC0415 - a figure alone does not need bokeh

    folder.mkdir(parents=True, exist_ok=True)
    write_page(drawing, folder / "diversity.html", options)
    write_picture(drawing, folder / "diversity.png", options)
    facts: DiversityFacts = {
        "embedding": drawing.embedding,
        "clusters": len(drawing.centroids),
        "metrics": drawing.metrics,
    }
    (folder / "diversity.json").write_bytes(orjson.dumps(facts, option=orjson.OPT_INDENT_2))
    return facts
