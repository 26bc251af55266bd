"""Options of every command that runs a plan into a folder, or that serves a page."""

from __future__ import annotations

from typing import Annotated, TypeAlias

import typer

__all__ = ["Fresh", "NoToken", "Quiet", "Update"]

Fresh: TypeAlias = Annotated[
    bool, typer.Option("--fresh/--resume", help="Delete an earlier run's output first, or continue it (default).")
]
Update: TypeAlias = Annotated[
    bool, typer.Option("--update", help="Redo what another plan affects in a folder that holds an earlier run.")
]
Quiet: TypeAlias = Annotated[bool, typer.Option("--quiet", "-q", help="Show no progress display.")]
NoToken: TypeAlias = Annotated[
    bool,
    typer.Option("--no-token", help="Whether every user of this machine may open the page, without a token."),
]
