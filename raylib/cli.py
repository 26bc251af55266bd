"""The `raylib` command."""

from __future__ import annotations

import sys
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer
import yaml

from raylib.engine import Progress
from raylib.errors import RaylibError
from raylib.jobs_cli import register_job_commands
from raylib.quality_cli import classifier_app, perplexity_app, report_app
from raylib.train_cli import register_commands

if TYPE_CHECKING:
    from raylib.recipe import Recipe

__all__ = ["app", "main", "overrides", "run_shown"]

app = typer.Typer(
    help="Clean, deduplicate and score text for language models, on Ray. Start with `raylib run recipe.yaml`.",
    no_args_is_help=True,
    add_completion=False,
    pretty_exceptions_enable=False,
)


def _print_versions(wanted: bool) -> None:
    if wanted:
        version()
        raise typer.Exit


@app.callback()
def _options(
    version: Annotated[bool, typer.Option("--version", callback=_print_versions, is_eager=True, help="Print versions and exit.")] = False,
) -> None:  # fmt: skip
    """Options of the program itself."""


class _Bars(Progress):
    """Progress bars with documents/s, MB/s, kept share and time left; plain lines where there is no terminal."""

    def __init__(self) -> None:
        from rich.console import Console
        from rich.progress import BarColumn, TextColumn, TimeElapsedColumn, TimeRemainingColumn
        from rich.progress import Progress as RichProgress

        self.console = Console(stderr=True)
        self._bars = RichProgress(
            TextColumn("{task.description:<42}"),
            BarColumn(bar_width=24),
            TextColumn("{task.percentage:>3.0f} %"),
            TextColumn("{task.fields[speed]}"),
            TimeElapsedColumn(),
            TextColumn("left"),
            TimeRemainingColumn(),
            console=self.console,
            disable=not self.console.is_terminal,
        )
        self._bars.start()
        self._task: Any = None
        self._speed = ""

    def phase(self, name: str, total_bytes: int, total_shards: int | None) -> None:
        import time

        self._finish()
        self._records = self._kept = self._bytes = self._resumed = 0
        self._by_bytes = total_bytes > 0 and total_shards is None
        self._total = total_bytes if self._by_bytes else (total_shards or 1)
        self._begun, self._name = time.perf_counter(), name
        self._task = self._bars.add_task(name, total=self._total, speed="")
        if not self.console.is_terminal:
            self.console.print(f"{name} ...", highlight=False)

    def advance(self, entry: Mapping[str, Any], done_bytes: int, *, resumed: bool) -> None:
        import time

        if resumed:
            self._resumed += 1
        else:
            self._records += entry.get("records_in", 0)
            self._kept += entry.get("records_out", 0)
            self._bytes += entry.get("bytes_in", 0)
        seconds = max(time.perf_counter() - self._begun, 1e-6)
        speed = f"{self._records / seconds:,.0f} docs/s"
        if self._bytes:
            speed += f"  {self._bytes / 1e6 / seconds:,.1f} MB/s"
        if self._records:
            speed += f"  {100 * self._kept / self._records:.1f} % kept"
        if self._resumed:
            speed += f"  {self._resumed} shards done before"
        self._speed = speed
        if self._by_bytes:
            self._bars.update(self._task, completed=min(done_bytes, self._total), speed=speed)
        else:
            self._bars.update(self._task, advance=1, speed=speed)

    def message(self, text: str) -> None:
        self.console.print(text, highlight=False, style="dim")

    def _finish(self) -> None:
        if self._task is not None:
            self._bars.update(self._task, completed=self._total)
            if not self.console.is_terminal and self._speed:
                self.console.print(f"  {self._speed}", highlight=False)
            self._task = None

    def close(self) -> None:
        self._finish()
        self._bars.stop()


