"""Answers: memorised ones, and those of an endpoint, of which only the missing are asked for."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import orjson
import pytest
import torch
from transformers import AutoModelForCausalLM
from typer.testing import CliRunner

from raylib.chat import Renderer, stop_ids
from raylib.cli import app
from raylib.errors import LockedError
from raylib.locking import locked_file
from tests.raylib.chat.planted import ASKED, CALL, FOUND, RESULT, TRAINS, learnt_answers, thought, user
from tests.training.inference.chat_server import ChatServer
from tests.training.setup import SHAPES, config, quiet, write
from training.data.tokenizer import saved_tokenizer
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


@pytest.mark.slow
def test_a_thinking_model_generates_what_it_learnt_and_stops(
    tokens: dict[str, str], rewriting: Path, tmp_path: Path
) -> None:
    steps = [ASKED, {"role": "assistant", "content": "", "tool_calls": [CALL]}, RESULT, FOUND]
    talks: list[tuple[list[Any], list[Any] | None]] = [
        (
            [user("三乘四？"), thought("十二。", "三个四相加。"), user("加一呢？"), thought("十三。", "十二加一。")],
            None,
        ),
        (steps, [TRAINS]),
    ]
    rows = [{"id": str(i), "messages": m, **({"tools": t} if t else {})} for i, (m, t) in enumerate(talks)]
    info = tokenize([write(tmp_path / "in.jsonl", rows)], tmp_path / "taught", str(rewriting))
    assert (info["samples"], info["expanded"]) == (4, 2)
    made = config(
        tokens,
        rewriting,
        tmp_path,
        steps=70,
        micro_batch=4,
        **{
            "model.shape": {**SHAPES["qwen3"], "hidden_size": 64, "intermediate_size": 128},
            "data.train": [{"path": str(tmp_path / "taught")}],
            "data.sequence_length": 1024,
            "data.packing": False,
            "optimizer.learning_rate": 1e-2,
        },
    )
    run(made, say=quiet)
    folder = tmp_path / "run" / "checkpoints" / "final"
    model = AutoModelForCausalLM.from_pretrained(folder).eval()
    renderer = Renderer(saved_tokenizer(folder), stops=stop_ids(folder))
    taught = [answer for messages, tools in talks for answer in learnt_answers(renderer, messages, tools)]
    assert len(taught) == 4
    for answer in taught:
        asked = torch.tensor([answer.before])
        with torch.inference_mode():
            written = model.generate(asked, max_new_tokens=200, do_sample=False)[0, asked.shape[1] :]
        assert renderer.tokenizer.decode(written.tolist()) == answer.answer
    generator = Generator(str(folder))
    said = generator.answer([talks[0][0][:1], steps[:3]], Sampling(max_new_tokens=200), tools=[None, [TRAINS]])
    assert said == ["<think>\n三个四相加。\n</think>\n\n十二。", f"<think>\n\n</think>\n\n{FOUND['content']}"]


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


@pytest.mark.parametrize("left", [60, 1, 0])
def test_a_line_that_was_cut_is_dropped_and_asked_for_again(
    server: ChatServer, tmp_path: Path, caplog: pytest.LogCaptureFixture, left: int
) -> None:
    server.reply = lambda prompt: f"答：{prompt}"
    rows = [{"id": str(i), "prompt": f"问题{i}", "chosen": "甲", "rejected": "乙"} for i in range(3)]
    (tmp_path / "in.jsonl").write_bytes(b"".join(orjson.dumps(r) + b"\n" for r in rows))
    out = tmp_path / "out.jsonl"
    command = ["generate", "m", str(tmp_path / "in.jsonl"), "-o", str(out), "--endpoint", server.url]
    assert CliRunner().invoke(app, command).exit_code == 0
    whole = out.read_bytes()
    *lines, last = whole.splitlines(keepends=True)
    out.write_bytes(b"".join(lines) + (last[:left] if left else last[:-1]))  # without its end, a line is still whole
    before = len(server.requests)
    assert CliRunner().invoke(app, command).exit_code == 0
    assert out.read_bytes() == whole
    assert len(server.requests) == before + bool(left)
    assert (f"{left} bytes are dropped" in caplog.text) == bool(left)


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
