"""One self-contained HTML report of a run: funnel, reasons, sources, lengths, samples with what changed."""

from __future__ import annotations

from collections.abc import Mapping
from importlib.resources import files
from typing import TypedDict, cast

import jinja2

from raylib.reading.found import passed_lines
from raylib.report.counts import OTHER_SOURCES, FolderTotals, largest_sources
from raylib.report.decisions import Decisions
from raylib.report.difference import difference
from raylib.report.histograms import score_histograms
from raylib.report.policy import report_policy
from raylib.report.rules import judged_rules
from raylib.report.samples import Samples
from raylib.report.sections import DrawnSection, drawn_section, read_section
from raylib.report.statistics import HISTOGRAM_EDGES
from raylib.stage.section import Section, Table
from raylib.storage.summary import Summary

__all__ = ["render_report"]


_MOST_SOURCES = 200
_MOST_SCORES = 12  # columns of means of a split output


def render_report(
    summary: Summary,
    samples: Samples,
    recipe: str,
    sections: Mapping[str, Section | Mapping[str, object]] | None = None,
    decisions: Decisions | None = None,
) -> str:
    """Render the report of a run.

    Args:
        summary: Numbers of the run.
        samples: Kept and rejected records to show.
        recipe: The recipe as YAML.
        sections: What stages show, by label of the stage; also as the JSON of `sections.json`.
        decisions: Single edits and rejects of each stage, for a person to judge.

    Returns:
        An HTML page that loads nothing from the network.
    """
    template = files("raylib.report").joinpath("report.html.j2").read_text("utf-8")
    environment = jinja2.Environment(autoescape=True, trim_blocks=True, lstrip_blocks=True)
    environment.filters["n"] = lambda value: f"{value:,}"
    environment.globals["plural"] = lambda count: "" if count == 1 else "s"
    rejected = max(summary.records_rejected, 1)
    return environment.from_string(template).render(
        policy=report_policy(),
        s=summary,
        funnel=_funnel(summary),
        reasons=[(key, n, 100 * n / rejected) for key, n in summary.by_reason.items()],
        sources=_sources(summary),
        skipped=passed_lines(summary.skipped),
        bins=_lengths(summary),
        kept=[
            {**s, "html": difference(s["before"], s["after"]), "same": s["before"] == s["after"]}
            for s in samples["kept"]
        ],
        rejected=samples["rejected"],
        rules=judged_rules(summary, decisions or {"edits": {}, "rejects": {}}),
        recipe=recipe,
        sections=[*_own_sections(summary), *_stage_sections(sections or {})],
    )


class _FunnelRow(TypedDict):
    """A stage: records left and rejected, also as percentages of all records, and characters removed."""

    name: str
    left: int
    rejected: int
    changed: int
    seconds: float
    removed: int
    share: float
    cut: float


def _funnel(summary: Summary) -> list[_FunnelRow]:
    """Reading and each stage, in the order of the recipe."""
    total = max(summary.records_in, 1)

    def row(name: str, left: int, rejected: int, changed: int, seconds: float, removed: int) -> _FunnelRow:
        share, cut = 100 * left / total, 100 * rejected / total
        return _FunnelRow(
            name=name,
            left=left,
            rejected=rejected,
            changed=changed,
            seconds=seconds,
            removed=removed,
            share=share,
            cut=cut,
        )

    unread = sum(n for key, n in summary.by_reason.items() if key.startswith("read/"))
    rows = [row("read", summary.records_in - unread, unread, 0, 0.0, 0)]
    for name, stage in summary.by_stage.items():
        removed = 0 if stage.rejected else stage.characters_in - stage.characters_out
        left = stage.records_in - stage.rejected
        rows.append(row(name, left, stage.rejected, stage.changed, stage.seconds, removed))
    return rows


def _sources(summary: Summary) -> list[Mapping[str, object]]:
    """The largest sources, and the others as one."""
    rows: list[Mapping[str, object]] = []
    for name, counts in largest_sources(summary.by_source, _MOST_SOURCES).items():
        share = 100 * counts.get("kept", 0) / max(counts.get("in", 0), 1)
        title = f"{counts['sources']:,} other sources" if name == OTHER_SOURCES else name or "(none)"
        rows.append({"name": title, **counts, "share": share})
    return rows


def _lengths(summary: Summary) -> list[Mapping[str, object]]:
    """Classes of length, as read and as kept, with percentages of the tallest bar."""
    width = max(len(summary.histogram_in), len(summary.histogram_kept))
    before, after = (
        [*counts, *[0] * (width - len(counts))] for counts in (summary.histogram_in, summary.histogram_kept)
    )
    used = [i for i in range(width) if before[i] or after[i]]
    if not used:
        return []
    top = max(1, *before, *after)
    return [
        {
            "label": _length_class(i),
            "before": before[i],
            "after": after[i],
            "b": 100 * before[i] / top,
            "a": 100 * after[i] / top,
        }
        for i in range(used[0], used[-1] + 1)
    ]


def _length_class(number: int) -> str:
    """A class of length in words: `0`, `2–3`, `16,777,216+`."""
    low = HISTOGRAM_EDGES[number]
    if number + 1 == len(HISTOGRAM_EDGES):
        return f"{low:,}+"
    high = HISTOGRAM_EDGES[number + 1] - 1
    return f"{low:,}" if high == low else f"{low:,}–{high:,}"


def _own_sections(summary: Summary) -> list[DrawnSection]:
    """Sections that are made of the summary: what scorers used, folders of a split output, histograms of scores."""
    tables = [table for table in (_scorers(summary), _splits(summary)) if table is not None]
    drawn = [drawn_section("used", Section("Scorers and output", tables), own=True)] if tables else []
    histograms = score_histograms(summary.columns)
    if histograms is not None:
        drawn.append(drawn_section("columns", Section("Scores", [histograms]), own=True))
    return drawn


def _scorers(summary: Summary) -> Table | None:
    """What scorers counted: tokens and speed of models, requests and cost of judges."""
    rows = []
    for name, counts in summary.notes.items():
        shown = {key: value for key, value in counts.items() if value}
        if counts.get("tokens") and counts.get("seconds"):
            shown["tokens per second and worker"] = counts["tokens"] / counts["seconds"]
        rows.append([name, ", ".join(f"{key.replace('_', ' ')} {_number(value)}" for key, value in shown.items())])
    return Table("What the scorers used", ["stage", "counts"], rows) if rows else None


def _number(value: float) -> str:
    return f"{value:,.0f}" if value >= 100 or isinstance(value, int) else f"{value:,.4g}"


def _splits(summary: Summary) -> Table | None:
    """Folders of a split output, with means of the scores."""
    splits = cast("Mapping[str, FolderTotals]", summary.splits or {})
    if not splits:
        return None
    means = sorted({name for part in splits.values() for name in part["mean"]})[:_MOST_SCORES]
    with_tokens = any("tokens" in part for part in splits.values())
    head = ["folder", "records", "characters", *(["tokens"] if with_tokens else []), *(f"mean {m}" for m in means)]
    rows = []
    for name, part in splits.items():
        cells = [name, f"{part['records']:,}", f"{part['characters']:,}"]
        cells += [f"{part.get('tokens', 0):,}"] if with_tokens else []
        rows.append(cells + [f"{part['mean'][m]:,.4g}" if m in part["mean"] else "" for m in means])
    return Table("Folders of the output", head, rows)


def _stage_sections(sections: Mapping[str, Section | Mapping[str, object]]) -> list[DrawnSection]:
    """Sections that stages made of their notes."""
    return [drawn_section(n, s if isinstance(s, Section) else read_section(s)) for n, s in sections.items()]
