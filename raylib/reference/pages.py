"""All generated pages of a checkout: written, or compared with what is there."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

from raylib import plugins
from raylib.reference.layouts import layouts_markdown
from raylib.reference.migration import migration_markdown
from raylib.reference.recipes import recipe_markdown
from raylib.reference.stages import reference_markdown

__all__ = ["ROOT", "differing", "pages", "write"]

ROOT = Path(__file__).resolve().parents[2]
_MIGRATION = "docs/migration.md"


def pages(root: Path = ROOT) -> dict[str, str]:
    """Text of every generated page, by its path in the checkout.

    The pages of other packages are found by the entry points `raylib.references`.

    Args:
        root: Folder of the checkout; pages that are generated in part are read from it.
    """
    made = {"docs/rules.md": reference_markdown(), "docs/recipes.md": recipe_markdown()}
    made["docs/layouts.md"] = layouts_markdown()
    made[_MIGRATION] = migration_markdown((root / _MIGRATION).read_text("utf-8"))
    for reference in plugins.references():
        made |= reference()
    return made


def write(made: Mapping[str, str], root: Path = ROOT) -> None:
    """Write pages to a checkout.

    Args:
        made: Texts by path, as `pages` gives them.
        root: Folder of the checkout.
    """
    for path, text in made.items():
        target = root / path
        target.parent.mkdir(parents=True, exist_ok=True)
        target.write_text(text, "utf-8")


def differing(made: Mapping[str, str], root: Path = ROOT) -> list[str]:
    """Paths of the pages that a checkout holds with other contents, or not at all.

    Args:
        made: Texts by path, as `pages` gives them.
        root: Folder of the checkout.
    """
    return [
        path for path, text in made.items() if not (root / path).is_file() or (root / path).read_text("utf-8") != text
    ]
