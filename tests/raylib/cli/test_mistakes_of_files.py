"""What users get wrong about inputs, outputs and clusters: one line that names it, and never a traceback."""

from __future__ import annotations

import os
import re
from collections.abc import Callable
from pathlib import Path

import pytest
from typer.testing import CliRunner

from raylib.cli.app import app
from raylib.errors import OutputError
from raylib.outputs import output_file, output_folder, refuse_job_package
from raylib.paths import JOB_PACKAGES
from tests.raylib.cli.conftest import Said


@pytest.mark.parametrize(
    ("path", "error"),
    [
        ("nodata", r"no input file matches 'nodata': there is no such file or folder \(looked in /.*\)$"),
        ("data/*.csv", r"no input file matches 'data/\*\.csv'; known: "),
        ("nothing", r"no input file matches 'nothing': the folder holds no files$"),
        ("odd", r"no input file matches 'odd'; 1 files there have unknown extensions, such as odd/a\.xlsx"),
        ("odd/a.xlsx", r"odd/a\.xlsx: this format is not read; save the sheet as CSV in UTF-8\. Formats that are: "),
        ("odd/*", r"odd/a\.xlsx: this format is not read; "),
        ("empty.jsonl", r"input\.path 'empty\.jsonl' holds 0 records in 1 files$"),
        ("''", r"an input path is empty: give a file, a glob, a folder or a URI$"),
        ("[]", r"input\.path is empty: give a file, a glob"),
        ("s3x://b/x", r"cannot open 's3x://b/x': .*Protocol not known: s3x$"),
        ("http://127.0.0.1:9/a.jsonl", r"'http://127\.0\.0\.1:9/a\.jsonl': there is no such file, or its server does"),
        (
            "bad.jsonl.gz",
            r"all 1 records were rejected at reading \(unreadable_file\): .*this is plain text, not gzip: rename",
        ),
        ("bad.parquet", r"all 1 records were rejected at reading \(unreadable_file\): .*Parquet"),
        ("prose.jsonl", r"all 1 records were rejected at reading \(bad_json\): prose\.jsonl:1: "),
    ],
)
def test_an_input(project: Path, said: Said, path: str, error: str) -> None:
    for name in ("bad.jsonl.gz", "bad.parquet", "prose.jsonl"):
        (project / name).write_text("春眠不觉晓")
    assert re.search(error, said("run", "it.yaml", "-q", "--set", f"input.path={path}"))


@pytest.mark.parametrize(
    ("path", "option", "error"),
    [
        (
            "data",
            "text=body",
            r"all 1 records were rejected at reading \(missing_field\): data/a\.jsonl:1: no field 'body'",
        ),
        ("data", "text=body", r"; fields are id, label, text; `raylib inspect` shows what the files hold$"),
        (
            "data",
            "kind=conversation",
            r"\(unknown_layout\): .*: no conversation in fields id, label, text; the nearest",
        ),
        (
            "chats.jsonl",
            "kind=preference",
            r"needs 'chosen' and 'rejected' \(or 'reject'\); fields are id, messages, sou",
        ),
    ],
)
def test_a_kind_that_the_records_are_not(project: Path, said: Said, path: str, option: str, error: str) -> None:
    assert re.search(error, said("run", "it.yaml", "-q", "--set", f"input.path={path}", "--set", f"input.{option}"))
    assert (project / "out" / "report.html").is_file()


@pytest.mark.parametrize(
    ("path", "error"),
    [
        ("file/x", r"output\.path 'file/x': cannot write to /.*/file/x: /.*/file is a file$"),
        ("/proc/x", r"output\.path '/proc/x': cannot write to /proc/x: No such file or directory$"),
        ("data", r"output\.path 'data' lies inside the input folder 'data'; choose another folder, or name the files"),
        ("data/out", r"output\.path 'data/out' lies inside the input folder 'data'; "),
        ("odd", r"output\.path 'odd' is not empty and holds no run of raylib \(no manifest\.jsonl\); choose another"),
        ("''", r"output\.path is empty: give the folder of the run$"),
        ("s3x://b/x", r"cannot open 's3x://b/x': "),
    ],
)
def test_an_output(project: Path, said: Said, path: str, error: str) -> None:
    assert re.search(error, said("run", "it.yaml", "-q", "--set", f"output.path={path}"))
    assert not (project / "out").exists()
    assert not (project / "data" / "out").exists()


