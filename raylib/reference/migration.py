"""The generated part of docs/migration.md: the table of data-juicer's operators."""

from __future__ import annotations

from raylib.recipe.data_juicer import operators_markdown

__all__ = ["migration_markdown"]

_BEGIN = "<!-- operators: written by `python -m raylib.reference` -->"
_END = "<!-- end of operators -->"


def migration_markdown(page: str) -> str:
    """The page with an up-to-date table of operators.

    Args:
        page: Text of the page, with the two comments between which the table is.
    """
    head, rest = page.split(_BEGIN, 1)
    _, tail = rest.split(_END, 1)
    return f"{head}{_BEGIN}\n\n{operators_markdown()}\n{_END}{tail}"
