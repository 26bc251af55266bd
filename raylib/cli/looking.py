"""Commands that look at data and runs: `raylib inspect`, `rules`, `diff`, `ui`."""

from __future__ import annotations

from typing import Annotated

import typer

from raylib.command_options import NoToken

__all__ = ["register"]


def inspect(
    path: Annotated[str, typer.Argument(help="File, folder, glob or URI; or the output folder of a run.")],
    samples: Annotated[int, typer.Option("--samples", "-n", min=0, help="Number of records to show.")] = 3,
    encoding: Annotated[str, typer.Option(help="Character encoding: the name of a codec, or auto.")] = "auto",
    limit: Annotated[int | None, typer.Option(min=1, help="Look at the first N records only.")] = None,
) -> None:
    """Show what a data set holds: files, kind, schema, counts, sources, lengths, unreadable records, samples."""
    from rich.console import Console

    from raylib.report.inspection import inspect_path

    console = Console()
    for line in inspect_path(path, samples=samples, encoding=encoding, limit=limit):
        console.print(line, highlight=False, markup=False, soft_wrap=True)


def rules(
    name: Annotated[str, typer.Argument(help="Stage to explain. By default all stages are listed.")] = "",
) -> None:
    """List all stages, or explain one: parameters, defaults, examples."""
    from rich.console import Console
    from rich.table import Table

    from raylib.reference import stage_markdown
    from raylib.stage import stage_info, stage_names

    console = Console()
    if name:
        console.print(stage_markdown(stage_info(name)), highlight=False, markup=False)
        return
    table = Table(box=None, pad_edge=False)
    for column in ("stage", "kind", "what it does"):
        table.add_column(column)
    for stage in stage_names():
        info = stage_info(stage)
        table.add_row(stage, info.kind, info.summary.strip().split("\n")[0])
    console.print(table)


def diff(
    out: Annotated[str, typer.Argument(help="Output folder of a run.")],
    rule: Annotated[str, typer.Option("--rule", "-r", help="Show this stage only.")] = "",
    samples: Annotated[
        int, typer.Option("--samples", "-n", min=0, help="Number of changed texts to show for each stage.")
    ] = 3,
) -> None:
    """Show what each rule changed or rejected, on the sampled records of a run."""
    from rich.console import Console

    from raylib.report.trace import trace_run

    console = Console()
    for line in trace_run(out, rule=rule, samples=samples):
        console.print(line, highlight=False, soft_wrap=True)


def ui(
    out: Annotated[str, typer.Argument(help="Output folder of a run, or folder of a training run.")],
    host: Annotated[
        str, typer.Option(help="Address to listen on. Any address but loopback is open to other machines.")
    ] = "127.0.0.1",
    port: Annotated[int, typer.Option(min=1, max=65535, help="Port to listen on.")] = 8700,
    no_token: NoToken = False,
) -> None:
    """Serve a live page of a run: progress, funnel, rejects with search. RAYLIB_UI_TOKEN sets the token."""
    import os

    from raylib.report.server import serve

    token = "" if no_token else os.environ.get("RAYLIB_UI_TOKEN") or None
    serve(out, host=host, port=port, token=token, say=typer.echo)


def register(app: typer.Typer) -> None:
    """Add these commands to the `raylib` application."""
    for command in (inspect, rules, diff, ui):
        app.command()(command)
