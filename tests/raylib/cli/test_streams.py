"""Commands whose standard streams are closed, or whose reader has gone."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import orjson
import pytest
import yaml

from tests.texts import ARTICLE

pytestmark = pytest.mark.slow


@pytest.fixture
def project(tmp_path: Path) -> Path:
    lines = [orjson.dumps({"id": str(n), "text": ARTICLE[n:]}) for n in range(40)]
    (tmp_path / "in.jsonl").write_bytes(b"\n".join(lines))
    recipe = {
        "input": {"path": "in.jsonl"},
        "output": {"path": "out"},
        "engine": {"mode": "inline"},
        "stages": ["exact_dedup"],
    }
    (tmp_path / "recipe.yaml").write_text(yaml.safe_dump(recipe))
    return tmp_path


@pytest.mark.parametrize("streams", [">&-", "2>&-", "<&-", "<&- >&- 2>&-", "2>&1 >/dev/null | head -n 1"])
def test_a_run_goes_on_though_nobody_reads(project: Path, streams: str) -> None:
    command = f"set -o pipefail; {sys.executable} -m raylib run recipe.yaml {streams}"
    done = subprocess.run(["bash", "-c", command], cwd=project, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    assert orjson.loads((project / "out/summary.json").read_bytes())["records_in"] == 40
    kept = b"".join(p.read_bytes() for p in (project / "out").rglob("*") if p.is_file() and p.suffix != ".html")
    assert b"exact_dedup ..." not in kept, "no message has gone into a file of the run"


@pytest.mark.parametrize(
    ("raised", "said"),
    [
        ("OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))", "error: No space left on device; make room\n"),
        ("OSError(errno.EMFILE, 'zu viele', 'a.jsonl')", "error: a.jsonl: zu viele; set `ulimit -n 65536`\n"),
        ("IsADirectoryError(errno.EISDIR, 'Is a directory', 'out')", "error: out: Is a directory\n"),
        ("MemoryError()", "error: there is not enough memory; give more, or set a smaller engine.batch_mb\n"),
    ],
)
def test_what_the_machine_refuses_is_one_line(raised: str, said: str) -> None:
    assert failing(raised) == said


@pytest.mark.skipif(sys.version_info < (3, 11), reason="exceptions have no notes")
@pytest.mark.parametrize("raised", ["KeyError('draw')", "FileNotFoundError(errno.ENOENT, 'none', 'part')"])
def test_a_bug_shows_its_traceback_and_asks_for_a_report(raised: str) -> None:
    said = failing(raised)
    assert said.startswith("Traceback (most recent call last):")
    assert said.endswith(
        "This is a bug of raylib: please report it with the lines above, the command and the output of "
        "`raylib --version`\n"
    )


def failing(raised: str) -> str:
    """Standard error of the command, if a command of it raises this."""
    code = (
        "import errno, os, sys\nfrom raylib.cli.app import app, main\n"
        f"def broken() -> None:\n    raise {raised}\n"
        "app.command()(broken)\nsys.argv = ['raylib', 'broken']\nmain()\n"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False)
    assert done.returncode == 1
    return done.stderr
