"""A secret in a path is refused before any work, and no message repeats it."""

from __future__ import annotations

import json
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st
from typer.testing import CliRunner

import raylib
from quality.models.chat import check_endpoint
from raylib.cli import app
from raylib.credentials import masked, secret_in, secret_in_command
from raylib.errors import ParameterError, RaylibError
from raylib.reading.sources import SourceFile
from raylib.recipe import Recipe
from raylib.storage.store import Store
from raylib.user_yaml import read_document
from training.config import TrainConfig

SECRET = "wJalrXUtnFEMI"
BAD = [
    f"s3://AKIDEXAMPLE:{SECRET}@bucket/pages/*.jsonl",
    f"s3://AKIDEXAMPLE:{SECRET}/b+c@bucket/pages",  # a slash that should have been escaped
    f"s3://bucket/pages?access_key=AKID&secret_key={SECRET}",
    f"s3://bucket/pages?session_token={SECRET}&region=cn-north-1",
    f"s3://bucket/pages?endpoint_override=http%3A%2F%2Fme%3A{SECRET}%40minio%3A9000",
    f"https://me:{SECRET}@host/pages.jsonl",
    f"https://{SECRET}@host/pages.jsonl",
    f"hdfs://me:{SECRET}@namenode:8020/pages",
    f"abfs://me:{SECRET}@account/pages",
    f"https://host/pages.jsonl?X-Amz-Algorithm=a&X-Amz-Signature={SECRET}",
    f"https://host/pages.jsonl?sv=2024&sig={SECRET}",
    f"https://host/pages.jsonl#token={SECRET}",
    f"https://host/pages.jsonl?access%5Fkey={SECRET}",
    f"simplecache::s3://AKIDEXAMPLE:{SECRET}@bucket/pages",
]
GOOD = [
    "s3://bucket/a@b:c.jsonl?region=cn-north-1&endpoint_override=minio:9000&scheme=http",
    "s3://bucket/pages/*.jsonl",
    "abfs://container@account.dfs.core.windows.net/pages",
    "hdfs://me@namenode:8020/pages",
    "sftp://me@host/pages",
    "http://[::1]:8000/a@b",
    "http://host:8000/@user:page",
    "gs://bucket/pages?version=3",
    "hf://datasets/owner/name@refs/main/x.parquet",
    "数据/网页?.jsonl",
    "C:/pages@me:x",
]


@pytest.mark.parametrize("uri", BAD)
def test_secrets_in_uris_are_found_and_never_shown(uri: str) -> None:
    found = secret_in(uri)
    assert found
    assert SECRET not in found
    assert SECRET not in masked(f"raylib run r.yaml --set input.path={uri} -q")
    assert "-q" in masked(f"raylib run r.yaml --set input.path={uri} -q")


@pytest.mark.parametrize("uri", GOOD)
def test_other_paths_are_left_alone(uri: str) -> None:
    assert secret_in(uri) == ""
    assert masked(uri) == uri


@given(st.text(max_size=60))
def test_any_text_is_judged_without_an_error(text: str) -> None:
    for word in (text, f"s3://{text}", f"{text}://{text}@{text}?{text}"):
        assert isinstance(secret_in(word), str)
        assert isinstance(masked(word), str)


WAYS: dict[str, Callable[[str, Path], object]] = {
    "read": lambda uri, _: raylib.read(uri),
    "read, several": lambda uri, _: raylib.read(["a.jsonl", uri]),
    "recipe": lambda uri, _: Recipe.from_dict({"input": {"path": ["a", uri]}, "output": {"path": "out"}}),
    "output": lambda uri, _: Recipe.from_dict({"input": {"path": "a"}, "output": {"path": uri}}),
    "dataset": lambda uri, place: raylib.read(str(place)).length(min=1).write(uri),
    "override": lambda uri, _: Recipe.from_dict(
        {"input": {"path": "a"}, "output": {"path": "out"}}, overrides={"output.path": uri}
    ),
    "stage": lambda uri, _: Recipe.from_dict(
        {"input": {"path": "a"}, "output": {"path": "b"}, "stages": [{"decontaminate": {"against": uri}}]}
    ),
    "training": lambda uri, _: TrainConfig.from_dict({"model": {"path": uri}}),
    "store": lambda uri, _: Store(uri).exists("manifest.jsonl"),
    "endpoint": lambda uri, _: check_endpoint(uri.replace("s3:", "http:"), "OPENAI_API_KEY"),
}


