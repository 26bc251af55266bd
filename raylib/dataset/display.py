"""What a dataset shows in a terminal and in a notebook."""

from __future__ import annotations

import html
from collections.abc import Mapping, Sequence
from typing import Any

from raylib.messages import LISTS, said
from raylib.reading.found import passed_lines
from raylib.recipe import EngineOptions, InputOptions, StageSpec

__all__ = ["html_of", "plan_text", "text_of_row"]


def plan_text(source: InputOptions, stages: Sequence[StageSpec], engine: EngineOptions, *, has_run: bool) -> str:
    """The steps of a plan in words, one per line."""
    lines = [f"read {source.path} (kind={source.kind}, encoding={source.encoding})"]
    for spec in stages:
        shown = ", ".join(f"{name}={value!r}" for name, value in spec.parameters.items())
        if spec.object is not None:
            shown = str(getattr(spec.object, "label", repr(spec.object)))
        lines.append(f"  {spec.name}({shown})")
    lines.append(f"engine: {engine.mode}; {'has run' if has_run else 'not run yet'}")
    return "\n".join(lines)


def html_of(plan: str, summary: Mapping[str, Any] | None) -> str:
    """A plan as HTML; once it has run, with its counts by stage."""
    shown = f"<pre>{html.escape(plan)}</pre>"
    if summary is None:
        return shown
    skipped = passed_lines({why: (part["count"], part["first"]) for why, part in summary["skipped"].items()})
    rows = "".join(
        f"<tr><td>{html.escape(name)}</td><td>{counts['in']:,}</td><td>{counts['rejected']:,}</td>"
        f"<td>{counts['changed']:,}</td></tr>"
        for name, counts in summary["by_stage"].items()
    )
    return (
        f"{shown}<p>{summary['records_in']:,} records in, {summary['records_kept']:,} kept, "
        f"{summary['records_rejected']:,} rejected</p>{''.join(f'<p>{html.escape(line)}</p>' for line in skipped)}"
        f"<table><tr><th>stage</th><th>in</th><th>rejected</th><th>changed</th></tr>{rows}</table>"
    )


def text_of_row(row: Mapping[str, object]) -> str:
    """The text of a record; messages with their roles, one per line, each answer of a pair under its name."""
    if row.get("text") is not None:
        return str(row["text"])
    lines: list[str] = []
    for name in LISTS:
        messages = row.get(name)
        if not isinstance(messages, list) or not messages:
            continue
        if name in ("chosen", "rejected", "answer"):
            label = "" if row.get("label") is None or name != "answer" else f", label {str(row['label']).lower()}"
            lines.append(f"--- {name}{label}")
        lines += [said(message) for message in messages]
    return "\n".join(lines)