def test_an_output_that_holds_a_file_of_the_input(project: Path, said: Said) -> None:
    error = said("run", "it.yaml", "-q", "--set", "input.path=data/*.jsonl", "--set", "output.path=data")
    assert error == "error: output.path 'data' holds the input file data/a.jsonl; choose another folder"


def test_an_output_to_which_a_link_in_the_input_leads(project: Path, said: Said) -> None:
    (project / "place").mkdir()
    (project / "data" / "link").symlink_to("../place")
    (project / "place" / "b.jsonl").write_bytes((project / "data" / "a.jsonl").read_bytes())
    error = said("run", "it.yaml", "-q", "--set", "input.path=data", "--set", "output.path=place")
    assert error == "error: output.path 'place' holds the input file data/link/b.jsonl; choose another folder"


def test_the_folder_of_a_run_as_input(project: Path) -> None:
    """Its work, its rejects and its books are no records."""

    def run(*options: str) -> str:
        done = CliRunner().invoke(app, ["run", "it.yaml", "-q", *(w for o in options for w in ("--set", o))])
        assert done.exit_code == 0, done.output
        return done.output

    run("output.path=more/out", "stages=[exact_dedup]")
    (project / "more" / "b.jsonl").write_bytes((project / "data" / "a.jsonl").read_bytes())
    said = run("input.path=more/out", "output.path=second", "stages=[exact_dedup]")
    assert "1 records in = 1 kept" in said
    assert "passed over 1 (the folder of a run: only what it kept is read): more/out/" in said
    said = run("input.path=more", "output.path=third", "stages=[exact_dedup]")
    assert "1 records in = 1 kept" in said
    assert "passed over 1 (folder of a run; what it kept is read if its own path is given): more/out/" in said


def test_an_output_in_the_package_of_a_job(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    package = tmp_path / JOB_PACKAGES.strip("/") / "_ray_pkg_1"
    package.mkdir(parents=True)
    monkeypatch.chdir(package)
    checks: list[Callable[[str, str], object]] = [refuse_job_package, output_folder, output_file]
    for number, check in enumerate(checks):
        with pytest.raises(OutputError, match=r"^--out 'out' lies in /.*, the temporary working directory of a job, "):
            check("out", "--out")
        check(str(tmp_path / f"out{number}"), "--out")
    refuse_job_package("s3://bucket/out", "--out")
    assert not (package / "out").exists()


def test_a_job_that_would_lose_its_output(project: Path, said: Said, monkeypatch: pytest.MonkeyPatch) -> None:
    package = project / JOB_PACKAGES.strip("/")
    package.mkdir(parents=True)
    monkeypatch.chdir(package)
    error = said("run", str(project / "it.yaml"), "-q", "--set", f"input.path={project}/data")
    assert error.startswith("error: output.path 'out' lies in ")
    configuration = str(project / "sft.yaml")
    model = f"model.path={project}/model"
    assert said("train", configuration, "--set", model).startswith("error: output 'runs' lies in ")


@pytest.mark.skipif(os.getuid() == 0, reason="nothing is forbidden to root")
def test_a_folder_without_permission(project: Path, said: Said) -> None:
    (project / "nothing").chmod(0o500)
    assert said("run", "it.yaml", "-q", "--set", "output.path=nothing").endswith("Permission denied")


@pytest.mark.cluster
@pytest.mark.parametrize("address", ["127.0.0.1:9", "ray://127.0.0.1:9"])
def test_a_cluster_that_does_not_answer(project: Path, said: Said, address: str) -> None:
    import ray

    ray.shutdown()
    error = said("run", "it.yaml", "-q", "--set", "engine.mode=ray", "--address", address)
    assert error.startswith(f"error: no Ray cluster answers at {address}; start one with `ray start --head`")


@pytest.mark.parametrize("command", [["status"], ["logs", "x"], ["stop", "x"], ["submit", "--", "true"]])
def test_the_address_of_a_cluster_in_place_of_its_dashboard(said: Said, command: list[str]) -> None:
    place = command.index("--") if "--" in command else len(command)
    error = said(*command[:place], "--address", "ray://head:10001", *command[place:])
    assert error.endswith("is not the dashboard of a cluster; give --address http://head:8265")


def test_a_working_directory_that_is_missing(project: Path, said: Said) -> None:
    error = said("submit", "--working-dir", "nono", "--", "true")
    assert error.startswith("error: --working-dir 'nono' is not a folder (looked in /")
