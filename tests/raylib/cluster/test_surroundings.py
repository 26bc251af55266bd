"""What `raylib doctor` finds before Ray does: limits, folders, the network, addresses, proxies."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

EXAMINE = """
import json
from raylib.cluster.surroundings import check_start, examine
from raylib.errors import RaylibError
try:
    check_start()
    error = ""
except RaylibError as problem:
    error = str(problem)
print(json.dumps([error, {f.subject: [f.level, f.found, f.fix] for f in examine()}]))
"""


def examined(*before: str, folder: Path | None = None, **environment: str) -> tuple[str, dict[str, list[str]]]:
    """The error that would end a start, and all findings, in a process of its own."""
    variables = {k: v for k, v in os.environ.items() if not k.lower().endswith("_proxy") and k != "RAY_ADDRESS"}
    done = subprocess.run(
        [*before, sys.executable, "-c", EXAMINE],
        env={**variables, **environment},
        capture_output=True,
        text=True,
        cwd=folder,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    error, findings = json.loads(done.stdout)
    return error, findings


def unshared(command: str, *options: str) -> list[str]:
    """A command line that runs the rest in namespaces of its own, after `command`."""
    if os.geteuid() != 0 or shutil.which("unshare") is None:
        pytest.skip("namespaces need root")
    return ["unshare", *options, "sh", "-c", f'{command} && exec "$@"', "sh"]


def test_a_machine_on_which_all_is_well(tmp_path: Path) -> None:
    error, findings = examined(folder=tmp_path)
    assert error == ""
    assert findings["working folder"] == ["ok", str(tmp_path), ""]
    assert {"temporary folder", "open files", "loopback network", "memory", "processors"} <= set(findings)
    assert "fail" not in {level for level, _, _ in findings.values()}


@pytest.mark.parametrize(
    ("before", "subject", "level", "said"),
    [
        (["prlimit", "--nofile=64:64"], "open files", "fail", "limit 64 (hard 64); set `ulimit -n 65536`"),
        (["prlimit", "--nofile=256:256"], "open files", "warn", ""),
        (["prlimit", "--nofile=64:4096"], "open files", "warn", ""),
        (["prlimit", "--as=2000000000"], "address space", "fail", "limit 2.0 GB; set `ulimit -v unlimited`"),
        (["prlimit", "--as=3000000000"], "address space", "warn", ""),
        (["prlimit", "--fsize=100000"], "file size", "fail", "set `ulimit -f unlimited`"),
    ],
)
def test_limits(before: list[str], subject: str, level: str, said: str) -> None:
    error, findings = examined(*before)
    assert findings[subject][0] == level
    assert error.startswith(f"a local Ray cannot start here: {subject}: ") if level == "fail" else error == ""
    assert said in error


def test_no_loopback() -> None:
    error, findings = examined(*unshared("true", "--net"))
    assert findings["loopback network"][0] == "fail"
    assert error.startswith("a local Ray cannot start here: loopback network: 127.0.0.1 does not answer: ")
    assert "ip link set lo up" in error


@pytest.mark.parametrize("name", ["x" * 80, "临时文件"])
def test_a_temporary_folder_that_ray_cannot_use(tmp_path: Path, name: str) -> None:
    place = tmp_path / name
    place.mkdir()
    error, findings = examined(TMPDIR=str(place))
    assert error == ""
    level, found, fix = findings["temporary folder"]
    assert level == "warn"
    assert found.startswith(f"Ray cannot use {place}/ray ")
    assert "RAY_TMPDIR" in fix
    error, findings = examined(RAY_TMPDIR=str(place))
    assert error.startswith("a local Ray cannot start here: temporary folder: RAY_TMPDIR ")
    assert findings["temporary folder"][0] == "fail"


def test_a_read_only_home(tmp_path: Path) -> None:
    (tmp_path / "home").mkdir()
    mounted = unshared(f"mount -t tmpfs -o ro none {tmp_path}/home", "--mount")
    error, findings = examined(*mounted, HOME=f"{tmp_path}/home")
    assert error == ""
    assert findings["home folder"][:2] == ["warn", f"{tmp_path}/home cannot be written to"]


def test_a_stale_address() -> None:
    error, findings = examined(RAY_ADDRESS="127.0.0.1:1")
    assert error == "", "it is of no concern to a local Ray"
    level, found, fix = findings["RAY_ADDRESS"]
    assert level == "fail"
    assert found.startswith("no Ray cluster answers at 127.0.0.1:1 (RAY_ADDRESS)")
    assert fix == "unset RAY_ADDRESS, or set it to the address of a cluster that runs"


def test_a_proxy() -> None:
    _, findings = examined(https_proxy="http://10.0.0.1:3128")
    assert findings["proxy"][1].startswith("https_proxy set")
    assert "no_proxy" in findings["proxy"][1]
