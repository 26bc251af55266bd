"""`raylib schema`: the JSON schema by which editors complete and check a file."""

from __future__ import annotations

import json
from typing import Annotated

import typer

from raylib import plugins

__all__ = ["register"]


def schema(
    kind: Annotated[str, typer.Argument(help="Kind of file: recipe or training.")],
) -> None:
    """Print the JSON schema (draft 2020-12) of recipes or of training configurations.

    Editors with the YAML language server use it when the first line of a file is
    `# yaml-language-server: $schema=recipe.schema.json`.
    """
    typer.echo(json.dumps(plugins.schema(kind), ensure_ascii=False, indent=2))


def register(app: typer.Typer) -> None:
    """Add this command to the `raylib` application."""
    app.command()(schema)
