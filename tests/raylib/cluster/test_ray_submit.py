"""`ray submit --start cluster.yaml` over a real sshd: two machines at loopback addresses, and a bare login shell."""

from __future__ import annotations

import contextlib
import os
import shutil
import signal
import subprocess
import sys
import time
import urllib.error
import urllib.request
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import orjson
import pyarrow.parquet as pq
import pytest
import yaml

from tests.ports import free_port
from tests.raylib.cluster.work import HEAD, WORKER
from tests.texts import ARTICLE

pytestmark = [
    pytest.mark.long,
    pytest.mark.slow,
    pytest.mark.cluster,
    pytest.mark.skipif(
        os.geteuid() != 0 or shutil.which("sshd") is None or shutil.which("rsync") is None,
        reason="needs root, sshd and rsync",
    ),
]
ROOT = Path(__file__).parents[3]


@dataclass
class Cli:
    """The installed `raylib` command.

    Attributes:
        environment: Where it is installed.
        env: Its variables.
    """

    environment: Path
    env: dict[str, str]

    def call(self, *arguments: str) -> subprocess.CompletedProcess[str]:
        command = [str(self.environment / "bin" / "raylib"), *arguments]
        return subprocess.run(command, env=self.env, capture_output=True, text=True, timeout=300, check=False)

    def run(self, *arguments: str) -> str:
        done = self.call(*arguments)
        assert done.returncode == 0, (arguments, done.stdout, done.stderr[-2000:])
        return done.stdout

    def fails(self, *arguments: str) -> str:
        """Its one line of an error."""
        done = self.call(*arguments)
        assert done.returncode == 1, (arguments, done.stdout, done.stderr[-2000:])
        assert "Traceback" not in done.stderr
        return done.stderr


@contextlib.contextmanager
def tunnel(file: Path, env: dict[str, str], environment: Path) -> Iterator[tuple[str, subprocess.Popen[str]]]:
    """`raylib dashboard cluster.yaml`, and the address that it prints."""
    port = free_port()  # 8265 is the dashboard itself: both machines are this one
    command = [str(environment / "bin" / "raylib"), "dashboard", str(file), "--port", str(port)]
    process = subprocess.Popen(command, env=env, stdout=subprocess.PIPE, text=True)
    try:
        assert process.stdout is not None
        lines = [process.stdout.readline() for _ in range(4)]
        assert lines == [
            f"dashboard: http://localhost:{port}\n",
            "token:     `ray get-auth-token` prints it\n",
            f"For raylib submit, status, logs and stop: export RAY_API_SERVER_ADDRESS=http://localhost:{port}\n",
            "Ctrl-C closes the tunnel.\n",
        ]
        yield f"http://localhost:{port}", process
    finally:
        process.kill()
        process.communicate()


def check_jobs(cli: Cli, recipe: Path) -> None:
    """Submit, look at, follow and stop jobs."""
    clean = ("python", str(ROOT / "jobs" / "clean.py"), "--recipe", str(recipe), "--fresh")
    assert "400 records in = 300 kept" in cli.run("submit", "--name", "again", "--", *clean)
    # a recipe of this machine, by a relative name, in a copy of its folder on the cluster
    (recipe.parent / "copied").mkdir()
    shutil.copy(recipe, recipe.parent / "copied")
    job = ("python", "-m", "raylib", "run", recipe.name, "--address", "auto")
    place = ("--set", f"output.path={recipe.parent}/from-copy")
    said = cli.run("submit", "--working-dir", str(recipe.parent / "copied"), "--name", "copied", "--", *job, *place)
    assert "400 records in = 300 kept" in said
    sleep = "print('awake', flush=True); import time; time.sleep(600)"
    for name in ("sleeper-1", "sleeper-2"):
        said = cli.run("submit", "--no-wait", "--name", name, "--", "python", "-c", sleep)
        assert f"its log: raylib logs {name} --follow" in said
    deadline = time.monotonic() + 60
    while "awake" not in cli.run("logs"):
        assert time.monotonic() < deadline
        time.sleep(1)
    assert "log of sleeper-2, the newest of 4" in cli.call("logs").stderr
    assert "log of sleeper-2, the newest of 2" in cli.call("logs", "sleep").stderr
    assert "400 records in = 300 kept" in cli.run("logs", "again", "--follow")
    assert cli.run("status", "sleeper").count("RUNNING") == 2
    assert "SUCCEEDED" in cli.run("status")
    refused = "2 jobs that begin with 'sleep' are running; name one of: sleeper-2, sleeper-1"
    assert refused in cli.fails("stop", "sleep")
    assert "sleeper-1: STOPPED" in cli.run("stop", "sleeper-1")
    assert "sleeper-2: STOPPED" in cli.run("stop", "sleep"), "the only one that is running"
    assert "no job 'nobody'; the cluster has: again, copied, sleeper-1, sleeper-2" in cli.fails("logs", "nobody")


