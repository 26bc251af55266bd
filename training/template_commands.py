"""Commands about chat templates: `raylib template check`."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator
from contextlib import ExitStack
from pathlib import Path
from typing import IO, TYPE_CHECKING, Annotated

import orjson
import typer

from raylib.outputs import output_file
from training import render_arguments as given

if TYPE_CHECKING:
    import pyarrow as pa

    from raylib.chat import RenderOptions
    from training.data.checking import Check, Finding
    from training.data.encoded import Refused

__all__ = ["app", "check_before", "run_check", "summary_lines"]

app = typer.Typer(help="Look at what a chat template makes of records.")
_PLACES = {"": "unknown to the template", "content": "<think> at the start of the content"}
_FIRST = 200  # records that `raylib tokenize` looks at before its work


@app.callback()
def _group() -> None:
    """Look at what a chat template makes of records."""


@app.command()
def check(
    model: Annotated[str, typer.Argument(help="Path of the folder of a tokenizer or model.")],
    data: Annotated[str, typer.Argument(help="Path of conversations or preferences: a file, folder, glob or URI.")],
    *,
    kind: Annotated[
        str, typer.Option(help="Kind of the records: conversation or preference. With auto, the first record decides.")
    ] = "auto",
    limit: Annotated[int, typer.Option(min=0, help="Number of records to look at. 0 looks at all.")] = 1000,
    show: Annotated[int, typer.Option(min=0, help="Number of answers to print, beside those with a mistake.")] = 3,
    json: Annotated[
        Path | None, typer.Option(help="Path of a JSON-lines file to write, a line for each learnt answer.")
    ] = None,
    template: given.TemplateArgument = "auto",
    template_options: given.TemplateOptions = None,
    learn: given.LearnArgument = "all",
    learn_reasoning: given.LearnReasoning = True,
    reasoning: given.ReasoningArgument = "template",
    developer: given.DeveloperArgument = "developer",
    end_token: given.EndToken = "",
    max_samples: given.MaxSamples = 0,
) -> None:
    """Show for each answer what the model is given (grey), what it learns (green) and what it does not (yellow).

    The exit code is 1 if something is wrong: an answer that never stops, reasoning that is opened twice, a call of a
    tool as plain text, tokens that inference would never see, an option that the template does not know, or records of
    which none can be learnt.
    """
    options = given.render_options(
        template, template_options, learn, learn_reasoning, reasoning, developer, end_token, max_samples
    )
    if json is not None:
        output_file(json)
    found = run_check(model, [data], options, kind=kind, limit=limit, show=show, out=json)
    for line in summary_lines(found):
        typer.echo(line)
    if found.wrong:
        raise typer.Exit(1)


def check_before(sources: list[str], tokenizer: str, options: RenderOptions, kind: str) -> None:
    """Look at the first records before they are tokenised.

    Args:
        sources: Files, folders of runs, globs or URIs.
        tokenizer: Path of the tokenizer's folder.
        options: How conversations are rendered.
        kind: Kind of the samples.

    Raises:
        TrainingError: if something is wrong.
    """
    from raylib.errors import TrainingError
    from training.data.tokens import guess_kind

    found_kind = guess_kind(sources) if kind == "auto" else kind
    if found_kind == "pretrain":
        return
    record_kind = "preference" if found_kind == "preference" else "conversation"
    found = run_check(tokenizer, sources, options, kind=record_kind, limit=_FIRST, name="tokenizer")
    if found.odd:
        lines = "\n".join(summary_lines(found))
        raise TrainingError(
            f"the chat template and these records do not fit, by the first {found.records:,} records:\n{lines}\n"
            "`raylib template check` shows the answers; --no-check tokenises nevertheless"
        )


def run_check(
    model: str,
    sources: list[str],
    options: RenderOptions,
    *,
    kind: str = "auto",
    limit: int = 0,
    show: int = 0,
    out: Path | None = None,
    name: str = "model",
) -> Check:
    """Look at records, print some answers, and write all of them to a file.

    Args:
        model: Path of the folder of a tokenizer or model.
        sources: Files, folders of runs, globs or URIs.
        options: How conversations are rendered.
        kind: Kind of the records; `auto` decides by the first one.
        limit: Number of records; 0 looks at all.
        show: Number of answers to print, beside those with a mistake.
        out: JSON-lines file to write.
        name: Name of the argument `model`, for errors.

    Returns:
        What was found.
    """
    from raylib.chat import Renderer, stop_ids
    from training.data.checking import Check, check_table
    from training.data.tokenizer import saved_tokenizer

    found = Check(Renderer(saved_tokenizer(model, name), options, stops=stop_ids(model)))
    with ExitStack() as opened:
        lines = None if out is None else _Lines(opened.enter_context(out.open("wb")))
        printed: Counter[bool] = Counter()
        for table in _tables(sources, kind, limit, found):
            for finding in check_table(table, found):
                wrong = bool(finding.odd)
                if printed[wrong] < show:
                    _print(finding)
                    printed[wrong] += 1
                if lines is not None:
                    lines.add(finding)
        found.finish()
        if lines is not None:
            lines.add_refused(found.refused)
    return found


def _tables(sources: list[str], kind: str, limit: int, found: Check) -> Iterator[pa.Table]:
    """The first records; those that cannot be read are noted."""
    from raylib.records import files_of
    from training.data.encoded import unread

    left = limit
    for file in files_of(sources):
        for table in file.tables(kind, rejected=lambda rejects: found.refused.extend(unread(rejects))):
            part = table.slice(0, left) if limit else table
            if len(part):
                yield part
            left -= len(part)
            if limit and left <= 0:
                return


class _Lines:
    """Findings as lines of JSON: one for each learnt answer, preference and refused record."""

    def __init__(self, stream: IO[bytes]) -> None:
        self._stream = stream
        self._chosen: Finding | None = None

    def add(self, finding: Finding) -> None:
        """Write an answer; of a preference, both answers in one line."""
        if finding.name == "chosen":
            self._chosen = finding
        elif finding.name == "rejected" and self._chosen is not None:
            chosen = self._chosen
            self._write(id=chosen.id, prompt=chosen.prompt, chosen=chosen.answer, rejected=finding.answer)
        else:
            self._write(id=finding.id, turn=finding.turn, prompt=finding.prompt, answer=finding.answer)

    def add_refused(self, records: list[Refused]) -> None:
        """Write the refused records."""
        for record in records:
            self._write(id=record.id, refused=record.reason, detail=record.detail)

    def _write(self, **line: object) -> None:
        self._stream.write(orjson.dumps(line) + b"\n")


def _print(finding: Finding) -> None:
    """An answer in colour: given, learnt, not learnt, and the token that stops it."""
    first, *rest = finding.parts
    text = typer.style(first.text, fg="bright_black")
    for part in rest:
        text += typer.style(part.text, fg="green" if part.learnt else "yellow")
    if finding.stop.strip() and finding.answer.endswith(finding.stop):
        last = typer.style(finding.answer.removesuffix(finding.stop), fg="green")
        text = text.removesuffix(typer.style(finding.answer, fg="green")) + last
        text += typer.style(finding.stop, fg="green", bold=True, reverse=True)
    typer.echo(f"-- {finding.id}, {finding.name}; stops with {finding.stop!r}")
    typer.echo(text)
    for odd in finding.odd:
        typer.echo(typer.style(f"   {odd}", fg="red"))


def summary_lines(found: Check) -> list[str]:
    """What was found, for people.

    Args:
        found: A finished check.
    """
    renderer = found.renderer
    stops = ", ".join(repr(renderer.tokenizer.decode([i])) for i in renderer.stops())
    name, key = renderer.template.name, renderer.template.reasoning_key
    lines = [
        f"template: {'the own one of the tokenizer' if name == 'auto' else name}; reasoning: "
        f"{_PLACES.get(key, f'key {key}')}; generation stops at {stops or 'nothing'}",
        f"{found.records:,} records, {found.answers:,} answers to learn, {len(found.refused):,} records refused",
    ]
    reasons: dict[str, list[Refused]] = {}
    for record in found.refused:
        reasons.setdefault(record.reason, []).append(record)
    lines += [f"  refused, {name}: {len(r):,}; {r[0].id}: {r[0].detail}" for name, r in sorted(reasons.items())]
    lines += [f"  not learnt, {name}: {count:,} turns" for name, count in sorted(found.unlearnt.items()) if count]
    lines += [f"  note: {note}" for note in found.notes]
    lines += [f"  WRONG, {name}: {count:,}" for name, count in sorted(found.odd.items())]
    if not found.answers:
        lines.append("  WRONG: nothing can be learnt")
    return lines
