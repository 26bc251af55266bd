"""Answers: memorised ones, and those of an endpoint, of which only the missing are asked for."""

from __future__ import annotations

from pathlib import Path

import orjson
import pytest
from typer.testing import CliRunner

from raylib.cli import app
from raylib.errors import LockedError
from raylib.locking import locked_file
from tests.training.inference.chat_server import ChatServer
from tests.training.setup import config, quiet, write
from training.data.tokens import tokenize
from training.inference.generate import Generator
from training.inference.sampling import Sampling
from training.loop.launch import run


@pytest.mark.slow
def test_a_memorised_answer_is_generated_and_stops(tokens: dict[str, str], tiny_model: Path, tmp_path: Path) -> None:
    talk = [{"role": "user", "content": "茶是什么？"}, {"role": "assistant", "content": "茶是一种饮料。\n汤色清亮。"}]
    tokenize(
        [write(tmp_path / "one.jsonl", [{"id": str(i), "messages": talk} for i in range(4)])],
        tmp_path / "one",
        str(tiny_model),
    )
    run(
        config(
            tokens,
            tiny_model,
            tmp_path,
            steps=60,
            **{"data.train": [{"path": str(tmp_path / "one")}], "optimizer.learning_rate": 1e-2, "data.packing": False},
        ),
        say=quiet,
    )
    made = Generator(str(tmp_path / "run" / "checkpoints" / "final"))
    assert made.answer([talk[:1]], Sampling(max_new_tokens=60)) == [talk[1]["content"]], "all of it, and no more"


def test_an_endpoint_generates_and_a_second_run_asks_for_the_rest(server: ChatServer, tmp_path: Path) -> None:
    server.reply = lambda prompt: f"答：{prompt}"
    rows = [{"id": str(i), "prompt": f"问题{i}", "chosen": "甲", "rejected": "乙"} for i in range(3)]
    (tmp_path / "in.jsonl").write_bytes(b"".join(orjson.dumps(r) + b"\n" for r in rows))
    out = tmp_path / "out.jsonl"
    command = ["generate", "m", str(tmp_path / "in.jsonl"), "-o", str(out), "--endpoint", server.url, "--samples", "2"]
    done = CliRunner().invoke(app, command)
    assert done.exit_code == 0, done.output
    made = [orjson.loads(line) for line in out.read_bytes().splitlines()]
    assert [(r["id"], r["sample"], r["response"]) for r in made] == [
        (str(i), n, f"答：问题{i}") for n in range(2) for i in range(3)
    ]
    out.write_bytes(b"".join(orjson.dumps(r) + b"\n" for r in made[:4]))
    before = len(server.requests)
    assert "4 were there" in CliRunner().invoke(app, command).output
    assert len(server.requests) == before + 2
    assert len(out.read_bytes().splitlines()) == 6
    with locked_file(out):
        assert isinstance(CliRunner().invoke(app, command).exception, LockedError)
    wrong = CliRunner().invoke(
        app, ["generate", "m", str(tmp_path / "in.jsonl"), "-o", str(tmp_path / "x"), "--engine", "vlm"]
    )
    assert "transformers or vllm" in str(wrong.exception)


def test_a_refused_prompt_costs_no_other_answer(server: ChatServer, tmp_path: Path) -> None:
    server.reply = lambda prompt: None if prompt == "问题1" else f"答：{prompt}"
    rows = [{"id": str(i), "prompt": f"问题{i}", "chosen": "甲", "rejected": "乙"} for i in range(3)]
    (tmp_path / "in.jsonl").write_bytes(b"".join(orjson.dumps(r) + b"\n" for r in rows))
    out = tmp_path / "out.jsonl"
    command = ["generate", "m", str(tmp_path / "in.jsonl"), "-o", str(out), "--endpoint", server.url]
    failed = CliRunner().invoke(app, command)
    assert failed.exit_code == 1
    assert str(failed.exception) == (
        f"1 of 3 answers are missing: HTTP 400: no. {out} holds the others, and the same command asks for the missing "
        "ones again"
    )
    assert [orjson.loads(line)["id"] for line in out.read_bytes().splitlines()] == ["0", "2"]
    server.reply = lambda prompt: f"答：{prompt}"
    assert "2 were there" in CliRunner().invoke(app, command).output
    assert len(out.read_bytes().splitlines()) == 3
