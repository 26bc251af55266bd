"""The `raylib` command: the application, its own options, and the commands that packages add."""

from __future__ import annotations

import errno
import logging
import os
import sys
from collections.abc import Callable, Iterator
from typing import Annotated

import typer

from raylib import plugins, termination
from raylib.cli import dashboard, importing, jobs, logs, looking, reviewing, running, schema, verifying, versions
from raylib.credentials import secret_in_command
from raylib.errors import RaylibError
from raylib.extras import missing_extra

__all__ = ["app", "main"]

logger = logging.getLogger(__name__)

_OF_THE_SYSTEM = {errno.EACCES, errno.EPERM, errno.EROFS, errno.ENOSPC, errno.EDQUOT, errno.EIO, errno.ENAMETOOLONG}
_INTERRUPTED = 130  # exit code of a process that SIGINT ended; what typer makes of a KeyboardInterrupt


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
    verifying.register,
    reviewing.register,
    importing.register,
    schema.register,
):
    _register(app)


def main() -> None:
    """Entry point: errors that raylib raises on purpose, and of the operating system, are one clear line.

    Anything else is a bug, and shows its traceback.
    """
    termination.install()
    try:
        _run()
    except BaseException as error:
        status = error.code if isinstance(error, SystemExit) else 1
        termination.note_exit(status)
        if status in (0, None) or not (termination.was_terminated() or status == _INTERRUPTED):
            raise
        # after a signal, whatever the command ended with follows from it
        typer.secho("interrupted; run the same command again to continue", err=True)
        sys.exit(termination.TERMINATED if termination.was_terminated() else _INTERRUPTED)


def _run() -> None:
    try:
        for problem in _problems:
            raise problem
        secret = secret_in_command(sys.argv[1:])
        if secret:
            raise RaylibError(secret)
        app(standalone_mode=True)
    except (RaylibError, ModuleNotFoundError) as error:
        shown = error if isinstance(error, RaylibError) else missing_extra(error, "this command")
        if shown is None or termination.was_terminated():
            raise
        typer.secho(f"error: {shown}", fg=typer.colors.RED, err=True)
        sys.exit(1)
    except OSError as error:
        if error.filename is None or error.errno not in _OF_THE_SYSTEM:
            raise
        logger.debug("the error was raised here", exc_info=True)
        typer.secho(f"error: {os.fsdecode(error.filename)}: {error.strerror}", fg=typer.colors.RED, err=True)
        sys.exit(1)