def check_mistakes(cli: Cli, file: Path, folder: Path) -> None:
    """What `raylib dashboard` says when there is no tunnel to be had."""
    assert "port 8265 of this machine is taken" in cli.fails("dashboard", str(file))
    assert "there is no cluster file nowhere.yaml (looked in" in cli.fails("dashboard", "nowhere.yaml")
    other = folder / "other.yaml"
    other.write_text(file.read_text().replace(f"head_ip: {HEAD}", "head_ip: 127.0.0.9"))
    port = str(free_port())
    assert "no ssh connection to root@127.0.0.9: " in cli.fails("dashboard", str(other), "--port", port)
    said = cli.fails("dashboard", str(file), "--port", port, "--remote-port", str(free_port()))
    assert f"{HEAD} can be reached by ssh, but no dashboard answers at its port" in said


def on_the_head(key: Path, command: str, *options: str) -> list[str]:
    """A command that a login shell on the head runs, by ssh."""
    known = ("-i", str(key), "-o", "StrictHostKeyChecking=no", "-o", "UserKnownHostsFile=/dev/null")
    return ["ssh", *known, *options, f"root@{HEAD}", f"bash -lc '{command}'"]


def check_dashboard_of_the_head(key: Path) -> None:
    """`raylib dashboard` on the head needs no file: it is that of the cluster on this machine."""
    command = on_the_head(key, "raylib dashboard")
    done = subprocess.run(command, capture_output=True, text=True, timeout=300, check=False)
    assert done.returncode == 0, done.stderr[-2000:]
    assert "dashboard: http" in done.stdout


def check_page_of_the_run(key: Path, out: Path) -> None:
    """`raylib ui` on the head, by ssh, as docs/clusters.md says it; the page has another port here than there."""
    here, there = free_port(), free_port()
    command = on_the_head(key, f"raylib ui {out} --port {there}", "-tt", "-L", f"{here}:localhost:{there}")
    process = subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.STDOUT)
    try:
        assert process.stdout is not None
        said = b""
        while b"?token=" not in said:
            line = process.stdout.readline()
            assert line, said
            said += line
        token = said.partition(b"?token=")[2].split()[0].decode()
        with pytest.raises(urllib.error.HTTPError, match=r"401|403"):
            urllib.request.urlopen(f"http://localhost:{here}/", timeout=60)
        browser = urllib.request.build_opener(urllib.request.HTTPCookieProcessor())
        assert b"<html" in browser.open(f"http://localhost:{here}/?token={token}", timeout=60).read()
    finally:
        process.kill()
        process.communicate()


