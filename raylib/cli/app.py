"""The `raylib` command: the application, its own options, and the commands that packages add."""

from __future__ import annotations

import sys
from typing import Annotated

import typer

from raylib import plugins
from raylib.cli import importing, jobs, looking, running, schema
from raylib.errors import RaylibError

__all__ = ["app", "main"]


app = typer.Typer(
    help="Clean, deduplicate and score text for language models, on Ray. Start with `raylib run recipe.yaml`.",
    no_args_is_help=True,
    add_completion=False,
    pretty_exceptions_enable=False,
)


def _print_versions(wanted: bool) -> None:
    if wanted:
        version()
        raise typer.Exit


@app.callback()
def _options(
    version: Annotated[bool, typer.Option("--version", callback=_print_versions, is_eager=True, help="Print versions and exit.")] = False,
) -> None:  # fmt: skip
    """Options of the program itself."""


@app.command()
def version() -> None:
    """Print versions."""
    from raylib.versions import versions

    for package, number in versions().items():
        typer.echo(f"{package} {number}")


for _register in (
    running.register,
    *plugins.commands(),
    jobs.register,
    looking.register,
    importing.register,
    schema.register,
):
    _register(app)


def main() -> None:
    """Entry point: errors that we raise on purpose are one clear line, not a traceback."""
    try:
        app(standalone_mode=True)
    except (RaylibError, ValueError) as error:
        typer.secho(f"error: {error}", fg=typer.colors.RED, err=True)
        sys.exit(1)
    except KeyboardInterrupt:
        typer.secho("interrupted; run the same command again to continue", err=True)
        sys.exit(130)
