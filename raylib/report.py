"""One self-contained HTML report per run: funnel, reasons, sources, lengths, samples with what changed."""

from __future__ import annotations

import html
from collections.abc import Mapping
from importlib.resources import files
from typing import Any

from raylib.statistics import HISTOGRAM_EDGES

__all__ = ["difference", "render_report"]

_CONTEXT = 40


def difference(before: str, after: str) -> str:
    """HTML of the change from one text to another: deletions struck out, insertions marked, long equal runs folded."""
    from rapidfuzz.distance import Indel

    parts: list[str] = []
    operations = Indel.opcodes(before, after)
    for i, op in enumerate(operations):
        old, new = before[op.src_start : op.src_end], after[op.dest_start : op.dest_end]
        if op.tag == "equal":
            parts.append(_equal(old, first=i == 0, last=i == len(operations) - 1))
            continue
        if old:
            parts.append(f"<del>{html.escape(_visible(old))}</del>")
        if new:
            parts.append(f"<ins>{html.escape(_visible(new))}</ins>")
    return "".join(parts)


def _equal(text: str, *, first: bool, last: bool) -> str:
    if len(text) <= 4 * _CONTEXT:
        return html.escape(text)
    head = "" if first else text[:_CONTEXT]
    tail = "" if last else text[-_CONTEXT:]
    middle = text[len(head) : len(text) - len(tail)]
    return (
        f"{html.escape(head)}<details class=same><summary>{len(middle):,} unchanged</summary>{html.escape(middle)}"
        f"</details>{html.escape(tail)}"
    )


def _visible(text: str) -> str:
    return text.replace("\n", "↵\n").replace("\u3000", "␣").replace("\t", "⇥")


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
            elif block["kind"] == "pairs":
                drawn["items"] = [{**i, "html": difference(i["before"], i["after"])} for i in block["items"]]
            blocks.append(drawn)
        out.append({"name": name, "title": section["title"], "blocks": blocks})
    return out


def render_report(
    summary: Mapping[str, Any], samples: Mapping[str, Any], recipe: str, sections: Mapping[str, Any] | None = None
) -> str:
    """The report as one HTML page that needs no network.

    `sections` are parts that stages made of their notes: {stage: {"title", "blocks"}}; a block has a `kind`:
    text, bars, matrix, scatter or pairs.
    """
    import jinja2

    template = files("raylib").joinpath("report.html.j2").read_text("utf-8")
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
        sections=_sections(sections or {}),
    )
