"""`raylib version` and `raylib --version`."""

from __future__ import annotations

import typer

from raylib.versions import versions

__all__ = ["print_and_exit", "register"]


def version() -> None:
    """Print versions."""
    for package, number in versions().items():
        typer.echo(f"{package} {number}")


def print_and_exit(wanted: bool) -> None:
    """Callback of the option `--version`."""
    if wanted:
        version()
        raise typer.Exit


def register(app: typer.Typer) -> None:
    """Add this command to the `raylib` application."""
    app.command()(version)
