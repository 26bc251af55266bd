"""`ray submit --start cluster.yaml` over a real sshd: two machines at loopback addresses, and a bare login shell."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
import time
import urllib.request
from pathlib import Path

import orjson
import pyarrow.parquet as pq
import pytest
import yaml

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
    text = text.replace("raylib/.venv ~/.profile", f"{environment}/bin ~/.profile")
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
            ["ray", *arguments], cwd=ROOT, env=env, capture_output=True, text=True, timeout=280, check=False
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
        # jobs of the cluster, by our own commands; the dashboard answers on loopback only, and asks for the token
        raylib = [str(environment / "bin" / "raylib")]

        def cli(*arguments: str) -> str:
            done = subprocess.run(
                [*raylib, *arguments], env=env, capture_output=True, text=True, timeout=120, check=False
            )
            assert done.returncode == 0, (arguments, done.stdout, done.stderr[-2000:])
            return done.stdout

        said = cli(
            "submit",
            "--name",
            "again",
            "--",
            "python",
            str(ROOT / "jobs" / "clean.py"),
            "--recipe",
            str(recipe),
            "--fresh",
        )
        assert "400 records in = 300 kept" in said
        cli(
            "submit",
            "--no-wait",
            "--name",
            "sleeper",
            "--",
            "python",
            "-c",
            "print('awake', flush=True); import time; time.sleep(600)",
        )
        deadline = time.monotonic() + 60
        while "awake" not in cli("logs", "sleep"):
            assert time.monotonic() < deadline
            time.sleep(1)
        assert "RUNNING" in cli("status", "sleeper")
        assert "SUCCEEDED" in cli("status")
        assert "STOPPED" in cli("stop", "sleeper")
        wrong = subprocess.run([*raylib, "logs", "nobody"], env=env, capture_output=True, text=True, check=False)
        assert wrong.returncode == 1
        assert "no job 'nobody'; the cluster has: again, sleeper" in wrong.stderr
        with pytest.raises(urllib.error.HTTPError, match=r"401|403"):
            urllib.request.urlopen("http://127.0.0.1:8265/api/jobs/", timeout=10)
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
