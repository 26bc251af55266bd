"""Pages of the documentation that are generated from the code: `python -m raylib.reference`."""

from raylib.reference.migration import migration_markdown
from raylib.reference.pages import differing, pages, write
from raylib.reference.recipes import recipe_markdown
from raylib.reference.stages import reference_markdown, stage_markdown

__all__ = [
    "differing",
    "migration_markdown",
    "pages",
    "recipe_markdown",
    "reference_markdown",
    "stage_markdown",
    "write",
]
