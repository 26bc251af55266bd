"""The `raylib` command: the application, its own options, and the commands that packages add."""

from __future__ import annotations

import sys
from collections.abc import Callable, Iterator
from typing import Annotated

import typer

from raylib import plugins
from raylib.cli import dashboard, importing, jobs, logs, looking, running, schema, versions
from raylib.errors import RaylibError
from raylib.extras import missing_extra

__all__ = ["app", "main"]

_INTERRUPTED = 130  # exit code of a process that SIGINT ended


app = typer.Typer(
    help="Clean, deduplicate and score text for language models, on Ray. Start with `raylib run recipe.yaml`.",
    no_args_is_help=True,
    add_completion=False,
    pretty_exceptions_enable=False,
)


@app.callback()
def _options(
    verbose: Annotated[
        int, typer.Option("--verbose", "-v", count=True, help="Log what happens; twice: log details, too.")
    ] = 0,
    quiet: Annotated[bool, typer.Option("--quiet", "-q", help="Log errors only.")] = False,
    version: Annotated[
        bool,
        typer.Option("--version", callback=versions.print_and_exit, is_eager=True, help="Print versions and exit."),
    ] = False,
) -> None:
    """Options of the application itself."""
    logs.configure(verbose=verbose, quiet=quiet)


_problems: list[RaylibError] = []


def _commands_of_packages() -> Iterator[Callable[[typer.Typer], None]]:
    """Their commands; what cannot be loaded is kept for `main`, because this happens while modules are imported."""
    try:
        yield from plugins.commands()
    except RaylibError as error:
        _problems.append(error)


for _register in (
    versions.register,
    running.register,
    *_commands_of_packages(),
    jobs.register,
    dashboard.register,
    looking.register,
    importing.register,
    schema.register,
):
    _register(app)


def main() -> None:
    """Entry point: errors that raylib raises on purpose are one clear line; anything else shows its traceback."""
    try:
        for problem in _problems:
            raise problem
        app(standalone_mode=True)
    except (RaylibError, ModuleNotFoundError) as error:
        shown = error if isinstance(error, RaylibError) else missing_extra(error, "this command")
        if shown is None:
            raise
        typer.secho(f"error: {shown}", fg=typer.colors.RED, err=True)
        sys.exit(1)
    except SystemExit as end:
        if end.code == _INTERRUPTED:  # what typer makes of a KeyboardInterrupt
            typer.secho("interrupted; run the same command again to continue", err=True)
        raise
