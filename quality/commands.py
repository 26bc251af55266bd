"""Commands about quality: `raylib classifier`, `raylib perplexity`, `raylib report diversity`."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Annotated, Any

import orjson
import typer

from raylib.errors import RaylibError
from raylib.records import tables_of

__all__ = ["classifier_app", "perplexity_app", "report_app"]


classifier_app = typer.Typer(help="fastText classifiers of text: train, evaluate, apply; the mixture of domains.")
perplexity_app = typer.Typer(help="Character n-gram models for the stage `perplexity`.")
report_app = typer.Typer(help="Reports about data sets.")
Out = Annotated[str, typer.Option("--out", "-o", help="Folder to write to.")]
Text = Annotated[str, typer.Option(help="Field of the text.")]
Label = Annotated[str, typer.Option(help="Field of the label.")]
Sources = Annotated[list[str], typer.Argument(metavar="IN...", help="Files, folders, globs or URIs.")]


def _warn(problems: list[str]) -> None:
    for line in problems[:5]:
        typer.secho(f"passed over: {line}", fg=typer.colors.YELLOW, err=True)
    if len(problems) > 5:
        typer.secho(f"passed over: {len(problems) - 5} more", fg=typer.colors.YELLOW, err=True)


@classifier_app.command("train")
def classifier_train(
    source: Sources,
    out: Out,
    text: Text = "text",
    label: Label = "label",
    test_share: Annotated[float, typer.Option(min=0, max=0.9, help="Held out and evaluated; 0: none.")] = 0.2,
    tune: Annotated[bool, typer.Option("--tune", help="Try a few settings on a held-out eighth first.")] = False,
    set_: Annotated[
        list[str], typer.Option("--set", help="A training option: --set epochs=10, --set segmenter=jieba")
    ] = [],  # noqa: B006 - typer copies it
    seed: Annotated[int, typer.Option(help="Of the split.")] = 0,
) -> None:
    """Train a classifier on labelled records and evaluate it on records that it did not see."""
    from quality.models.classifier import TextClassifier, evaluation, lines_of, read_labelled, split
    from quality.models.classifier import tune as find

    options = _train_options(set_)
    texts, labels, problems = read_labelled(source, text=text, label=label)
    _warn(problems)
    train, test = split(len(texts), test_share, seed)
    seen = [texts[i] for i in train], [labels[i] for i in train]
    if tune:
        options, trials = find(*seen, options, seed=seed)
        for trial in trials:
            typer.echo(", ".join(f"{k} {v}" for k, v in trial.items()))
    model = TextClassifier.train(*seen, options)
    if test:
        found = evaluation(model, [texts[i] for i in test], [labels[i] for i in test])
        model.facts["evaluation"] = found
        for line in lines_of(found):
            typer.echo(line)
    model.save(out)
    typer.echo(f"model of {len(train):,} records and {len(model.labels)} labels: {out}")


def _train_options(items: list[str]) -> Any:
    import pydantic
    import yaml

    from quality.models.classifier import TrainOptions
    from raylib.errors import nearest

    given: dict[str, Any] = {}
    known = TrainOptions.__dataclass_fields__
    for item in items:
        key, sign, value = item.partition("=")
        if not sign or key not in known:
            raise RaylibError(f"--set {item!r}: no training option {key!r}{nearest(key, known)}")
        given[key] = yaml.safe_load(value)
    try:
        return pydantic.TypeAdapter(TrainOptions).validate_python(given)
    except pydantic.ValidationError as error:
        first = error.errors()[0]
        raise RaylibError(f"--set {first['loc'][0]}: {first['msg']} (got {first['input']!r})") from None


@classifier_app.command("evaluate")
def classifier_evaluate(
    model: Annotated[str, typer.Argument(help="Folder of a classifier, or a fastText .bin file.")],
    source: Sources,
    text: Text = "text",
    label: Label = "label",
    json_: Annotated[bool, typer.Option("--json", help="Everything, as JSON.")] = False,
) -> None:
    """Precision, recall, F1, confusion and threshold curve on labelled records."""
    from quality.models.classifier import TextClassifier, evaluation, lines_of, read_labelled

    texts, labels, problems = read_labelled(source, text=text, label=label)
    _warn(problems)
    found = evaluation(TextClassifier.load(model), texts, labels)
    if json_:
        sys.stdout.write(orjson.dumps(found, option=orjson.OPT_INDENT_2).decode() + "\n")
        return
    for line in lines_of(found):
        typer.echo(line)


@classifier_app.command("apply")
def classifier_apply(
    model: Annotated[str, typer.Argument(help="Folder of a classifier, or a fastText .bin file.")],
    source: Sources,
    out: Out,
    column: Annotated[str, typer.Option(help="Name of the new column.")] = "label",
    quiet: Annotated[bool, typer.Option("--quiet", "-q", help="No progress display.")] = False,
) -> None:
    """Label records: a run with the one stage `classify`."""
    from raylib.cli.progress import run_shown
    from raylib.recipe import Recipe

    stage = {"classify": {"model": model, "column": column}}
    data = {"name": "classify", "input": {"path": list(source)}, "output": {"path": out}, "stages": [stage]}
    run_shown(Recipe.from_dict(data, "classifier apply"), fresh=False, limit=None, quiet=quiet)


@classifier_app.command("mixture")
def classifier_mixture(
    source: Annotated[str, typer.Argument(metavar="IN", help="Folder of a run, or files.")],
    by: Annotated[str, typer.Option(help="Column of the domain: source, or what `classify` added.")] = "source",
    tokenizer: Annotated[str, typer.Option(help="tokenizer.json (or its folder) to count tokens with.")] = "",
    json_: Annotated[bool, typer.Option("--json", help="As JSON.")] = False,
) -> None:
    """Documents, characters and tokens of each domain. The stage `resample` brings a set to another mixture."""
    from quality.selection.mixture import mixture_of
    from raylib.token_counts import load_tokenizer

    found = mixture_of(tables_of(source, scores=True), by, load_tokenizer(tokenizer) if tokenizer else None)
    if json_:
        sys.stdout.write(orjson.dumps(found, option=orjson.OPT_INDENT_2).decode() + "\n")
        return
    from rich.console import Console
    from rich.table import Table

    units = ["documents", "characters", *(["tokens"] if tokenizer else [])]
    totals = {u: sum(row[u] for row in found.values()) for u in units}
    table = Table(box=None, pad_edge=False)
    table.add_column(by)
    for unit in units:
        table.add_column(unit, justify="right")
        table.add_column("share", justify="right")
    for name, row in found.items():
        cells = [c for u in units for c in (f"{row[u]:,}", f"{100 * row[u] / max(totals[u], 1):.2f} %")]
        table.add_row(name or "(none)", *cells)
    Console().print(table)


@perplexity_app.command("train")
def perplexity_train(
    source: Sources,
    out: Annotated[str, typer.Option("--out", "-o", help="File of the model.")],
    order: Annotated[int, typer.Option(min=1, max=12, help="Characters of an n-gram.")] = 5,
    max_entries: Annotated[int, typer.Option(help="n-grams to remember, 20 bytes each.")] = 20_000_000,
) -> None:
    """Count a character n-gram model on clean text, such as `out/kept` of an encyclopedia."""
    from quality.models.ngram import CharacterNgram

    tables = (table for path in source for table in tables_of(path, scores=True))
    model = CharacterNgram.train(tables, order=order, max_entries=max_entries)
    model.save(out)
    typer.echo(f"model of {model.texts:,} texts: {out}")


@report_app.command("diversity")
def report_diversity(
    sets: Annotated[list[str], typer.Argument(metavar="BEFORE [AFTER]", help="Folders of runs, or files.")],
    out: Out = "diversity",
    points: Annotated[int, typer.Option(min=10, max=100_000, help="Points drawn from each set.")] = 20_000,
    embedding: Annotated[
        str,
        typer.Option(help="tfidf, a sentence-transformers model, or empty: the column `embedding` where there is one."),
    ] = "",
    colour: Annotated[
        list[str], typer.Option("--colour", "--color", help="First colour: source, cluster, a column.")
    ] = [],  # noqa: B006
    clusters: Annotated[int, typer.Option(min=0, help="0: half the square root of the points.")] = 0,
    perplexity: Annotated[float, typer.Option(min=2, help="Of t-SNE.")] = 35.0,
    seed: Annotated[int, typer.Option(help="Of sampling, clusters and t-SNE.")] = 0,
) -> None:
    """t-SNE maps, cluster sizes and diversity metrics of one set, or of two side by side: HTML, PNG and JSON."""
    from quality.diversity_report.drawing import DiversityOptions, sample_of
    from quality.diversity_report.page import write_report

    if len(sets) > 4:
        raise RaylibError(f"{len(sets)} sets: a report shows up to four")
    names = [Path(s.rstrip("/")).name or s for s in sets]
    if len(set(names)) < len(names):
        names = [s.rstrip("/") for s in sets]
    tables = [tables_of(path, scores=True) for path in sets]
    samples = [sample_of(name, held, points, seed) for name, held in zip(names, tables, strict=True)]
    options = DiversityOptions(points, embedding, clusters, perplexity, seed, tuple(colour))
    facts = write_report(samples, out, options)
    for name, metrics in facts["metrics"].items():
        typer.echo(f"{name}: " + ", ".join(f"{k.replace('_', ' ')} {v:,}" for k, v in metrics.items()))
    typer.echo(f"report: {out}/diversity.html")


def register(app: typer.Typer) -> None:
    """Add these commands to the `raylib` application."""
    app.add_typer(classifier_app, name="classifier")
    app.add_typer(perplexity_app, name="perplexity")
    app.add_typer(report_app, name="report")
