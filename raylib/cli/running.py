"""`raylib run`: run a recipe."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from raylib.cli.settings import overrides

__all__ = ["register"]


def run(
    recipe: Annotated[Path, typer.Argument(help="YAML recipe.")],
    set_: Annotated[
        list[str], typer.Option("--set", help="Override a recipe key: --set input.path=data/*.jsonl.gz")
    ] = [],  # noqa: B006 - typer copies it
    fresh: Annotated[
        bool, typer.Option("--fresh/--resume", help="Delete an earlier run's output first, or continue it (default).")
    ] = False,
    address: Annotated[str, typer.Option(help="Address of a running Ray cluster.")] = "",
    limit: Annotated[int | None, typer.Option(min=1, help="Read only the first N records.")] = None,
    quiet: Annotated[bool, typer.Option("--quiet", "-q", help="Show no progress display.")] = False,
) -> None:
    """Run a recipe: read, clean, deduplicate, write, report."""
    from raylib.cli.progress import run_shown
    from raylib.recipe import Recipe

    given = overrides(set_)
    if address:
        given["engine.address"] = address
    run_shown(Recipe.from_file(recipe, given), fresh=fresh, limit=limit, quiet=quiet)


def register(app: typer.Typer) -> None:
    """Add this command to the `raylib` application."""
    app.command()(run)
