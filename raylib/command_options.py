"""Options of every command that runs a plan into a folder."""

from __future__ import annotations

from typing import Annotated, TypeAlias

import typer

__all__ = ["Fresh", "Quiet", "Update"]

Fresh: TypeAlias = Annotated[
    bool, typer.Option("--fresh/--resume", help="Delete an earlier run's output first, or continue it (default).")
]
Update: TypeAlias = Annotated[
    bool, typer.Option("--update", help="Redo what another plan affects in a folder that holds an earlier run.")
]
Quiet: TypeAlias = Annotated[bool, typer.Option("--quiet", "-q", help="Show no progress display.")]