@pytest.mark.parametrize("way", WAYS)
@pytest.mark.parametrize("uri", [BAD[0], BAD[1], BAD[3]])
def test_no_way_in_takes_a_secret_or_repeats_it(way: str, uri: str, tmp_path: Path) -> None:
    with pytest.raises(RaylibError) as caught:
        WAYS[way](uri, tmp_path)
    assert SECRET not in str(caught.value)


def test_a_recipe_names_the_line_and_what_to_do(tmp_path: Path) -> None:
    path = tmp_path / "r.yaml"
    path.write_text(f"input:\n  path: [pages.jsonl, '{BAD[0]}']\noutput: {{path: {tmp_path}/out}}\n", "utf-8")
    with pytest.raises(RaylibError, match=r"r\.yaml:2: .*AWS_ACCESS_KEY_ID") as caught:
        read_document(path, RaylibError)
    assert SECRET not in str(caught.value)
    assert not (tmp_path / "out").exists()


COMMANDS = [
    ["run", "r.yaml", "--set", f"input.path={BAD[0]}"],
    ["inspect", BAD[0]],
    ["ui", BAD[2]],
    ["tokenize", BAD[0], "--tokenizer", "t", "--out", "o"],
    ["submit", "--", "raylib", "run", "r.yaml", "--set", f"output.path={BAD[0]}"],
    ["submit", "--", "env", f"OPENAI_API_KEY={SECRET}", "raylib", "run", "r.yaml"],
    ["run", "r.yaml", "--set", f"stages.judge.api_key={SECRET}"],
    ["import", BAD[9]],
]


def test_no_command_takes_a_secret_or_repeats_it(tmp_path: Path) -> None:
    code = "import json, sys; from raylib.cli import main; sys.argv = ['raylib', *json.loads(sys.argv[1])]; main()"
    for command in COMMANDS:
        done = subprocess.run(
            [sys.executable, "-c", code, json.dumps(command)], capture_output=True, text=True, cwd=tmp_path, check=False
        )
        assert done.returncode == 1, command
        assert done.stderr.startswith("error: the command line "), done.stderr
        assert SECRET not in done.stdout + done.stderr
    assert not list(tmp_path.iterdir())


def test_ordinary_words_of_a_command_line_are_no_secrets() -> None:
    words = ["run", "--set", "stages.judge.key_env=MY_KEY", "max_tokens=3", "--set", "data.tokens=[a]", "name=secrets"]
    assert secret_in_command([*words, "input.path=s3://bucket/password=1/x"]) == ""


def test_overrides_are_refused_without_the_main_entry_point() -> None:
    done = CliRunner().invoke(app, ["run", "r.yaml", "--set", f"input.path={BAD[0]}"])
    assert isinstance(done.exception, RaylibError)
    assert SECRET not in str(done.exception)


def test_a_key_in_place_of_its_variable_is_not_shown() -> None:
    for key in ("sk-proj-Ab12Cd34Ef56", "hf_abcdefghijklmnopqrstuvwx", "mit leerzeichen"):
        with pytest.raises(ParameterError, match="name of an environment variable") as caught:
            check_endpoint("http://localhost:8000/v1", key)
        assert key not in str(caught.value)
    assert check_endpoint("http://localhost:8000/v1", "MY_KEY_2") == "http://localhost:8000/v1"


def test_how_storage_is_reached_is_no_part_of_ids() -> None:
    file = SourceFile("s3://bucket/a.jsonl", 1, 0, query="?endpoint_override=minio:9000")
    assert file.identity()["path"] == "s3://bucket/a.jsonl"
    assert file.location == "s3://bucket/a.jsonl?endpoint_override=minio:9000"
