"""What users get wrong: one line that names the place and what would be right, and never a traceback."""

from __future__ import annotations

import re
import socket
from pathlib import Path

import orjson
import pytest

from raylib.cli.app import main
from tests.texts import ARTICLE

RECIPE = """\
input: {{path: {input}}}
output: {{path: {output}}}
engine: {{mode: inline}}
stages: {stages}
"""


@pytest.fixture
def project(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    (tmp_path / "data").mkdir()
    (tmp_path / "data" / "a.jsonl").write_bytes(orjson.dumps({"id": "1", "text": ARTICLE}))
    (tmp_path / "file").touch()
    monkeypatch.chdir(tmp_path)
    return tmp_path


def said(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], *arguments: str) -> str:
    """The error of a command, which has to be one line."""
    monkeypatch.setattr("sys.argv", ["raylib", *arguments])
    with pytest.raises(SystemExit) as ended:
        main()
    assert ended.value.code == 1
    lines = capsys.readouterr().err.splitlines()
    assert len(lines) == 1, lines
    return lines[0]


@pytest.mark.parametrize(
    ("changes", "error"),
    [
        ({"input": "nodata"}, r"no input file matches 'nodata': there is no such file or folder \(looked in /.*\)"),
        ({"input": "data/*.csv"}, r"no input file matches 'data/\*\.csv'; known: "),
        ({"output": "file/x"}, r"output\.path 'file/x': cannot write to /.*: Not a directory"),
        ({"output": "/proc/x"}, r"output\.path '/proc/x': cannot write to /proc/x/: No such file or directory"),
        ({"output": "data"}, r"output\.path 'data' holds the input file data/a\.jsonl"),
        (
            {"stages": "[{chinese_ratio: {min: 30}}]"},
            r"it\.yaml:4: .*'chinese_ratio': min: .*less than or equal to 1",
        ),
        ({"stages": "[{length: {min: 30, max: 3}}]"}, r"it\.yaml:4: stage 'length': min = 30 is greater than max = 3$"),
        ({"stages": "[{keep_where: 'a > 1 && b < 2'}]"}, r"it\.yaml:4: .* cannot read .*: write and in place of &&$"),
        ({"stages": "[{keep_where: 'source == “a”'}]"}, r"it\.yaml:4: .* cannot read .*: write \" in place of “$"),
        (
            {"stages": "[{keep_where: 'len(text) > 3'}]"},
            r"it\.yaml:4: .*function 'len'; did you mean 'length'\?$",
        ),
        ({"stages": "[length， exact_dedup]"}, r"line 4: '，' is a full-width comma; write ', '$"),
    ],
)
def test_a_recipe(
    project: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
    changes: dict[str, str],
    error: str,
) -> None:
    text = RECIPE.format(**({"input": "data", "output": "out", "stages": "[length]"} | changes))
    (project / "it.yaml").write_text(text, "utf-8")
    assert re.search(error, said(monkeypatch, capsys, "run", "it.yaml", "-q"))
    assert not (project / "out").exists()


@pytest.mark.parametrize(
    ("data", "error"),
    [
        ("input： {path: data}\n".encode(), r"line 1: '：' is a full-width colon; write ': '$"),
        (b"input:\n\tpath: data\n", r"it\.yaml:2: not YAML: a tab; indent with spaces$"),
        (b"input: [\n", r"it\.yaml:2: not YAML: "),
        (
            "# 清洗\ninput: {path: data}\n".encode("gb18030"),
            r"not UTF-8 at byte 2; .*iconv -f gb18030 -t utf-8 it\.yaml$",
        ),
        (
            b"input: {path: data}\noutput: {path: out, format: jsonl, layout: alpaca}\nengine: {mode: inline}\n",
            r"output\.layout: 'alpaca' is for conversations and preferences, not for documents$",
        ),
    ],
)
def test_the_text_of_a_recipe(
    project: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], data: bytes, error: str
) -> None:
    (project / "it.yaml").write_bytes(data)
    assert re.search(error, said(monkeypatch, capsys, "run", "it.yaml", "-q"))


def test_a_full_width_sign_inside_a_text_is_no_mistake(project: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    text = RECIPE.format(input="data", output="out", stages="[{remove_phrases: {phrases: ['版权，所有：']}}]")
    (project / "it.yaml").write_text(text, "utf-8")
    monkeypatch.setattr("sys.argv", ["raylib", "run", "it.yaml", "-q"])
    with pytest.raises(SystemExit) as ended:
        main()
    assert ended.value.code == 0


@pytest.mark.cluster
@pytest.mark.parametrize("address", ["127.0.0.1:9", "ray://127.0.0.1:9"])
def test_a_cluster_that_does_not_answer(
    project: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], address: str
) -> None:
    import ray

    ray.shutdown()
    text = RECIPE.format(input="data", output="out", stages="[length]").replace("inline", "ray")
    (project / "it.yaml").write_text(text, "utf-8")
    error = said(monkeypatch, capsys, "run", "it.yaml", "-q", "--address", address)
    assert error.startswith(f"error: no Ray cluster answers at {address}; start one with `ray start --head`")


def test_a_model_of_a_hub(project: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    error = said(monkeypatch, capsys, "tokenize", "data", "-o", "tokens", "--tokenizer", "Qwen/Qwen2.5-0.5B")
    assert error.endswith("hf download Qwen/Qwen2.5-0.5B --local-dir models/Qwen2.5-0.5B")


def test_a_page_on_a_port_that_is_taken(
    project: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    (project / "out").mkdir()
    (project / "out" / "manifest.jsonl").touch()
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
        assert said(monkeypatch, capsys, "ui", "out", "--port", str(port)) == (
            f"error: port {port} of 127.0.0.1 is taken; choose another one, such as --port {port + 1}"
        )
    assert "cannot listen on no.such.host" in said(monkeypatch, capsys, "ui", "out", "--host", "no.such.host")