def overrides(items: list[str]) -> dict[str, Any]:
    out: dict[str, Any] = {}
    for item in items:
        key, sign, value = item.partition("=")
        if not sign or not key:
            raise RaylibError(f"--set {item!r}: write --set key=value, for example --set engine.actors=4")
        try:
            out[key.strip()] = yaml.safe_load(value) if value else ""
        except yaml.YAMLError as error:
            raise RaylibError(f"--set {item!r}: the value is not YAML: {error}") from None
    return out


@app.command()
def run(
    recipe: Annotated[Path, typer.Argument(help="YAML recipe.")],
    set_: Annotated[
        list[str], typer.Option("--set", help="Override a recipe key: --set input.path=data/*.jsonl.gz")
    ] = [],  # noqa: B006 - typer copies it
    fresh: Annotated[
        bool, typer.Option("--fresh/--resume", help="Delete an earlier run's output first, or continue it (default).")
    ] = False,
    address: Annotated[str, typer.Option(help="Address of a running Ray cluster.")] = "",
    limit: Annotated[int | None, typer.Option(min=1, help="Read only the first N records.")] = None,
    quiet: Annotated[bool, typer.Option("--quiet", "-q", help="No progress display.")] = False,
) -> None:
    """Run a recipe: read, clean, deduplicate, write, report."""
    from raylib.recipe import Recipe

    given = overrides(set_)
    if address:
        given["engine.address"] = address
    run_shown(Recipe.from_file(recipe, given), fresh=fresh, limit=limit, quiet=quiet)


def run_shown(recipe: Recipe, *, fresh: bool, limit: int | None, quiet: bool) -> None:
    """Run with a progress display, then print the summary."""
    from raylib.engine import run as run_recipe

    bars = None if quiet else _Bars()
    try:
        result = run_recipe(recipe, fresh=fresh, limit=limit, progress=bars)
    finally:
        if bars is not None:
            bars.close()
    _print_summary(result.path, result.summary)


def _print_summary(path: str, summary: Mapping[str, Any]) -> None:
    from rich.console import Console
    from rich.table import Table

    console = Console()
    table = Table(box=None, pad_edge=False)
    table.add_column("stage")
    for name in ("in", "rejected", "changed", "seconds"):
        table.add_column(name, justify="right")
    for name, counts in summary["by_stage"].items():
        table.add_row(
            name, f"{counts['in']:,}", f"{counts['rejected']:,}", f"{counts['changed']:,}", f"{counts['seconds']:.2f}"
        )
    console.print(table)
    share = 100 * summary["records_kept"] / max(summary["records_in"], 1)
    console.print(
        f"{summary['records_in']:,} records in = {summary['records_kept']:,} kept ({share:.1f} %) + "
        f"{summary['records_rejected']:,} rejected, {summary['seconds']:.1f} s, {summary['mb_per_second']:.1f} MB/s",
        highlight=False,
    )
    if summary["skipped_file_count"]:
        console.print(f"{summary['skipped_file_count']} files with unknown extensions were passed over")
    console.print(f"report: {path}/report.html", highlight=False, soft_wrap=True)


Method = Annotated[str, typer.Option(help="exact, minhash, lines or semantic.")]
_METHODS = {"exact": "exact_dedup", "minhash": "minhash_dedup", "lines": "line_dedup", "semantic": "semantic_dedup"}


@app.command()
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
    from raylib.recipe import Recipe
    from raylib.stage import nearest

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


register_commands(app)
register_job_commands(app)
app.add_typer(classifier_app, name="classifier")
app.add_typer(perplexity_app, name="perplexity")
app.add_typer(report_app, name="report")

index_app = typer.Typer(help="A saved set to deduplicate later data against, or to ask for similar texts.")
app.add_typer(index_app, name="index")


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
    from raylib.stage import tables_of

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


