"""The difference of two texts as spans of kept, deleted and inserted characters."""

from __future__ import annotations

import html

from rapidfuzz.distance import Indel

__all__ = ["difference", "visible"]


_CONTEXT = 40  # characters that stay visible on each side of a change


def difference(before: str, after: str) -> str:
    """Mark what changed from one text to another.

    Args:
        before: The old text.
        after: The new text.

    Returns:
        HTML: deletions in `<del>`, insertions in `<ins>`, long unchanged parts folded away. All text is escaped.
    """
    parts: list[str] = []
    operations = Indel.opcodes(before, after)
    for i, op in enumerate(operations):
        old, new = before[op.src_start : op.src_end], after[op.dest_start : op.dest_end]
        if op.tag == "equal":
            parts.append(_unchanged(old, first=i == 0, last=i == len(operations) - 1))
            continue
        if old:
            parts.append(f"<del>{html.escape(visible(old))}</del>")
        if new:
            parts.append(f"<ins>{html.escape(visible(new))}</ins>")
    return "".join(parts)


def _unchanged(text: str, *, first: bool, last: bool) -> str:
    """An unchanged part, of which only the ends next to changes are shown when it is long."""
    if len(text) <= 4 * _CONTEXT:
        return html.escape(text)
    head = "" if first else text[:_CONTEXT]
    tail = "" if last else text[-_CONTEXT:]
    middle = text[len(head) : len(text) - len(tail)]
    return (
        f"{html.escape(head)}<details class=same><summary>{len(middle):,} unchanged</summary>{html.escape(middle)}"
        f"</details>{html.escape(tail)}"
    )


def visible(text: str) -> str:
    """White space in changes as signs."""
    return text.replace("\n", "↵\n").replace("\u3000", "␣").replace("\t", "⇥")
