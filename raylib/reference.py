"""What of the documentation is made from the code: `docs/rules.md`, and the table of operators of `docs/migration.md`.

`python -m raylib.reference` writes both.
"""

from __future__ import annotations

import inspect
from dataclasses import MISSING
from pathlib import Path
from typing import Any, get_type_hints

from raylib.stage import StageInfo, stage_info, stage_names

__all__ = ["migration_markdown", "reference_markdown", "stage_markdown"]

_KINDS = {
    "rewrite": "Rewriting rules",
    "cut": "Cutting rules",
    "reject": "Rejecting rules",
    "score": "Scoring stages",
    "global": "Global stages",
}
_OPERATORS = "<!-- operators: written by `python -m raylib.reference` -->"
_END_OF_OPERATORS = "<!-- end of operators -->"


def _shown(value: Any) -> str:
    if value is MISSING:
        return "(required)"
    if isinstance(value, tuple):
        return "[" + ", ".join(_shown(v) for v in value) + "]"
    return f"`{value!r}`" if isinstance(value, str) else f"`{str(value).lower() if isinstance(value, bool) else value}`"


def _type(hint: Any) -> str:
    name = hint.__name__ if isinstance(hint, type) and not hasattr(hint, "__args__") else str(hint)
    return name.replace("typing.", "").replace("|", "\\|")


def _cell(text: str) -> str:
    shown = text.replace("\r", "␍").replace("\n", "⏎").replace("\t", "⇥").replace("|", "\\|").replace("`", "'")
    return f"`{shown if len(shown) <= 120 else shown[:117] + '...'}`"


def stage_markdown(info: StageInfo) -> str:
    """One stage: what it does, parameters with types and defaults, examples."""
    lines = [f"### {info.name}", "", inspect.cleandoc(info.summary), ""]
    if info.reason:
        unit = f"; the evidence is in {info.unit}" if info.unit else ""
        lines += [f"Reason in the rejects: `{info.reason}`{unit}.", ""]
    if info.parameters:
        hints = get_type_hints(info.make)
        lines += ["| parameter | type | default |", "|---|---|---|"]
        lines += [f"| {name} | {_type(hints[name])} | {_shown(default)} |" for name, default in info.parameters.items()]
        lines.append("")
    if info.examples:
        rejecting = info.kind == "reject"
        lines += ["| before | " + ("verdict |" if rejecting else "after |"), "|---|---|"]
        for before, after in info.examples:
            shown = (f"rejected: {_cell(after)}" if after else "kept") if rejecting else _cell(after)
            lines.append(f"| {_cell(before)} | {shown} |")
        lines.append("")
    return "\n".join(lines)


def reference_markdown() -> str:
    """The whole reference."""
    infos = [stage_info(n) for n in stage_names()]
    lines = [
        "# Rule reference",
        "",
        "Written from the code by `python -m raylib.reference`; a test checks that it is up to date and that",
        "every example holds. `raylib rules NAME` prints an entry. ⏎ stands for a line break, ⇥ for a tab.",
        "",
    ]
    for kind, title in _KINDS.items():
        lines += [f"## {title}", ""]
        lines += [stage_markdown(i) for i in infos if i.kind == kind]
    return "\n".join(lines).rstrip() + "\n"


def migration_markdown(page: str) -> str:
    """The page with its table of operators made anew."""
    from raylib.migrate import operators_markdown

    head, rest = page.split(_OPERATORS, 1)
    _, tail = rest.split(_END_OF_OPERATORS, 1)
    return f"{head}{_OPERATORS}\n\n{operators_markdown()}\n{_END_OF_OPERATORS}{tail}"


def main() -> None:
    docs = Path(__file__).resolve().parent.parent / "docs"
    (docs / "rules.md").write_text(reference_markdown(), "utf-8")
    page = docs / "migration.md"
    page.write_text(migration_markdown(page.read_text("utf-8")), "utf-8")


if __name__ == "__main__":
    main()
