"""`raylib dashboard`: the address of a cluster's dashboard and its token, and the tunnel to it."""

from __future__ import annotations

import signal
import sys
from pathlib import Path
from typing import Annotated

import typer

from raylib import termination

__all__ = ["register"]

_PORT = 8265  # where commands about jobs look, too


def dashboard(
    cluster: Annotated[
        Path | None, typer.Argument(help="File of the cluster, cluster.yaml. By default the cluster of this machine.")
    ] = None,
    port: Annotated[int, typer.Option(min=1, max=65535, help="Port of this machine for the tunnel.")] = _PORT,
    remote_port: Annotated[int, typer.Option(min=1, max=65535, help="Port of the dashboard on the head.")] = _PORT,
) -> None:
    """Open a tunnel to the dashboard of a cluster, and print its address and token. Ctrl-C closes the tunnel."""
    from raylib.cluster.dashboard import Tunnel, head_of, running_here

    if cluster is None:
        _show(running_here())
        return
    signal.signal(signal.SIGTERM, signal.default_int_handler)  # ends as Ctrl-C does
    head = head_of(cluster)
    typer.echo(f"connecting to {head.user}@{head.address} ...", err=True)
    try:
        with Tunnel(head, port, remote_port) as tunnel:
            _show(tunnel.url)
            if port == _PORT:
                typer.echo("raylib submit, status, logs and stop find the cluster there. Ctrl-C closes the tunnel.")
            else:
                typer.echo(f"For raylib submit, status, logs and stop: export RAY_API_SERVER_ADDRESS={tunnel.url}")
                typer.echo("Ctrl-C closes the tunnel.")
            tunnel.wait()
    except KeyboardInterrupt:
        termination.ended_as_meant()
        typer.echo("the tunnel is closed")


def _show(url: str) -> None:
    """Print address and token; the token itself on a terminal only, so that it does not end up in logs."""
    from raylib.cluster.connection import token
    from raylib.cluster.dashboard import accepts

    typer.echo(f"dashboard: {url}")
    if accepts(url, ""):
        typer.echo("token:     none is needed")
        return
    known = token()
    if not known or not accepts(url, known):
        typer.secho(
            "token:     this machine does not have the token of this cluster; copy ~/.ray/auth_token from the machine "
            "that started it",
            fg=typer.colors.RED,
        )
        return
    typer.echo(f"token:     {known if sys.stdout.isatty() else '`ray get-auth-token` prints it'}")


def register(app: typer.Typer) -> None:
    """Add this command to the `raylib` application."""
    app.command()(dashboard)
