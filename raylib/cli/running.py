"""`raylib run`: run a recipe."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Annotated

import typer

from raylib.cli.settings import overrides
from raylib.command_options import Fresh, Quiet, Update

__all__ = ["register"]


def run(
    recipe: Annotated[Path, typer.Argument(help="YAML recipe.")],
    set_: Annotated[
        list[str], typer.Option("--set", help="Override a recipe key: --set input.path=data/*.jsonl.gz")
    ] = [],  # noqa: B006 - typer copies it
    fresh: Fresh = False,
    update: Update = False,
    address: Annotated[str, typer.Option(help="Address of a running Ray cluster.")] = "",
    limit: Annotated[
        int | None,
        typer.Option(min=1, help="Number of records to read, for a first look. The output goes to OUT.limitN."),
    ] = None,
    quiet: Quiet = False,
) -> None:
    """Run a recipe: read, clean, deduplicate, write, report."""
    from raylib.cli.progress import run_shown
    from raylib.recipe import Recipe

    given = overrides(set_)
    if address:
        given["engine.address"] = address
    loaded = Recipe.from_file(recipe, given)
    if limit is not None:  # never into the folder of the whole run
        place = f"{loaded.output.path.rstrip('/')}.limit{limit}"
        loaded = replace(loaded, output=loaded.output.model_copy(update={"path": place}))
    run_shown(loaded, fresh=fresh or limit is not None, update=update, limit=limit, quiet=quiet)


def register(app: typer.Typer) -> None:
    """Add this command to the `raylib` application."""
    app.command()(run)