def test_submit_start_cleans_stops_and_goes_down(machines: tuple[Path, Path], tmp_path: Path) -> None:
    key, home = machines
    # the file as it is shipped: only addresses, user, key and the place of the environment are filled in
    text = (ROOT / "cluster.yaml").read_text()
    environment = tmp_path / "environment"  # the installed one, under another name, so that nothing is installed again
    environment.mkdir()
    for name in ("bin", "lib"):
        (environment / name).symlink_to(Path(sys.prefix) / name)
    shutil.copy(Path(sys.prefix) / "pyvenv.cfg", environment)
    (environment / ".installed").touch()
    # if make thinks otherwise, it must not write
    text = text.replace("make install EXTRAS=quality,train", f"make install PYTHON=/bin/false VENV={environment}")
    text = text.replace("$HOME/raylib/.venv", str(environment))
    text = text.replace("raylib/.venv $f", f"{environment}/bin $f")
    shipped = yaml.safe_load(text)
    shipped["cluster_name"] = f"raylib-test-{os.getpid()}"
    shipped["max_workers"] = 1
    shipped["provider"] |= {"head_ip": HEAD, "worker_ips": [WORKER]}
    shipped["auth"] = {"ssh_user": "root", "ssh_private_key": str(key)}
    file = tmp_path / "cluster.yaml"
    file.write_text(yaml.safe_dump(shipped, sort_keys=False))
    source = tmp_path / "in.jsonl"
    source.write_bytes(
        b"".join(orjson.dumps({"id": str(i), "text": f"{ARTICLE}{i}" if i % 4 else "短"}) + b"\n" for i in range(400))
    )
    recipe = tmp_path / "recipe.yaml"
    recipe.write_text(
        f"input: {{path: {source}}}\noutput: {{path: {tmp_path}/out}}\nengine: {{batch_mb: "
        f"0.05}}\nstages: [{{length: {{min: 10}}}}, exact_dedup]\n"
    )
    env = {k: v for k, v in os.environ.items() if k not in ("RAY_ADDRESS", "CI")} | {
        "PATH": f"{environment}/bin:{os.environ['PATH']}"
    }

    def ray(*arguments: str) -> str:
        done = subprocess.run(
            ["ray", *arguments], cwd=ROOT, env=env, capture_output=True, text=True, timeout=600, check=False
        )
        assert done.returncode == 0, f"{arguments}\n{done.stdout[-6000:]}\n{done.stderr[-3000:]}"
        return done.stdout

    try:
        said = ray("submit", "--start", str(file), "jobs/clean.py", "--", "--recipe", str(recipe))
        assert "400 records in = 300 kept" in said
        summary = orjson.loads((tmp_path / "out" / "summary.json").read_bytes())
        assert (summary["records_kept"], summary["engine"]) == (300, "ray")
        assert sum(pq.read_metadata(p).num_rows for p in (tmp_path / "out" / "kept").iterdir()) == 300
        # the second machine joins, with the token that it was given
        deadline = time.monotonic() + 90
        while "2 node" not in (
            nodes := ray(
                "exec",
                str(file),
                (
                    "python -c \"import raylib.cluster.connection as c; c.use_token(); import ray; ray.init('auto', "
                    "logging_level='ERROR'); print(len([n for n in ray.nodes() if n['Alive']]), 'node(s)')\""
                ),
            )
        ):
            assert time.monotonic() < deadline, nodes
            time.sleep(2)
        # jobs of the cluster, by our own commands, through the tunnel: the dashboard listens on the head alone
        with tunnel(file, env, environment) as (url, process):
            cli = Cli(environment, {**env, "RAY_API_SERVER_ADDRESS": url})
            check_jobs(cli, recipe)
            process.send_signal(signal.SIGINT)
            assert process.wait(20) == 0
            assert "the tunnel is closed" in (process.stdout.read() if process.stdout else "")
            assert "no cluster answers at http://localhost" in cli.fails("status")
        check_mistakes(Cli(environment, env), file, tmp_path)
        check_dashboard_of_the_head(key)
        check_page_of_the_run(key, tmp_path / "out")
        with pytest.raises(urllib.error.HTTPError, match=r"401|403"):
            urllib.request.urlopen("http://127.0.0.1:8265/api/jobs/", timeout=10)
        # what probes on Kubernetes ask is answered without the token
        with urllib.request.urlopen("http://127.0.0.1:8265/api/gcs_healthz", timeout=10) as answer:
            assert answer.status == 200
        assert "Active:" in ray("exec", str(file), "ray status"), "with the token"
        # the cluster is up: no --start needed; a recipe of the checkout is found although the job runs in the home
        places = ("--set", f"input.path={source}", "--set", f"output.path={tmp_path}/demo")
        said = ray("submit", str(file), "jobs/clean.py", "--", "--recipe", "examples/demo.yaml", *places)
        assert "400 records in" in said
    finally:
        subprocess.run(
            ["ray", "down", "-y", str(file)], cwd=ROOT, env=env, capture_output=True, timeout=120, check=False
        )
    profile = (home / ".profile").read_text()
    assert f"{environment}/bin" in profile, "setup wrote to the remote home, not to ours"
