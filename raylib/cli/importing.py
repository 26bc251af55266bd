"""`raylib import`: convert a recipe or configuration of another program."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from raylib import plugins
from raylib.errors import RaylibError, RecipeError
from raylib.outputs import output_file
from raylib.user_yaml import full_width_hint, read_document

if TYPE_CHECKING:
    from raylib.recipe.converted import Converted

__all__ = ["convert", "convert_file", "register"]


def import_(
    file: Annotated[Path, typer.Argument(help="Recipe of data-juicer, or configuration of LLaMA-Factory.")],
    out: Annotated[
        Path | None, typer.Option("--out", "-o", help="File to write. By default the result is printed.")
    ] = None,
) -> None:
    """Convert a data-juicer recipe or a LLaMA-Factory config. Settings without an equivalent are listed in comments."""
    made = convert_file(file)
    if out is None:
        typer.echo(made.to_yaml(), nl=False)
        return
    if out.exists():
        raise RaylibError(f"{out} exists; choose another name")
    output_file(out).write_text(made.to_yaml(), "utf-8")
    command = "raylib run" if made.kind == "recipe" else "raylib train"
    typer.echo("".join(f"{note}\n" for note in made.notes) + f"written: {out}; {command} {out}")


def convert_file(path: str | Path) -> Converted:
    """Read and convert a file.

    Args:
        path: Path of a YAML file of another program.

    Raises:
        RecipeError: The file cannot be read, or no importer recognises it; the message says what it should hold.
    """
    document = read_document(path, RecipeError)
    try:
        return convert(document.data, str(path))
    except RecipeError as error:
        hint = full_width_hint(document.text)
        raise (RecipeError(f"{error}; {hint}") if hint else error) from None


def convert(data: object, where: str = "configuration") -> Converted:
    """Convert a configuration that was read from YAML.

    Args:
        data: The configuration.
        where: Name of its place, for errors and notes.

    Raises:
        RecipeError: No importer recognises it; the message says what it should hold.
    """
    if isinstance(data, dict):
        for importer in plugins.importers():
            if importer.matches(data):
                return importer.convert(data, where)
    known = "; ".join(importer.RECOGNISED_BY for importer in plugins.importers())
    raise RecipeError(f"{where}: not a configuration that can be converted. Known: {known}")


def register(app: typer.Typer) -> None:
    """Add this command to the `raylib` application."""
    app.command("import")(import_)
