"""The reference of stages, docs/rules.md: what each does, its parameters, its examples."""

from __future__ import annotations

from typing import get_type_hints

from raylib.reference.fields import cell, default_of, type_of
from raylib.stage import StageInfo, stage_info, stage_names

__all__ = ["reference_markdown", "stage_markdown"]

_KINDS = {
    "rewrite": "Rewriting rules",
    "cut": "Cutting rules",
    "reject": "Rejecting rules",
    "score": "Scoring stages",
    "global": "Global stages",
}
_HEAD = """# Rule reference

Generated from the code by `python -m raylib.reference`; tests check that this page is up to date and that every example
holds. `raylib rules NAME` prints an entry. ⏎ stands for a line break, ⇥ for a tab.
"""


def reference_markdown() -> str:
    """The page: every stage that is installed, by kind."""
    infos = [stage_info(name) for name in stage_names()]
    lines = [_HEAD]
    for kind, title in _KINDS.items():
        lines += [f"## {title}", ""]
        lines += [stage_markdown(info) for info in infos if info.kind == kind]
    return "\n".join(lines).rstrip() + "\n"


def stage_markdown(info: StageInfo) -> str:
    """One stage: what it does, parameters with types and defaults, examples."""
    lines = [f"### {info.name}", "", info.summary, ""]
    if info.reason:
        unit = f"; the evidence is in {info.unit}" if info.unit else ""
        lines += [f"Reason in the rejects: `{info.reason}`{unit}.", ""]
    return "\n".join([*lines, *_parameters(info), *_examples(info)])


def _parameters(info: StageInfo) -> list[str]:
    """The table of parameters."""
    if not info.parameters:
        return []
    hints = get_type_hints(info.make, include_extras=True)
    lines = ["| parameter | type | default | meaning |", "|---|---|---|---|"]
    for name, default in info.parameters.items():
        meaning = cell(info.descriptions.get(name, ""))
        lines.append(f"| {name} | {type_of(hints[name])} | {cell(default_of(default))} | {meaning} |")
    return [*lines, ""]


def _examples(info: StageInfo) -> list[str]:
    """The table of examples: texts before and after, or texts and verdicts."""
    if not info.examples:
        return []
    rejecting = info.kind == "reject"
    lines = ["| before | " + ("verdict |" if rejecting else "after |"), "|---|---|"]
    for before, after in info.examples:
        shown = (f"rejected: {_sample(after)}" if after else "kept") if rejecting else _sample(after)
        lines.append(f"| {_sample(before)} | {shown} |")
    return [*lines, ""]


def _sample(text: str) -> str:
    """A text on one line, cut to 120 characters."""
    shown = text.replace("\r", "␍").replace("\n", "⏎").replace("\t", "⇥").replace("|", "\\|").replace("`", "'")
    return f"`{shown if len(shown) <= 120 else shown[:117] + '...'}`"
