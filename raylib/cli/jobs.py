"""Commands about jobs of a cluster, over Ray's job API: `raylib submit | status | logs | stop`."""

from __future__ import annotations

import os
import shlex
import time
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from raylib.errors import RaylibError

if TYPE_CHECKING:
    from ray.job_submission import JobDetails, JobSubmissionClient

__all__ = ["register"]


_PATIENCE = 60  # seconds for a cluster to become ready for jobs
Address = Annotated[
    str,
    typer.Option(
        help="Dashboard of the cluster, such as http://head:8265. By default RAY_API_SERVER_ADDRESS, or the local one."
    ),
]
Job = Annotated[str, typer.Argument(help="Submission id, as `raylib status` shows it; its beginning is enough.")]


def _client(address: str) -> JobSubmissionClient:
    """A connection to the cluster's dashboard; RaylibError if it does not answer."""
    from raylib.cluster.connection import use_token

    use_token()
    os.environ.setdefault("RAY_ACCEL_ENV_VAR_OVERRIDE_ON_ZERO", "0")
    from ray.job_submission import JobSubmissionClient

    address = address or os.environ.get("RAY_API_SERVER_ADDRESS") or "http://127.0.0.1:8265"
    if not address.startswith(("http://", "https://")):
        head = address.rpartition("://")[2].split(":")[0]
        raise RaylibError(f"--address {address!r} is not the dashboard of a cluster; give --address http://{head}:8265")
    try:
        return JobSubmissionClient(address)
    except (ConnectionError, RuntimeError) as error:
        words = str(error).strip().splitlines() or [type(error).__name__]
        reason = words[0].rstrip(".").replace(f" at address: {address}", "")
        raise RaylibError(f"no cluster answers at {address}: {reason}; give --address http://HEAD:8265") from None


def _find(client: JobSubmissionClient, name: str) -> JobDetails:
    """The only job whose id begins with this name."""
    jobs = [j for j in client.list_jobs() if j.submission_id]
    found = [j for j in jobs if j.submission_id == name] or [j for j in jobs if j.submission_id.startswith(name)]
    if len(found) != 1:
        known = ", ".join(sorted(j.submission_id for j in found or jobs)[:5]) or "none"
        problem = "several jobs begin with" if found else "no job"
        raise RaylibError(f"{problem} {name!r}; the cluster has: {known}")
    return found[0]


def submit(
    command: Annotated[
        list[str],
        typer.Argument(metavar="COMMAND...", help="Command to run, such as: python jobs/clean.py --recipe r.yaml"),
    ],
    address: Address = "",
    working_dir: Annotated[
        Path | None, typer.Option(help="Folder that is copied to the cluster (100 MB at most).")
    ] = None,
    name: Annotated[str, typer.Option(help="Submission id. By default Ray makes one.")] = "",
    wait: Annotated[bool, typer.Option("--wait/--no-wait", help="Follow the log to the end.")] = True,
) -> None:
    """Run a command as a job of the cluster: `raylib submit -- python jobs/clean.py --recipe recipe.yaml`."""
    if working_dir is not None and not working_dir.is_dir():
        raise RaylibError(f"--working-dir {str(working_dir)!r} is not a folder (looked in {os.getcwd()})")
    client = _client(address)
    environment: dict[str, object] = {"working_dir": str(working_dir)} if working_dir is not None else {}
    if working_dir is not None:
        environment["excludes"] = [".git", ".venv", "out", "**/__pycache__"]
    job = _submitted(client, shlex.join(command), environment, name)
    typer.echo(f"submitted {job}")
    if wait:
        logs(job, address, follow=True)
        status = client.get_job_status(job)
        if str(status) != "SUCCEEDED":
            raise RaylibError(f"job {job}: {status}: {client.get_job_info(job).message or ''}".strip())


def _submitted(client: JobSubmissionClient, command: str, environment: dict[str, object], name: str) -> str:
    """Submit a job and return its id; waits until a new cluster is ready for jobs."""
    deadline = time.monotonic() + _PATIENCE
    while True:
        problem = ""
        try:
            return str(client.submit_job(entrypoint=command, runtime_env=environment, submission_id=name or None))
        except RuntimeError as error:
            problem = str(error)
        # a head that has just started has no agent yet that could start a job
        if "No available agent" not in problem or time.monotonic() > deadline:
            raise RaylibError(f"the cluster did not accept the job: {problem.strip().splitlines()[-1]}")
        time.sleep(1)


def status(
    job: Annotated[str, typer.Argument(help="Show this job only.")] = "",
    address: Address = "",
    limit: Annotated[int, typer.Option(min=1, help="Largest number of jobs to show.")] = 20,
) -> None:
    """List the jobs of the cluster, newest first."""
    from rich.console import Console
    from rich.table import Table

    client = _client(address)
    jobs = [_find(client, job)] if job else [j for j in client.list_jobs() if j.submission_id]
    jobs.sort(key=lambda j: -(j.start_time or 0))
    table = Table(box=None, pad_edge=False)
    for column in ("job", "status", "started", "minutes", "command"):
        table.add_column(column)
    for row in jobs[:limit]:
        begun = (row.start_time or 0) / 1000
        ended = (row.end_time or 1000 * time.time()) / 1000
        started = time.strftime("%m-%d %H:%M", time.localtime(begun)) if begun else ""
        minutes = f"{(ended - begun) / 60:.1f}" if begun else ""
        table.add_row(row.submission_id, str(row.status.value), started, minutes, row.entrypoint[:80])
    Console().print(table)
    if job and jobs[0].message:
        typer.echo(jobs[0].message)


def logs(
    job: Job,
    address: Address = "",
    follow: Annotated[bool, typer.Option("--follow", "-f", help="Follow the log until the job ends.")] = False,
) -> None:
    """Print the log of a job."""
    import asyncio

    client = _client(address)
    found = _find(client, job).submission_id
    if not follow:
        typer.echo(client.get_job_logs(found), nl=False)
        return

    async def tail() -> None:
        async for lines in client.tail_job_logs(found):
            typer.echo(lines, nl=False)

    asyncio.run(tail())


def stop(
    job: Job,
    address: Address = "",
    wait: Annotated[float, typer.Option(min=0, help="Number of seconds to wait for the job to end.")] = 30.0,
) -> None:
    """Ask a job to stop. Its committed work is kept: the same command continues from there."""
    client = _client(address)
    found = _find(client, job).submission_id
    running = client.stop_job(found)
    deadline = time.monotonic() + wait
    while running and not client.get_job_status(found).is_terminal() and time.monotonic() < deadline:
        time.sleep(0.3)
    typer.echo(f"{found}: {client.get_job_status(found)}")


def register(app: typer.Typer) -> None:
    """Add these commands to the `raylib` application."""
    for command in (submit, status, logs, stop):
        app.command()(command)
