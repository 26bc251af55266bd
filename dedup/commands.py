"""Commands about duplicates: `raylib dedup` and `raylib index`."""

from __future__ import annotations

import sys
from typing import TYPE_CHECKING, Annotated, cast, get_args

import typer

from raylib.command_options import Fresh, Quiet, Update
from raylib.errors import ParameterError, SourceError, nearest
from raylib.outputs import output_folder

if TYPE_CHECKING:
    from dedup.index import MinHashIndex

__all__ = ["register"]

_METHODS = {"exact": "exact_dedup", "minhash": "minhash_dedup", "lines": "line_dedup", "semantic": "semantic_dedup"}


def dedup(
    source: Annotated[list[str], typer.Argument(metavar="IN...", help="Files, folders, globs or URIs of records.")],
    out: Annotated[str, typer.Option("--out", "-o", help="Folder of the run.")],
    *,
    method: Annotated[str, typer.Option(help="Method: exact, minhash, lines or semantic.")] = "minhash",
    threshold: Annotated[
        float | None,
        typer.Option(help="Least similarity of duplicates. Defaults: 0.7 for minhash, 0.95 for semantic."),
    ] = None,
    set_: Annotated[
        list[str], typer.Option("--set", help="Parameter of the stage, or key of a recipe: --set ngram=5")
    ] = [],  # noqa: B006 - typer copies it
    embedding: Annotated[
        str, typer.Option(help="Embedding for semantic: tfidf, or a sentence-transformers model.")
    ] = "tfidf",
    fresh: Fresh = False,
    update: Update = False,
    quiet: Quiet = False,
) -> None:
    """Deduplicate records without a recipe: `raylib dedup IN -o OUT --method minhash --threshold 0.8`."""
    from raylib.cli.progress import run_shown
    from raylib.cli.settings import overrides
    from raylib.recipe import Recipe

    if method not in _METHODS:
        raise ParameterError(f"--method {method!r}: there is no such method{nearest(method, _METHODS)}")
    if threshold is not None and method not in ("minhash", "semantic"):
        raise ParameterError(f"--threshold: {method} has no threshold; only minhash and semantic have one")
    settings = overrides(set_)
    dotted = {k: settings.pop(k) for k in list(settings) if "." in k}
    parameters = settings | ({"threshold": threshold} if threshold is not None else {})
    stages: list[dict[str, object]] = [{_METHODS[method]: parameters}]
    if method == "semantic":
        stages.insert(0, {"embed": {"model": embedding}})
    data = {"name": f"dedup-{method}", "input": {"path": list(source)}, "output": {"path": out}, "stages": stages}
    recipe = Recipe.from_dict(data, "dedup", overrides=dotted)
    run_shown(recipe, fresh=fresh, limit=None, quiet=quiet, update=update)


index_app = typer.Typer(help="Save records as an index, to deduplicate later data against or to find similar texts in.")


@index_app.command("build")
def _build(
    index: Annotated[str, typer.Argument(help="Folder of the new index.")],
    source: Annotated[list[str], typer.Argument(metavar="IN...", help="Records to add.")],
    threshold: Annotated[float, typer.Option(min=0, max=1, help="Least Jaccard similarity of duplicates.")] = 0.7,
    ngram: Annotated[int, typer.Option(min=1, help="Number of tokens of a shingle.")] = 5,
    unit: Annotated[str, typer.Option(help="What a token is: character or word.")] = "character",
    normalise: Annotated[
        str, typer.Option(help="What texts may differ in: none, strict, standard or loose.")
    ] = "standard",
) -> None:
    """Build an index of records, such as the folder `kept` of a run."""
    from dedup.folding import Level
    from dedup.index import MinHashIndex
    from dedup.shingles import Unit
    from raylib.reading.sources import find_files

    find_files(source)  # an index of nothing would stand in the way of the next attempt
    _check("unit", unit, Unit)
    _check("normalise", normalise, Level)
    output_folder(index, "INDEX")
    token, level = cast("Unit", unit), cast("Level", normalise)
    _add(MinHashIndex.create(index, threshold=threshold, ngram=ngram, unit=token, normalise=level), source)


def _check(name: str, value: str, choices: object) -> None:
    """Check that an option is one of the words of a literal type."""
    if value not in get_args(choices):
        raise ParameterError(f"--{name} {value!r}: there is no such {name}{nearest(value, get_args(choices))}")


@index_app.command("update")
def _update(
    index: Annotated[str, typer.Argument(help="Folder of the index.")],
    source: Annotated[list[str], typer.Argument(metavar="IN...", help="Records to add.")],
) -> None:
    """Add records to an index, as a new version."""
    from dedup.index import MinHashIndex

    _add(MinHashIndex(index), source)


def _add(index: MinHashIndex, source: list[str]) -> None:
    from raylib.records import Unread, tables_of

    unread = Unread()
    added = index.add(table for path in source for table in tables_of(path, rejected=unread))
    if not added:
        if not index.version:
            (index.path / "index.json").unlink()
        raise SourceError(f"{', '.join(source)}: no records to add" + (f"; {unread}" if unread.reasons else ""))
    typer.echo(f"{added:,} records added; version {index.version} of {index.path} holds {len(index):,}")
    if unread.reasons:
        typer.echo(f"warning: {unread}", err=True)


@index_app.command("query")
def _query(
    index: Annotated[str, typer.Argument(help="Folder of the index.")],
    text: Annotated[list[str], typer.Argument(help="Texts to look for; - reads one from each line of standard input.")],
    k: Annotated[int, typer.Option("-k", min=1, help="Largest number of records to show for a text.")] = 5,
    min_similarity: Annotated[float, typer.Option(min=0, max=1, help="Least estimated Jaccard similarity.")] = 0.3,
) -> None:
    """Find records of an index that are similar to texts as a whole. Prints one JSON object for each text as it comes.

    A sentence is not similar to the long record that holds it: give the whole text of a page or instruction.
    """
    import json
    from dataclasses import asdict

    from dedup.index import MinHashIndex

    opened = MinHashIndex(index)
    for query in sys.stdin if text == ["-"] else text:
        matches = [asdict(m) for m in opened.query(query.rstrip("\n"), k=k, min_similarity=min_similarity)]
        typer.echo(json.dumps({"query": query.rstrip("\n")[:80], "matches": matches}, ensure_ascii=False))


def register(app: typer.Typer) -> None:
    """Add these commands to the `raylib` application.

    Args:
        app: The application.
    """
    app.command()(dedup)
    app.add_typer(index_app, name="index")
