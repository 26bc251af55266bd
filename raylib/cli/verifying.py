"""`raylib verify`: whether a finished folder is whole."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Annotated

import typer

if TYPE_CHECKING:
    from raylib.storage.verification import Verified

__all__ = ["register"]

_SHOWN = 20  # problems in words; all of them are in the JSON


def verify(
    out: Annotated[str, typer.Argument(help="Output folder of a run, or a token folder.")],
    as_json: Annotated[bool, typer.Option("--json", help="Whether to print JSON in place of a table.")] = False,
) -> None:
    """Check that a run or a token folder is whole: sizes and checksums of all files, and the number of records.

    Nothing is changed. The exit code is 1 if something is damaged or missing.
    """
    from raylib.storage.token_folder import is_token_folder, verify_tokens
    from raylib.storage.verification import verify_run

    found = verify_tokens(out) if is_token_folder(out) else verify_run(out)
    if as_json:
        typer.echo(json.dumps(found.to_json(), ensure_ascii=False, indent=2))
    else:
        _show(found)
    raise typer.Exit(0 if found.whole else 1)


def _show(found: Verified) -> None:
    from rich.console import Console
    from rich.table import Table

    table = Table(box=None, pad_edge=False)
    table.add_column(found.path, overflow="fold")
    for column in ("files", "bytes", "damaged", "missing", "without a checksum"):
        table.add_column(column, justify="right")
    for name, area in found.areas.items():
        numbers = (area.files, area.bytes, area.damaged, area.missing, area.unsummed)
        table.add_row(name, *(f"{number:,}" for number in numbers))
    console = Console()
    console.print(table)
    for problem in found.problems[:_SHOWN]:
        console.print(problem, highlight=False, markup=False, soft_wrap=True)
    if len(found.problems) > _SHOWN:
        console.print(f"... and {len(found.problems) - _SHOWN} more (--json names all)")
    for line in _verdict(found):
        console.print(line, highlight=False, markup=False, soft_wrap=True)


def _verdict(found: Verified) -> list[str]:
    if found.problems:
        return [f"damaged: {found.advice}"]
    lines = ["whole: every file is as it was written"]
    if found.records_in:
        in_, kept, rejected = found.records_in, found.records_kept, found.records_rejected
        lines.append(f"{in_:,} records in, {kept:,} kept, {rejected:,} rejected")
    if not found.finished:
        lines.append("the run has not ended: the same command continues it")
    return lines


def register(app: typer.Typer) -> None:
    """Add this command to the `raylib` application."""
    app.command()(verify)
