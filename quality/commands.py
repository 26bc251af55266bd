"""Commands about quality: `raylib classifier`, `raylib perplexity`, `raylib report diversity`."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import orjson
import typer

from raylib.command_options import Fresh, Quiet, Update
from raylib.errors import ParameterError, SourceError, nearest
from raylib.outputs import output_file, output_folder

if TYPE_CHECKING:
    from quality.models.classifier import TrainOptions

__all__ = ["classifier_app", "perplexity_app", "register", "report_app"]

classifier_app = typer.Typer(
    help="Train, evaluate and apply fastText classifiers of text; count the mixture of domains."
)
perplexity_app = typer.Typer(help="Train character n-gram models for the stage `perplexity`.")
report_app = typer.Typer(help="Write reports about data sets.")
Out = Annotated[str, typer.Option("--out", "-o", help="Folder to write to.")]
Text = Annotated[str, typer.Option(help="Field of the text.")]
Label = Annotated[str, typer.Option(help="Field of the label.")]
Sources = Annotated[list[str], typer.Argument(metavar="IN...", help="Files, folders, globs or URIs.")]
Model = Annotated[str, typer.Argument(help="Folder of a classifier, or a fastText .bin file.")]
_SHOWN = 5  # problems that are named


def _warn(problems: list[str]) -> None:
    """Name a few records that were passed over."""
    for line in problems[:_SHOWN]:
        typer.secho(f"passed over: {line}", fg=typer.colors.YELLOW, err=True)
    if len(problems) > _SHOWN:
        typer.secho(f"passed over: {len(problems) - _SHOWN} more", fg=typer.colors.YELLOW, err=True)


@classifier_app.command("train")
def classifier_train(
    source: Sources,
    out: Out,
    text: Text = "text",
    label: Label = "label",
    test_share: Annotated[
        float, typer.Option(min=0, max=0.9, help="Share of records to hold out and evaluate on; 0 means none.")
    ] = 0.2,
    tune: Annotated[
        bool, typer.Option("--tune", help="Whether to try a few options on a held-out eighth first.")
    ] = False,
    set_: Annotated[
        list[str], typer.Option("--set", help="Option of training, such as epochs=10 or segmenter=jieba.")
    ] = [],  # noqa: B006 - typer copies it
    seed: Annotated[int, typer.Option(help="Seed of the split.")] = 0,
) -> None:
    """Train a classifier on labelled records and evaluate it on records that it did not see."""
    from quality.models.classifier import TextClassifier, evaluation, lines_of, read_labelled, split
    from quality.models.classifier import tune as find

    options = _train_options(set_)
    output_folder(out)
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


def _train_options(items: list[str]) -> TrainOptions:
    """Options of training from `key=value` items. Raises RaylibError."""
    import pydantic

    from quality.models.classifier import TrainOptions
    from raylib.cli.settings import overrides
    from raylib.user_yaml import Where
    from raylib.validation import explain, with_words

    given = overrides(items)
    known = TrainOptions.__dataclass_fields__
    for key in given:
        if key not in known:
            raise ParameterError(f"--set {key}: no training option {key!r}{nearest(key, known)}")
    validate = pydantic.TypeAdapter(TrainOptions).validate_python
    try:
        made: TrainOptions = validate(with_words(validate, dict(given), Where("--set", written=given.written)))
    except pydantic.ValidationError as error:
        raise ParameterError(f"--set {explain(error)}") from None
    return made


@classifier_app.command("evaluate")
def classifier_evaluate(
    model: Model,
    source: Sources,
    text: Text = "text",
    label: Label = "label",
    json_: Annotated[bool, typer.Option("--json", help="Whether to print everything as JSON.")] = False,
) -> None:
    """Print precision, recall, F1, confusion and threshold curves on labelled records."""
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
    model: Model,
    source: Sources,
    out: Out,
    column: Annotated[str, typer.Option(help="Name of the new column.")] = "label",
    fresh: Fresh = False,
    update: Update = False,
    quiet: Quiet = False,
) -> None:
    """Label records: a run with the stage `classify` alone."""
    from raylib.cli.progress import run_shown
    from raylib.recipe import Recipe

    stage = {"classify": {"model": model, "column": column}}
    data = {"name": "classify", "input": {"path": list(source)}, "output": {"path": out}, "stages": [stage]}
    run_shown(Recipe.from_dict(data, "classifier apply"), fresh=fresh, limit=None, quiet=quiet, update=update)


@classifier_app.command("mixture")
def classifier_mixture(
    source: Annotated[str, typer.Argument(metavar="IN", help="Folder of a run, or files.")],
    by: Annotated[
        str, typer.Option(help="Column of the domain, such as source, or label after `classify`.")
    ] = "source",
    tokenizer: Annotated[
        str, typer.Option(help="Path of the tokenizer.json (or its folder) to count tokens with.")
    ] = "",
    json_: Annotated[bool, typer.Option("--json", help="Whether to print JSON.")] = False,
) -> None:
    """Count documents, characters and tokens of each domain. The stage `resample` brings a set to another mixture."""
    from quality.selection.mixture import mixture_of
    from raylib.records import Unread, tables_of
    from raylib.token_counts import load_tokenizer

    counter = load_tokenizer(tokenizer, "--tokenizer") if tokenizer else None
    unread = Unread()
    found = mixture_of(tables_of(source, scores=True, rejected=unread), by, counter)
    unread.tell(source)
    if not found:
        raise SourceError(f"{source}: no records to count")
    if json_:
        sys.stdout.write(orjson.dumps(found, option=orjson.OPT_INDENT_2).decode() + "\n")
        return
    _print_mixture(found, by, ["documents", "characters", *(["tokens"] if tokenizer else [])])


def _print_mixture(found: dict[str, dict[str, int]], by: str, units: list[str]) -> None:
    """Print a mixture as a table with shares."""
    from rich.console import Console
    from rich.table import Table

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
    out: Annotated[str, typer.Option("--out", "-o", help="Path of the model to write.")],
    order: Annotated[int, typer.Option(min=1, max=12, help="Number of characters of the longest n-gram.")] = 5,
    max_entries: Annotated[int, typer.Option(min=1, help="Number of n-grams to remember, 20 bytes each.")] = 20_000_000,
) -> None:
    """Count a character n-gram model on clean text, such as `out/kept` of an encyclopedia."""
    from quality.models.ngram import CharacterNgram
    from raylib.records import Unread, tables_of

    file, unread = output_file(out), Unread()
    tables = (table for path in source for table in tables_of(path, scores=True, rejected=unread))
    model = CharacterNgram.train(tables, order=order, max_entries=max_entries)
    unread.tell(", ".join(source))
    model.save(str(file))
    typer.echo(f"model of {model.texts:,} texts: {out}")


@report_app.command("diversity")
def report_diversity(
    sets: Annotated[list[str], typer.Argument(metavar="BEFORE [AFTER]", help="Folders of runs, or files.")],
    out: Out = "diversity",
    points: Annotated[int, typer.Option(min=10, max=100_000, help="Number of points to draw from each set.")] = 20_000,
    embedding: Annotated[
        str,
        typer.Option(
            help="Embedding: tfidf or a sentence-transformers model. Default: the column `embedding` if all have it."
        ),
    ] = "",
    colour: Annotated[
        list[str], typer.Option("--colour", "--color", help="Column to colour by first: source, cluster, or any other.")
    ] = [],  # noqa: B006 - typer copies it
    clusters: Annotated[
        int, typer.Option(min=0, help="Number of clusters; 0 means half the square root of the points.")
    ] = 0,
    perplexity: Annotated[float, typer.Option(min=2, help="Perplexity of t-SNE.")] = 35.0,
    seed: Annotated[int, typer.Option(help="Seed of samples, clusters and t-SNE.")] = 0,
) -> None:
    """Draw t-SNE maps, cluster sizes and diversity metrics of one set, or of several side by side: HTML, PNG, JSON."""
    from quality.diversity_report.drawing import DiversityOptions, sample_of
    from quality.diversity_report.page import write_report
    from raylib.records import Unread, tables_of

    if len(sets) > 4:
        raise ParameterError(f"{len(sets)} sets: a report shows up to four")
    output_folder(out)
    names = [Path(s.rstrip("/")).name or s for s in sets]
    if len(set(names)) < len(names):
        names = [s.rstrip("/") for s in sets]
    samples, unread = [], Unread()
    for name, path in zip(names, sets, strict=True):
        samples.append(sample_of(name, tables_of(path, scores=True, rejected=unread), points, seed))
    unread.tell(", ".join(sets))
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
