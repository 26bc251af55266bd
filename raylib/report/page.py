"""One self-contained HTML report per run: funnel, reasons, sources, lengths, samples with what changed."""

from __future__ import annotations

from collections.abc import Mapping
from importlib.resources import files
from typing import Any

from raylib.report.difference import difference
from raylib.report.histograms import score_histograms
from raylib.report.statistics import HISTOGRAM_EDGES

__all__ = ["render_report"]


def _bins(summary: Mapping[str, Any]) -> list[dict[str, Any]]:
    """Length classes with shares of the tallest bar, for before and after side by side."""
    before, after = summary["histogram_in"], summary["histogram_kept"]
    width = max(len(before), len(after))
    before = [*before, *[0] * (width - len(before))]
    after = [*after, *[0] * (width - len(after))]
    used = [i for i in range(width) if before[i] or after[i]]
    if not used:
        return []
    top = max(1, *before, *after)
    rows = []
    for i in range(used[0], used[-1] + 1):
        low = HISTOGRAM_EDGES[i]
        high = HISTOGRAM_EDGES[i + 1] - 1 if i + 1 < len(HISTOGRAM_EDGES) else None
        label = f"{low:,}" if high == low else f"{low:,}–{high:,}" if high is not None else f"{low:,}+"
        rows.append(
            {
                "label": label,
                "before": before[i],
                "after": after[i],
                "b": 100 * before[i] / top,
                "a": 100 * after[i] / top,
            }
        )
    return rows


def _funnel(summary: Mapping[str, Any]) -> list[dict[str, Any]]:
    total = max(summary["records_in"], 1)
    unread = sum(n for key, n in summary["by_reason"].items() if key.startswith("read/"))
    left = summary["records_in"] - unread
    rows = [{"name": "read", "left": left, "rejected": unread, "changed": 0, "seconds": 0.0, "removed": 0}]
    for name, counts in summary["by_stage"].items():
        left = counts["in"] - counts["rejected"]
        removed = counts["characters_in"] - counts["characters_out"]
        rows.append(
            {
                "name": name,
                "left": left,
                "rejected": counts["rejected"],
                "changed": counts["changed"],
                "seconds": counts["seconds"],
                "removed": removed if counts["rejected"] == 0 else 0,
            }
        )
    for row in rows:
        row["share"] = 100 * row["left"] / total
        row["cut"] = 100 * row["rejected"] / total
    return rows


def _sections(sections: Mapping[str, Mapping[str, Any]]) -> list[dict[str, Any]]:
    """Sections of stages with what the template needs: shares of bars, shades of cells, marked differences."""
    out = []
    for name, section in sections.items():
        blocks = []
        for block in section["blocks"]:
            drawn = dict(block)
            if block["kind"] == "bars":
                top = max([r["value"] for r in block["rows"]] or [1])
                drawn["rows"] = [{**r, "share": 100 * r["value"] / max(top, 1e-12)} for r in block["rows"]]
            elif block["kind"] == "matrix":
                top = max([v for row in block["values"] for v in row] or [1])
                drawn["cells"] = [[(v, round((v / max(top, 1)) ** 0.5, 3)) for v in row] for row in block["values"]]
            elif block["kind"] == "maps":
                drawn |= _maps(block)
            elif block["kind"] == "pairs":
                drawn["items"] = [{**i, "html": difference(i["before"], i["after"])} for i in block["items"]]
            blocks.append(drawn)
        out.append({"name": name, "title": section["title"], "blocks": blocks})
    return out


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


