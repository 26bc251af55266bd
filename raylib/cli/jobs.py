"""Commands about jobs of a cluster, over Ray's job API: `raylib submit | status | logs | stop`."""

from __future__ import annotations

import fnmatch
import os
import shlex
import time
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from raylib.credentials import masked, secret_in_command
from raylib.errors import RaylibError
from raylib.event_loops import run_to_end

if TYPE_CHECKING:
    from ray.job_submission import JobDetails, JobSubmissionClient

__all__ = ["register"]


_NOT_NEEDED = (".git", ".venv", "out", "**/__pycache__")
_SECRETS = (
    *(".env", ".env.*", "*.env", ".netrc", ".pgpass", ".pypirc", ".npmrc", ".git-credentials", "auth_token"),
    *("id_rsa*", "id_dsa*", "id_ecdsa*", "id_ed25519*", "*.pem", "*.key", "*.p12", "*.pfx", "*.kdbx", "*.ppk"),
    *(".aws", ".ssh", ".gnupg", ".kube", ".docker", ".ray", ".azure", ".config/gcloud", ".boto", ".s3cfg"),
    *("credentials.json", "service_account*.json", ".htpasswd"),
)
"""Patterns of files and folders that hold secrets, as `.gitignore` writes them: at any depth."""
_PATIENCE = 120  # seconds for a cluster to become ready for jobs
Address = Annotated[
    str,
    typer.Option(
        help="Dashboard of the cluster, such as http://head:8265. By default RAY_API_SERVER_ADDRESS, or the local one."
    ),
]


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


def _jobs(client: JobSubmissionClient) -> list[JobDetails]:
    """All jobs that were submitted, newest first."""
    jobs = [j for j in client.list_jobs() if j.submission_id]
    return sorted(jobs, key=lambda j: -(j.start_time or 0))


def _matching(client: JobSubmissionClient, name: str) -> list[JobDetails]:
    """Jobs whose id begins with this name, newest first; only the one of exactly this id, if there is one.

    Args:
        client: The cluster.
        name: Beginning of an id; empty for all jobs.

    Raises:
        RaylibError: there is none.
    """
    jobs = _jobs(client)
    found = [j for j in jobs if j.submission_id == name] or [j for j in jobs if j.submission_id.startswith(name)]
    if not found:
        known = ", ".join(sorted(j.submission_id for j in jobs[:5]))
        wanted = f"no job {name!r}" if name else "no job"
        raise RaylibError(f"{wanted}; the cluster has: {known or 'none'}")
    return found


def _to_stop(client: JobSubmissionClient, name: str) -> JobDetails:
    """The job of this name: among several, the only one that is running.

    Raises:
        RaylibError: there is none, or more than one is running.
    """
    found = _matching(client, name)
    running = [j for j in found if not j.status.is_terminal()]
    if len(found) > 1 and len(running) != 1:
        problem = f"{len(running) or 'none of several'} jobs that begin with {name!r} are running"
        raise RaylibError(f"{problem}; name one of: {', '.join(j.submission_id for j in (running or found)[:5])}")
    return (running or found)[0]


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
    """Run a command as a job of the cluster: `raylib submit -- python jobs/clean.py --recipe recipe.yaml`.

    Files that may hold secrets (.env, private keys, .netrc, .aws and the like) are not copied with the folder.
    """
    if working_dir is not None and not working_dir.is_dir():
        raise RaylibError(f"--working-dir {str(working_dir)!r} is not a folder (looked in {os.getcwd()})")
    secret = secret_in_command(command)
    if secret:
        raise RaylibError(secret)
    client = _client(address)
    environment: dict[str, object] = {"working_dir": str(working_dir)} if working_dir is not None else {}
    if working_dir is not None:
        environment["excludes"] = [*_NOT_NEEDED, *_SECRETS]
        kept_here = _secrets_below(working_dir)
        if kept_here:
            more = f" and {len(kept_here) - 3} more" if len(kept_here) > 3 else ""
            typer.echo(f"not copied, because they may hold secrets: {', '.join(kept_here[:3])}{more}", err=True)
    job = _submitted(client, shlex.join(command), environment, name)
    typer.echo(f"submitted {job}")
    if not wait:
        typer.echo(f"its log: raylib logs {job} --follow")
        return
    logs(job, address, follow=True)
    status = client.get_job_status(job)
    if str(status) != "SUCCEEDED":
        raise RaylibError(f"job {job}: {status}: {client.get_job_info(job).message or ''}".strip())


