"""What of the documentation is made from the code: `docs/rules.md`, `docs/recipes.md`, a table of `docs/migration.md`.

`python -m raylib.reference` writes them.
"""

from __future__ import annotations

import inspect
import re
from collections.abc import Collection
from dataclasses import MISSING
from pathlib import Path
from typing import Any, get_type_hints

from raylib.stage import StageInfo, stage_info, stage_names

__all__ = ["field_notes", "migration_markdown", "recipe_markdown", "reference_markdown", "stage_markdown"]

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
        notes = {name: note.replace("|", "\\|") for name, note in info.descriptions.items()}
        lines += ["| parameter | type | default | meaning |", "|---|---|---|---|"]
        lines += [
            f"| {name} | {_type(hints[name])} | {_shown(default)} | {notes.get(name, '')} |"
            for name, default in info.parameters.items()
        ]
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


def field_notes(kind: type, names: Collection[str]) -> dict[str, str]:
    """What the docstring of an options class says of each field: its sentences read `name: what it is.`"""
    text = " ".join((inspect.getdoc(kind) or "").split())
    one = "|".join(sorted(map(re.escape, names), key=len, reverse=True))
    heads = list(re.finditer(rf"(?<![\w.`])((?:{one})(?:(?:, or |, | and )(?:{one}))*): ", text))
    notes: dict[str, str] = {}
    for head, following in zip(heads, [*heads[1:], None], strict=True):
        note = text[head.end() : following.start() if following else len(text)].strip().removesuffix(".")
        for name in re.split(r", or |, | and ", head.group(1)):
            notes.setdefault(name, note.replace("|", "\\|"))
    return notes


_RECIPE_HEAD = """# Recipe reference

Written from the code by `python -m raylib.reference`; a test checks that it is up to date. Stages and their parameters:
[rules.md](rules.md).

```yaml
name: wechat                       # default: the file's name
input: {path: data/*.jsonl.gz}     # see input
output: {path: out/wechat}         # see output
engine: {batch_mb: 16}             # see engine; may be left out
stages:                            # one after the other
  - to_simplified                  # a stage with its defaults
  - length: {min: 100}             # with parameters
  - keep_where: 'meta.score >= 3'  # a stage with one parameter takes it directly
  - clean: {source: web, length: {min: 128}}  # a ready chain for a source, with changes
```

Every key can be set from the command line: `--set engine.actors=8 --set stages.length.min=50`; a stage that stands twice is
`stages.0.length.min` by its position. Paths are relative to the working directory, not to the recipe.
"""


def recipe_markdown() -> str:
    """docs/recipes.md: the sections of a recipe, each field with type, default and meaning."""
    from raylib.recipe import EngineOptions, InputOptions, OutputOptions

    lines = [_RECIPE_HEAD]
    for title, kind in (("input", InputOptions), ("output", OutputOptions), ("engine", EngineOptions)):
        notes = field_notes(kind, kind.model_fields)
        lines += [f"## {title}", "", "| field | type | default | |", "|---|---|---|---|"]
        for name, info in kind.model_fields.items():
            default = "(required)" if info.is_required() else _shown(info.default)
            lines.append(f"| {name} | {_type(info.annotation)} | {default} | {notes[name]} |")
        lines.append("")
    return "\n".join(lines).rstrip() + "\n"


def migration_markdown(page: str) -> str:
    """The page with its table of operators made anew."""
    from raylib.recipe.data_juicer import operators_markdown

    head, rest = page.split(_OPERATORS, 1)
    _, tail = rest.split(_END_OF_OPERATORS, 1)
    return f"{head}{_OPERATORS}\n\n{operators_markdown()}\n{_END_OF_OPERATORS}{tail}"


def main() -> None:
    docs = Path(__file__).resolve().parent.parent / "docs"
    (docs / "rules.md").write_text(reference_markdown(), "utf-8")
    (docs / "recipes.md").write_text(recipe_markdown(), "utf-8")
    page = docs / "migration.md"
    page.write_text(migration_markdown(page.read_text("utf-8")), "utf-8")


if __name__ == "__main__":
    main()