def _maps(block: Mapping[str, Any]) -> dict[str, Any]:
    """Two panels of points (x, y, index of a name, selected, text): all of them, and the others faded out."""
    points = block["points"]
    xs, ys = [p[0] for p in points] or [0.0], [p[1] for p in points] or [0.0]
    low_x, low_y = min(xs), min(ys)
    width, height = max(max(xs) - low_x, 1e-6), max(max(ys) - low_y, 1e-6)
    colours = [_COLOURS[i] if i < len(_COLOURS) else _OTHERS for i in range(max(len(block["names"]), 1))]
    panels = []
    for number, title in enumerate(block["panels"]):
        shown = []
        for x, y, name, selected, text in sorted(points, key=lambda p: p[3]):
            faded = number > 0 and not selected
            place = {"x": round(1000 * (x - low_x) / width, 1), "y": round(1000 * (y - low_y) / height, 1)}
            look = {"colour": _OTHERS if faded else colours[name], "alpha": 0.12 if faded else 0.7}
            shown.append({**place, **look, "text": f"{block['names'][name]}: {text}"})
        count = len(points) if number == 0 else sum(bool(p[3]) for p in points)
        panels.append({"title": title, "points": shown, "count": count})
    return {"drawn": panels, "colours": colours, "view": "-15 -15 1030 1030", "radius": 5}


def _notes(summary: Mapping[str, Any]) -> dict[str, Any] | None:
    """What scorers counted: tokens and speed of models, requests and cost of judges; folders of a split output."""
    blocks: list[dict[str, Any]] = []
    rows = []
    for name, counts in summary.get("notes", {}).items():
        shown = {k: v for k, v in counts.items() if v}
        if counts.get("tokens") and counts.get("seconds"):
            shown["tokens a second and worker"] = counts["tokens"] / counts["seconds"]
        words = ", ".join(f"{k.replace('_', ' ')} {v:,.4g}" if isinstance(v, float) and v < 100 else f"{k.replace('_', ' ')} {v:,.0f}" for k, v in shown.items())  # fmt: skip
        rows.append([name, words])
    if rows:
        blocks.append({"kind": "table", "title": "What the scorers used", "head": ["stage", "counts"], "rows": rows})
    splits = summary.get("splits", {})
    if splits:
        means = sorted({m for s in splits.values() for m in s["mean"]})[:12]
        head = ["folder", "records", "characters", *(["tokens"] if any("tokens" in s for s in splits.values()) else []), *(f"mean {m}" for m in means)]  # fmt: skip
        body = []
        for name, part in splits.items():
            cells = [name, f"{part['records']:,}", f"{part['characters']:,}"]
            cells += [f"{part.get('tokens', 0):,}"] if "tokens" in head else []
            body.append(cells + [f"{part['mean'][m]:,.4g}" if m in part["mean"] else "" for m in means])
        blocks.append({"kind": "table", "title": "Folders of the output", "head": head, "rows": body})
    return {"name": "used", "title": "Scorers and output", "blocks": blocks} if blocks else None


def render_report(
    summary: Mapping[str, Any], samples: Mapping[str, Any], recipe: str, sections: Mapping[str, Any] | None = None
) -> str:
    """The report as one HTML page that needs no network.

    `sections` are parts that stages made of their notes: {stage: {"title", "blocks"}}; a block has a `kind`:
    text, bars, matrix, scatter or pairs.
    """
    import jinja2

    template = files("raylib.report").joinpath("report.html.j2").read_text("utf-8")
    environment = jinja2.Environment(autoescape=True, trim_blocks=True, lstrip_blocks=True)
    environment.filters["n"] = lambda value: f"{value:,}"
    sources = [
        {"name": name or "(none)", **counts, "share": 100 * counts.get("kept", 0) / max(counts.get("in", 0), 1)}
        for name, counts in sorted(summary["by_source"].items(), key=lambda kv: -kv[1].get("in", 0))
    ]
    kept = [
        {**s, "html": difference(s["before"], s["after"]), "same": s["before"] == s["after"]} for s in samples["kept"]
    ]
    reasons = [(key, n, 100 * n / max(summary["records_rejected"], 1)) for key, n in summary["by_reason"].items()]
    return environment.from_string(template).render(
        s=summary,
        funnel=_funnel(summary),
        reasons=reasons,
        sources=sources[:200],
        bins=_bins(summary),
        kept=kept,
        rejected=samples["rejected"],
        recipe=recipe,
        sections=[s for s in (_notes(summary), score_histograms(summary)) if s is not None] + _sections(sections or {}),
    )
