"""Commands about duplicates: `raylib dedup` and `raylib index`."""

from __future__ import annotations

import sys
from typing import Annotated, Any

import typer

from raylib.cli.progress import run_shown
from raylib.cli.settings import overrides
from raylib.errors import RaylibError

Method = Annotated[str, typer.Option(help="exact, minhash, lines or semantic.")]
_METHODS = {"exact": "exact_dedup", "minhash": "minhash_dedup", "lines": "line_dedup", "semantic": "semantic_dedup"}


def dedup(
    source: Annotated[list[str], typer.Argument(metavar="IN...", help="Files, folders, globs or URIs.")],
    out: Annotated[str, typer.Option("--out", "-o", help="Folder of the run.")],
    method: Method = "minhash",
    threshold: Annotated[float | None, typer.Option(help="Similarity; minhash 0.7, semantic 0.95.")] = None,
    set_: Annotated[
        list[str], typer.Option("--set", help="A parameter of the stage or a recipe key: --set ngram=5")
    ] = [],  # noqa: B006 - typer copies it
    embedding: Annotated[str, typer.Option(help="For semantic: tfidf, or a sentence-transformers model.")] = "tfidf",
    fresh: Annotated[bool, typer.Option("--fresh/--resume", help="Start over, or continue (default).")] = False,
    quiet: Annotated[bool, typer.Option("--quiet", "-q", help="No progress display.")] = False,
) -> None:
    """Deduplicate records without a recipe: `raylib dedup IN -o OUT --method minhash --threshold 0.8`."""
    from raylib.errors import nearest
    from raylib.recipe import Recipe

    if method not in _METHODS:
        raise RaylibError(f"--method {method!r}: no such method{nearest(method, _METHODS)}")
    name = _METHODS[method]
    if threshold is not None and method not in ("minhash", "semantic"):
        raise RaylibError(f"--threshold: {method} has no threshold; it belongs to minhash and semantic")
    settings = overrides(set_)
    dotted = {k: settings.pop(k) for k in list(settings) if "." in k}
    parameters = settings | ({"threshold": threshold} if threshold is not None else {})
    stages: list[Any] = [{name: parameters}]
    if method == "semantic":
        stages.insert(0, {"embed": {"model": embedding}})
    data = {"name": f"dedup-{method}", "input": {"path": list(source)}, "output": {"path": out}, "stages": stages}
    run_shown(Recipe.from_dict(data, "dedup", overrides=dotted), fresh=fresh, limit=None, quiet=quiet)


index_app = typer.Typer(help="A saved set to deduplicate later data against, or to ask for similar texts.")


@index_app.command("build")
def index_build(
    index: Annotated[str, typer.Argument(help="Folder of the new index.")],
    source: Annotated[list[str], typer.Argument(metavar="IN...", help="Records to put into it.")],
    threshold: Annotated[float, typer.Option(help="Jaccard from which records count as the same.")] = 0.7,
    ngram: Annotated[int, typer.Option(help="Tokens in a shingle.")] = 5,
    unit: Annotated[str, typer.Option(help="character or word.")] = "character",
) -> None:
    """Make an index of records, such as `out/kept` of a run."""
    from dedup.index import MinHashIndex

    if unit not in ("character", "word"):
        raise RaylibError(f"--unit {unit!r}: character or word")
    _index_add(MinHashIndex.create(index, threshold=threshold, ngram=ngram, unit=unit), source)


@index_app.command("update")
def index_update(
    index: Annotated[str, typer.Argument(help="Folder of the index.")],
    source: Annotated[list[str], typer.Argument(metavar="IN...", help="Records to add.")],
) -> None:
    """Add records to an index, as a new version."""
    from dedup.index import MinHashIndex

    _index_add(MinHashIndex(index), source)


def _index_add(index: Any, source: list[str]) -> None:
    from raylib.records import tables_of

    added = index.add(table for path in source for table in tables_of(path))
    typer.echo(f"{added:,} records added; version {index.version} of {index.path} holds {len(index):,}")


@index_app.command("query")
def index_query(
    index: Annotated[str, typer.Argument(help="Folder of the index.")],
    text: Annotated[list[str], typer.Argument(help="Texts; - reads one a line from standard input.")],
    k: Annotated[int, typer.Option("-k", help="Records to show for a text.")] = 5,
    min_similarity: Annotated[float, typer.Option(help="Least estimated Jaccard.")] = 0.3,
) -> None:
    """What in the index is close to this text? Answers as they come, one JSON object a line."""
    import json
    from dataclasses import asdict

    from dedup.index import MinHashIndex

    opened = MinHashIndex(index)
    for query in sys.stdin if text == ["-"] else text:
        matches = [asdict(m) for m in opened.query(query.rstrip("\n"), k=k, min_similarity=min_similarity)]
        typer.echo(json.dumps({"query": query.rstrip("\n")[:80], "matches": matches}, ensure_ascii=False))


def register(app: typer.Typer) -> None:
    """Add these commands to the `raylib` application."""
    app.command()(dedup)
    app.add_typer(index_app, name="index")