@app.command()
def inspect(
    path: Annotated[str, typer.Argument(help="File, folder, glob or URI; or the output folder of a run.")],
    samples: Annotated[int, typer.Option("--samples", "-n", help="How many records to show.")] = 3,
    encoding: Annotated[str, typer.Option(help="auto or a codec name.")] = "auto",
    limit: Annotated[int | None, typer.Option(help="Look at the first N records only.")] = None,
) -> None:
    """Show what a data set holds: files, kind, schema, counts, sources, lengths, unreadable records, samples."""
    from rich.console import Console

    from raylib.inspection import inspect_path

    console = Console()
    for line in inspect_path(path, samples=samples, encoding=encoding, limit=limit):
        console.print(line, highlight=False, markup=False, soft_wrap=True)


@app.command()
def rules(
    name: Annotated[str, typer.Argument(help="A rule to explain; empty: list all.")] = "",
) -> None:
    """List all stages, or explain one: parameters, defaults, examples."""
    from rich.console import Console
    from rich.table import Table

    from raylib.reference import stage_markdown
    from raylib.stage import stage_info, stage_names

    console = Console()
    if name:
        try:
            info = stage_info(name)
        except KeyError as error:
            raise RaylibError(error.args[0]) from None
        console.print(stage_markdown(info), highlight=False, markup=False)
        return
    table = Table(box=None, pad_edge=False)
    for column in ("stage", "kind", "what it does"):
        table.add_column(column)
    for stage in stage_names():
        info = stage_info(stage)
        table.add_row(stage, info.kind, info.summary.strip().split("\n")[0])
    console.print(table)


@app.command()
def diff(
    out: Annotated[str, typer.Argument(help="Output folder of a run.")],
    rule: Annotated[str, typer.Option("--rule", "-r", help="Only this stage.")] = "",
    samples: Annotated[int, typer.Option("--samples", "-n", help="Changed texts to show for each stage.")] = 3,
) -> None:
    """Show what each rule changed or rejected, on the sampled records of a run."""
    from rich.console import Console

    from raylib.inspection import trace_run

    console = Console()
    for line in trace_run(out, rule=rule, samples=samples):
        console.print(line, highlight=False, soft_wrap=True)


@app.command()
def ui(
    out: Annotated[str, typer.Argument(help="Output folder of a run, or folder of a training run.")],
    host: Annotated[
        str, typer.Option(help="Address to listen on; anything but loopback asks for a token.")
    ] = "127.0.0.1",
    port: Annotated[int, typer.Option(min=1, max=65535)] = 8700,
) -> None:
    """Serve a live page of a run: progress, funnel, rejects with search. RAYLIB_UI_TOKEN sets the token."""
    import os

    from raylib.ui import serve

    serve(out, host=host, port=port, token=os.environ.get("RAYLIB_UI_TOKEN", ""), say=typer.echo)


@app.command("import")
def import_(
    file: Annotated[Path, typer.Argument(help="Recipe of data-juicer, or configuration of LLaMA-Factory.")],
    out: Annotated[Path | None, typer.Option("--out", "-o", help="File to write; empty: to the terminal.")] = None,
) -> None:
    """Turn a recipe of data-juicer or a configuration of LLaMA-Factory into one of ours; what has no counterpart is told."""
    from raylib.migrate import convert_file

    made = convert_file(file)
    if out is None:
        typer.echo(made.to_yaml(), nl=False)
        return
    if out.exists():
        raise RaylibError(f"{out} exists; choose another name")
    out.write_text(made.to_yaml(), "utf-8")
    command = "raylib run" if made.kind == "recipe" else "raylib train"
    typer.echo("".join(f"{note}\n" for note in made.notes) + f"written: {out}; {command} {out}")


@app.command()
def version() -> None:
    """Print versions."""
    from raylib.versions import versions

    for package, number in versions().items():
        typer.echo(f"{package} {number}")


def main() -> None:
    """Entry point: errors that we raise on purpose are one clear line, not a traceback."""
    try:
        app(standalone_mode=True)
    except (RaylibError, ValueError) as error:
        typer.secho(f"error: {error}", fg=typer.colors.RED, err=True)
        sys.exit(1)
    except KeyboardInterrupt:
        typer.secho("interrupted; run the same command again to continue", err=True)
        sys.exit(130)
