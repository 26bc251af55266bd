"""Ctrl-C and SIGTERM end every command that takes long: soon, with its processes, and with the words how to go on."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import orjson
import psutil
import pytest
import yaml

from raylib.termination import CONTINUES
from tests.processes import gone
from tests.texts import ARTICLE, ENGLISH, conversations
from tests.training.inference.chat_server import ChatServer
from tests.training.setup import SHAPES
from training import tokenize

pytestmark = [pytest.mark.faults, pytest.mark.slow]

HANGS = 60  # seconds after which a command hangs, on a machine that has much else to do
SIGNALS = pytest.mark.parametrize(("sent", "status"), [(signal.SIGINT, 130), (signal.SIGTERM, 143)])


@dataclass
class Ended:
    """How a command ended."""

    status: int
    said: str
    seconds: float


def interrupted(folder: Path, arguments: list[str], moment: Callable[[], bool], sent: signal.Signals) -> Ended:
    """Send a signal to a command at some moment, and wait for it and for every process that it started."""
    log = folder / "said.txt"
    command = [sys.executable, "-m", "raylib", *arguments]
    with log.open("wb") as said, subprocess.Popen(command, cwd=folder, stdout=said, stderr=said) as process:
        try:
            deadline = time.monotonic() + 240
            while not moment():
                assert process.poll() is None, log.read_text("utf-8")
                assert time.monotonic() < deadline, log.read_text("utf-8")
                time.sleep(0.02)
            children = psutil.Process(process.pid).children(recursive=True)
            began = time.monotonic()
            os.kill(process.pid, sent)
            status = process.wait(HANGS)
            seconds = time.monotonic() - began
        finally:
            process.kill()
    assert all(gone(child.pid) for child in children), children
    return Ended(status, log.read_text("utf-8"), seconds)


def check(ended: Ended, status: int) -> None:
    """Whether a command ended as it should, with nothing but its own words."""
    assert ended.status == status, ended.said
    assert ended.said.rstrip("\n").rsplit("\n", 1)[-1] == CONTINUES, ended.said
    assert not any(word in ended.said for word in ("Traceback", "***", "PC: @", "Error", "leaked")), ended.said


def write(path: Path, rows: list[dict[str, object]]) -> str:
    path.write_bytes(b"".join(orjson.dumps(row) + b"\n" for row in rows))
    return str(path)


def texts(folder: Path, count: int) -> str:
    return write(folder / "in.jsonl", [{"id": str(n), "text": f"{n}{ARTICLE}{ENGLISH}"} for n in range(count)])


def recipe(folder: Path, mode: str) -> str:
    made = {
        "input": {"path": texts(folder, 12_000)},
        "output": {"path": str(folder / "out")},
        "engine": {"mode": mode, "batch_mb": 0.5, "actors": 1 if mode == "ray" else None},
        "stages": ["normalise_characters", {"minhash_dedup": {"threshold": 0.7}}, "exact_dedup"],
    }
    made["engine"] = {k: v for k, v in made["engine"].items() if v is not None}  # type: ignore[attr-defined]
    (folder / "recipe.yaml").write_text(yaml.safe_dump(made), "utf-8")
    return str(folder / "recipe.yaml")


def has_lines(path: Path, wanted: bytes, count: int = 1) -> Callable[[], bool]:
    """Whether a file holds something so often."""
    return lambda: path.is_file() and path.read_bytes().count(wanted) >= count


@SIGNALS
@pytest.mark.parametrize("phase", ['"phase":"s0"', '"phase":"r0.'], ids=["reading", "round"])
@pytest.mark.parametrize("mode", ["inline", pytest.param("ray", marks=pytest.mark.cluster)])
def test_run(tmp_path: Path, mode: str, phase: str, sent: signal.Signals, status: int) -> None:
    path = recipe(tmp_path, mode)
    moment = has_lines(tmp_path / "out" / "manifest.jsonl", phase.encode())
    check(interrupted(tmp_path, ["run", path], moment, sent), status)


@pytest.fixture(scope="module")
def training(tiny_model: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The configuration of a training run that takes minutes."""
    folder = tmp_path_factory.mktemp("training")
    tokenize([write(folder / "chats.jsonl", list(conversations(40)))], str(folder / "sft"), str(tiny_model))
    made = {
        "objective": "sft",
        "name": "r",
        "batch": 4,
        "micro_batch": 4,
        "steps": 100_000,
        "model": {"shape": SHAPES["llama"], "tokenizer": str(tiny_model), "dtype": "fp32"},
        "data": {"train": [{"path": str(folder / "sft")}], "sequence_length": 128},
        "parallel": {"backend": "plain"},
    }
    (folder / "train.yaml").write_text(yaml.safe_dump(made), "utf-8")
    return folder / "train.yaml"


@SIGNALS
@pytest.mark.parametrize("mode", ["here", "local"])
@pytest.mark.parametrize("steps", [0, 3])
def test_train(training: Path, tmp_path: Path, mode: str, steps: int, sent: signal.Signals, status: int) -> None:
    arguments = ["train", str(training), "--mode", mode, "--set", f"output={tmp_path}"]
    held = tmp_path / "r" / ("metrics.jsonl" if steps else "run.json")
    check(interrupted(tmp_path, arguments, has_lines(held, b"\n", steps or 1), sent), status)


@SIGNALS
def test_generate(tmp_path: Path, sent: signal.Signals, status: int) -> None:
    prompts = write(tmp_path / "chats.jsonl", list(conversations(40)))
    held, server = threading.Event(), ChatServer()

    def reply(_: str) -> str:
        held.wait(120)
        return "答"

    server.reply = reply
    arguments = ["generate", "m", prompts, "-o", str(tmp_path / "a.jsonl"), "--endpoint", server.url]
    try:
        check(interrupted(tmp_path, arguments, lambda: len(server.requests) > 2, sent), status)
    finally:
        held.set()
        server.close()


@SIGNALS
@pytest.mark.parametrize("seconds", [0, 4])
def test_report(tmp_path: Path, seconds: int, sent: signal.Signals, status: int) -> None:
    path = texts(tmp_path, 12_000)
    began: list[float] = []

    def moment() -> bool:
        if not began and (tmp_path / "report").is_dir():
            began.append(time.monotonic())
        return bool(began) and time.monotonic() > began[0] + seconds

    check(interrupted(tmp_path, ["report", "diversity", path, "-o", "report"], moment, sent), status)


@SIGNALS
@pytest.mark.parametrize("count", [300, 30_000], ids=["one process", "several processes"])
def test_tokenize(tiny_model: Path, tmp_path: Path, count: int, sent: signal.Signals, status: int) -> None:
    path = texts(tmp_path, count)
    arguments = ["tokenize", path, "-o", "tokens", "--tokenizer", str(tiny_model), "--no-check"]
    moment = (tmp_path / "tokens").is_dir
    check(interrupted(tmp_path, arguments, moment, sent), status)
