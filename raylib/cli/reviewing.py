"""`raylib review`: judge decisions of a run, and turn the answers into figures and better thresholds."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from raylib.command_options import NoToken
from raylib.errors import ParameterError

if TYPE_CHECKING:
    from raylib.review.decisions import Decision
    from raylib.review.rules import FinishedRun

__all__ = ["register"]


def review(
    out: Annotated[str, typer.Argument(metavar="RUN", help="Output folder of a finished run.")],
    *,
    rule: Annotated[
        list[str],
        typer.Option("--rule", "-r", help="Label of a stage to review; may be given several times. By default all."),
    ] = [],  # noqa: B006 - typer copies it
    sample: Annotated[int, typer.Option(min=1, max=10_000, help="Number of decisions to draw, over all rules.")] = 100,
    output: Annotated[
        str,
        typer.Option(
            "-o",
            "--output",
            help="Path of the file to write: decisions to be answered or, with --answers, the figures as JSON.",
        ),
    ] = "",
    answers: Annotated[str, typer.Option(help="Path of a file of decisions with their answers filled in.")] = "",
    recipe: Annotated[
        str, typer.Option(help="Path of the recipe to write with the proposed thresholds; needs --answers.")
    ] = "",
    browser: Annotated[
        bool, typer.Option("--browser", help="Whether to judge in the browser, the default without -o and --answers.")
    ] = False,
    port: Annotated[int, typer.Option(min=1, max=65535, help="Port of the page in the browser.")] = 8701,
    no_token: NoToken = False,
    json_: Annotated[bool, typer.Option("--json", help="Whether to print figures as JSON; needs --answers.")] = False,
) -> None:
    """Judge borderline decisions of a run; get precision, recall, lost characters and better thresholds.

    Without options it serves a page on which the keys 1, 2 and 3 answer. `-o FILE` writes the decisions for others, or
    for a program, to answer; `--answers FILE` turns the answers into figures.
    """
    from raylib.review.rules import FinishedRun

    for option, given in (("--recipe", bool(recipe)), ("--json", json_)):
        if given and not answers:
            raise ParameterError(f"{option} shows what answers say; name their file by --answers FILE")
    if answers and browser:
        raise ParameterError("--browser collects answers and --answers evaluates them; give one of them")
    run = FinishedRun.open(out)
    if answers:
        _evaluate(run, answers, rule, output=output, recipe=recipe, as_json=json_)
        return
    path = Path(output or f"{out.rstrip('/')}.review.jsonl")
    if browser or not output:
        _judge(run, path, rule, sample, port, "" if no_token else None)
    else:
        _write(run, path, rule, sample)


def _drawn(run: FinishedRun, names: Sequence[str], sample: int) -> list[Decision]:
    from raylib.review.drawing import draw
    from raylib.review.population import populations

    rules = run.rules(names)
    decisions = draw(run, rules, populations(run, rules), sample)
    if not decisions:
        raise ParameterError("there is nothing to review: no rule of the run changed or rejected a record")
    return decisions


def _write(run: FinishedRun, path: Path, names: Sequence[str], sample: int) -> None:
    """Write decisions to be answered, but not over answers."""
    from raylib.outputs import output_file
    from raylib.review.decisions import read_decisions, write_decisions

    file = output_file(path, "-o")
    if file.exists():
        try:
            answered = sum(bool(d.answer) for d in read_decisions(file, run.name))
        except ParameterError as error:
            raise ParameterError(f"-o {str(path)!r} exists and is not a file of this review ({error})") from None
        if answered:
            raise ParameterError(f"-o {str(path)!r} holds {answered} answers; name another file, or remove it")
    decisions = _drawn(run, names, sample)
    write_decisions(file, decisions)
    rules = len({d.rule for d in decisions})
    typer.echo(f"{len(decisions)} decisions of {rules} {'rule' if rules == 1 else 'rules'}: {path}")
    typer.echo(f"fill in 'answer' in each line, then: raylib review {run.store.root} --answers {path}")


def _judge(run: FinishedRun, path: Path, names: Sequence[str], sample: int, port: int, token: str | None) -> None:
    """Serve the page over a file, which is drawn if it is not there yet."""
    from raylib.outputs import output_file
    from raylib.review.decisions import read_decisions, write_decisions
    from raylib.review.server import serve_review

    file = output_file(path, "-o")
    if file.exists():
        decisions = read_decisions(file, run.name)
        left = sum(not d.answer for d in decisions)
        typer.echo(f"{path} is continued: {left} of {len(decisions)} decisions have no answer yet")
    else:
        decisions = _drawn(run, names, sample)
        write_decisions(file, decisions)
    command = f"raylib review {run.store.root} --answers {path}"
    serve_review(file, decisions, port=port, command=command, token=token, say=typer.echo)


def _evaluate(run: FinishedRun, answers: str, names: Sequence[str], *, output: str, recipe: str, as_json: bool) -> None:
    """Figures and proposals from answers."""
    import orjson
    from rich.console import Console

    from raylib.atomic import write_atomically
    from raylib.outputs import output_file
    from raylib.review.decisions import read_decisions
    from raylib.review.findings import find, findings_json
    from raylib.review.population import populations
    from raylib.review.recipe_change import changed_recipe, changes_of
    from raylib.review.tables import findings_table, remarks

    files = [output_file(path, option) if path else None for path, option in ((output, "-o"), (recipe, "--recipe"))]
    decisions = [d for d in read_decisions(Path(answers), run.name) if not names or d.rule in names]
    if not decisions:
        raise ParameterError(f"--answers {answers!r} holds no decisions of {', '.join(names)}")
    rules = run.rules(dict.fromkeys(d.rule for d in decisions))
    findings = find(run, rules, populations(run, rules), decisions)
    changes = changes_of(findings)
    figures = findings_json(run, findings, [change.to_json() for change in changes])
    shown = orjson.dumps(figures, option=orjson.OPT_INDENT_2)
    for file, text in zip(files, (shown + b"\n", changed_recipe(run, changes).encode()), strict=True):
        if file is not None:
            write_atomically(file, text)
    if as_json:
        typer.echo(shown.decode())
        return
    console = Console()
    console.print(findings_table(findings))
    for line in remarks(findings, changes):
        console.print(line, highlight=False, markup=False, soft_wrap=True)


def register(app: typer.Typer) -> None:
    """Add this command to the `raylib` application."""
    app.command()(review)