def _secrets_below(folder: Path) -> list[str]:
    """Files and folders below a folder that may hold secrets, sorted; not those inside one of them."""
    found: list[str] = []
    patterns = [pattern.rpartition("/")[2] for pattern in _SECRETS]
    for place, folders, files in os.walk(folder):
        secret = [n for n in (*folders, *files) if any(fnmatch.fnmatchcase(n, pattern) for pattern in patterns)]
        folders[:] = [name for name in folders if name not in secret and name not in _NOT_NEEDED]
        found += [os.path.relpath(os.path.join(place, name), folder) for name in secret]
    return sorted(found)


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
    job: Annotated[str, typer.Argument(help="Beginning of the submission ids to show. By default all.")] = "",
    address: Address = "",
    limit: Annotated[int, typer.Option(min=1, help="Largest number of jobs to show.")] = 20,
) -> None:
    """List the jobs of the cluster, newest first."""
    from rich.console import Console
    from rich.table import Table

    client = _client(address)
    jobs = _jobs(client) if not job else _matching(client, job)
    table = Table(box=None, pad_edge=False)
    for column in ("job", "status", "started", "minutes", "command"):
        table.add_column(column)
    for row in jobs[:limit]:
        begun = (row.start_time or 0) / 1000
        ended = (row.end_time or 1000 * time.time()) / 1000
        started = time.strftime("%m-%d %H:%M", time.localtime(begun)) if begun else ""
        minutes = f"{(ended - begun) / 60:.1f}" if begun else ""
        table.add_row(row.submission_id, str(row.status.value), started, minutes, masked(row.entrypoint)[:80])
    Console().print(table)
    if job and len(jobs) == 1 and jobs[0].message:
        typer.echo(jobs[0].message)


def logs(
    job: Annotated[
        str,
        typer.Argument(
            help="Submission id, or its beginning; of several jobs the newest. By default the newest of all."
        ),
    ] = "",
    address: Address = "",
    follow: Annotated[bool, typer.Option("--follow", "-f", help="Follow the log until the job ends.")] = False,
) -> None:
    """Print the log of a job."""
    client = _client(address)
    jobs = _matching(client, job)
    found = jobs[0].submission_id
    if found != job:
        several = f", the newest of {len(jobs)}" if len(jobs) > 1 else ""
        typer.echo(f"log of {found}{several}", err=True)
    if not follow:
        typer.echo(client.get_job_logs(found), nl=False)
        return

    async def tail() -> None:
        async for lines in client.tail_job_logs(found):
            typer.echo(lines, nl=False)

    run_to_end(tail())


def stop(
    job: Annotated[
        str, typer.Argument(help="Submission id, or its beginning; of several jobs the only one that is running.")
    ],
    address: Address = "",
    wait: Annotated[float, typer.Option(min=0, help="Number of seconds to wait for the job to end.")] = 30.0,
) -> None:
    """Ask a job to stop. Its committed work is kept: the same command continues from there."""
    client = _client(address)
    found = _to_stop(client, job).submission_id
    running = client.stop_job(found)
    deadline = time.monotonic() + wait
    while running and not client.get_job_status(found).is_terminal() and time.monotonic() < deadline:
        time.sleep(0.3)
    typer.echo(f"{found}: {client.get_job_status(found)}")


def register(app: typer.Typer) -> None:
    """Add these commands to the `raylib` application."""
    for command in (submit, status, logs, stop):
        app.command()(command)
