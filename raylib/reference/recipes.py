"""The reference of recipes, docs/recipes.md: every option of `input`, `output` and `engine`."""

from __future__ import annotations

from dataclasses import MISSING

from raylib.recipe import EngineOptions, InputOptions, OutputOptions
from raylib.recipe.options import Options
from raylib.reference.fields import cell, default_of, type_of

__all__ = ["recipe_markdown"]

_HEAD = """# Recipe reference

Generated from the code by `python -m raylib.reference`; a test checks that this page is up to date. Stages and their
parameters are in [rules.md](rules.md).

```yaml
name: wechat                       # default: the file's name
input: {path: data/*.jsonl.gz}     # see input
output: {path: out/wechat}         # see output
engine: {batch_mb: 16}             # see engine; may be left out
stages:                            # one after the other
  - to_simplified                  # a stage with its defaults
  - length: {min: 100}             # with parameters
  - keep_where: 'meta.score >= 3'  # the first parameter alone
  - clean: {source: web, length: {min: 128}}  # a ready chain for a source, with changes
```

Every key can be set from the command line: `--set engine.actors=8 --set stages.length.min=50`. A stage that occurs
twice is addressed by its position: `stages.0.length.min`. Paths are relative to the working directory, not to the
recipe.

`raylib schema recipe > recipe.schema.json` writes a JSON schema. With the comment
`# yaml-language-server: $schema=recipe.schema.json` in its first line, editors with the YAML language server complete
and check a recipe.
"""


def recipe_markdown() -> str:
    """The page: an introduction, and a table of options for each section."""
    sections: tuple[tuple[str, type[Options]], ...] = (
        ("input", InputOptions),
        ("output", OutputOptions),
        ("engine", EngineOptions),
    )
    lines = [_HEAD]
    for title, kind in sections:
        lines += [f"## {title}", "", "| field | type | default | |", "|---|---|---|---|"]
        for name, info in kind.model_fields.items():
            default = default_of(MISSING if info.is_required() else info.default)
            note = cell(info.description or "")
            lines.append(f"| {name} | {type_of(info.annotation, info.metadata)} | {default} | {note} |")
        lines.append("")
    return "\n".join(lines).rstrip() + "\n"
