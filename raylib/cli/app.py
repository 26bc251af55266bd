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
from raylib.cli import (
    dashboard,
    importing,
    jobs,
    logs,
    looking,
    reviewing,
    running,
    schema,
    streams,
    verifying,
    versions,
)
from raylib.cluster.proxies import pass_by_proxies
from raylib.credentials import secret_in_command
from raylib.errors import RaylibError
from raylib.extras import missing_extra

__all__ = ["app", "main"]

logger = logging.getLogger(__name__)

# Errors of the operating system that are no bug of ours: about a file, and about the whole machine.
_OF_A_FILE = {errno.EACCES, errno.EPERM, errno.EROFS, errno.ENAMETOOLONG, errno.EISDIR, errno.ENOTDIR, errno.ELOOP}
_OF_THE_MACHINE = {
    errno.ENOSPC: "make room",
    errno.EDQUOT: "make room",
    errno.EFBIG: "set `ulimit -f unlimited`",
    errno.EIO: "look at the disk",
    errno.EMFILE: "set `ulimit -n 65536`",
    errno.ENFILE: "close other programs",
    errno.ENOMEM: "give more memory",
}
_BUG = (
    "This is a bug of raylib: please report it with the lines above, the command and the output of `raylib --version`"
)


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
    streams.keep_open()
    termination.install()
    pass_by_proxies()
    try:
        _run()
    except BaseException as error:
        status = error.code if isinstance(error, SystemExit) else 1
        termination.note_exit(status)
        asked = termination.status() or (termination.INTERRUPTED if status == termination.INTERRUPTED else None)
        if asked is None:
            if not isinstance(error, SystemExit) and hasattr(error, "add_note"):  # since Python 3.11
                error.add_note(_BUG)
            raise
        if status not in (0, None):  # after a signal, whatever the command ended with follows from it
            typer.secho(termination.CONTINUES, err=True)
        sys.exit(asked)


def _run() -> None:
    try:
        if not _has_working_folder():
            raise RaylibError("the working folder has been deleted; change to a folder that exists (cd)")
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
        _end_with(str(shown))
    except MemoryError:
        logger.debug("the error was raised here", exc_info=True)
        _end_with("there is not enough memory; give more, or set a smaller engine.batch_mb")
    except OSError as error:
        words = _words(error)
        if not words:
            raise
        logger.debug("the error was raised here", exc_info=True)
        _end_with(words)


def _has_working_folder() -> bool:
    try:
        os.getcwd()
    except FileNotFoundError:
        return False
    return True


def _words(error: OSError) -> str:
    """What an error of the operating system says about the machine or a file; empty if it may be a bug of ours."""
    place = "" if error.filename is None else f"{os.fsdecode(error.filename)}: "
    if error.errno in _OF_THE_MACHINE:
        return f"{place}{error.strerror}; {_OF_THE_MACHINE[error.errno]}"
    return f"{place}{error.strerror}" if place and error.errno in _OF_A_FILE else ""


def _end_with(text: str) -> None:
    typer.secho(f"error: {text}", fg=typer.colors.RED, err=True)
    sys.exit(1)
