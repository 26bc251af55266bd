"""What the report shows of each rule for a person to judge: edits in their context, and rejects with evidence."""

from __future__ import annotations

import html
from collections.abc import Sequence
from typing import TypedDict

from raylib.report.decisions import Decisions, DrawnEdit
from raylib.report.difference import visible
from raylib.report.samples import RejectedSample
from raylib.storage.summary import Summary

__all__ = ["JudgedRule", "edit_html", "judged_rules"]


_SHOWN = 20  # edits, and rejects, of a rule


class ShownEdit(TypedDict):
    """An edit as the template shows it; `html` is escaped."""

    id: str
    source: str | None
    html: str
    others: int


class JudgedRule(TypedDict):
    """A stage with some of its edits and rejects, and how many records it changed and rejected in all."""

    name: str
    changed: int
    rejected: int
    edits: Sequence[ShownEdit]
    rejects: Sequence[RejectedSample]


def judged_rules(summary: Summary, decisions: Decisions) -> list[JudgedRule]:
    """Choose what the report shows of each stage.

    Args:
        summary: Numbers of the run.
        decisions: Single edits and rejects that were drawn of each stage.

    Returns:
        The stages that changed or rejected something, in the order in which they ran; reading is the first.
    """
    rules: list[JudgedRule] = []
    for name in ("read", *summary.by_stage):
        edits = decisions["edits"].get(name, [])[:_SHOWN]
        rejects = decisions["rejects"].get(name, [])[:_SHOWN]
        if not edits and not rejects:
            continue
        totals = summary.by_stage.get(name)
        unread = sum(count for key, count in summary.by_reason.items() if key.startswith("read/"))
        rules.append(
            JudgedRule(
                name=name,
                changed=totals.changed if totals else 0,
                rejected=totals.rejected if totals else unread,
                edits=[
                    ShownEdit(id=e["id"], source=e["source"], html=edit_html(e), others=e["edits"] - 1) for e in edits
                ],
                rejects=rejects,
            )
        )
    return rules


def edit_html(edit: DrawnEdit) -> str:
    """An edit in its context: what was taken away in `<del>`, what was put in in `<ins>`. All text is escaped."""
    parts = [html.escape(edit["left"])]
    for tag, text in (("del", edit["removed"]), ("ins", edit["added"])):
        if text:
            parts.append(f"<{tag}>{html.escape(visible(text))}</{tag}>")
    return "".join([*parts, html.escape(edit["right"])])
