"""Judging win rates."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import orjson
import pytest
from typer.testing import CliRunner

from quality.models.endpoint import Malformed
from raylib.cli import app
from raylib.errors import EndpointError
from tests.training.inference.chat_server import ChatServer
from training.inference.winrate import _two_scores, _verdict, win_rate


def test_verdicts_and_rate() -> None:
    assert [
        _verdict(s) for s in ([[8, 5], [7, 5]], [[8, 5], [6, 6]], [[8, 5], [4, 6]], [[5, 5], [5, 5]], [[3, 5], [4, 4]])
    ] == ["win", "win", "tie", "tie", "loss"]
    judged: list[dict[str, Any]] = [
        {"scores": [[8, 3], [7, 4]]},
        {"scores": [[5, 5], [5, 5]]},
        {"scores": [[2, 9], [4, 8]]},
        {"error": "x"},
    ]
    found = win_rate(judged)
    assert (found["win"], found["tie"], found["loss"], found["judged"], found["skipped"]) == (1, 1, 1, 3, 1)
    assert found["rate"] == 0.5
    assert found["low"] < 0.5 < found["high"]
    assert found["improved"] == found["declined"] == pytest.approx(1 / 3, abs=1e-4)
    assert win_rate([{"error": "x"}])["rate"] == 0
    assert _two_scores("８， ７\n因为") == (8.0, 7.0)
    for bad in ("", "8", "8 7 6", "八 七", "11 2"):
        with pytest.raises(Malformed):
            _two_scores(bad)


def test_win_rate_asks_in_both_orders(server: ChatServer, tmp_path: Path) -> None:
    def judge(prompt: str) -> str | None:
        one, two = prompt.split("[助手一]")[1].split("[助手二]")
        if "坏" in prompt.split("[助手一]", maxsplit=1)[0]:
            return None
        # likes the longer answer, and whoever comes first a little
        return f"{min(10, 2 + len(one.strip()))} {min(10, 1 + len(two.strip()))}"

    server.reply = judge

    def file(name: str, answers: list[str]) -> str:
        path = tmp_path / name
        rows = [
            {"id": str(i), "prompt": [{"role": "user", "content": "坏问题" if i == 3 else f"问题{i}"}], "response": a}
            for i, a in enumerate(answers)
        ]
        path.write_bytes(b"".join(orjson.dumps(r) + b"\n" for r in rows))
        return str(path)

    ours, theirs = (
        file("a.jsonl", ["很长的回答", "同样长", "短", "x"]),
        file("b.jsonl", ["短", "一样长", "很长的回答", "y"]),
    )
    out, cache = str(tmp_path / "v.jsonl"), str(tmp_path / "c")
    command = [
        "evaluate",
        "winrate",
        ours,
        theirs,
        "--judge",
        "m",
        "--base-url",
        server.url,
        "-o",
        out,
        "--cache",
        cache,
    ]
    done = CliRunner().invoke(app, command)
    assert done.exit_code == 0, done.output
    assert "win 1, tie 1, loss 1, skipped 1" in done.output, "the one that only order decides is a tie"
    verdicts = [json.loads(line) for line in (tmp_path / "v.jsonl").read_text().splitlines()]
    assert "400" in verdicts[3]["error"]
    before = len(server.requests)
    CliRunner().invoke(app, command)
    assert len(server.requests) == before + 2, "only the item that failed is asked for again"


@pytest.mark.parametrize("what", ["evaluate winrate", "pairs", "generate"])
def test_a_refused_key_ends_the_command_and_writes_nothing(
    server: ChatServer, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, what: str
) -> None:
    monkeypatch.setenv("HOME", str(tmp_path))  # the place of the cache of `pairs`
    rows = [
        {"id": "1", "prompt": [{"role": "user", "content": "问"}], "response": r, "sample": n, "model": "x"}
        for n, r in enumerate(["甲", "乙乙"])
    ]
    for name, held in (("a", rows), ("b", rows[:1])):
        (tmp_path / name).write_bytes(b"".join(orjson.dumps(r) + b"\n" for r in held))
    (tmp_path / "in.jsonl").write_bytes(orjson.dumps({"id": "1", "prompt": "问", "chosen": "甲", "rejected": "乙"}))
    a, b, out = (str(tmp_path / name) for name in ("a", "b", "out"))
    arguments = {
        "evaluate winrate": [a, b, "--judge", "m", "--base-url", server.url, "--cache", str(tmp_path / "c")],
        "pairs": [a, "--judge", "m", "--base-url", server.url],
        "generate": ["m", str(tmp_path / "in.jsonl"), "--endpoint", server.url],
    }[what]
    command = [*what.split(), *arguments, "-o", out]
    server.refusal = 401
    failed = CliRunner().invoke(app, command)
    assert isinstance(failed.exception, EndpointError), failed.output
    said = "HTTP 401: no; put a valid key into the variable OPENAI_API_KEY"
    assert said in str(failed.exception)
    assert not server.requests, "the probe was refused"
    assert not Path(out).exists()
    server.refusal = 0
    good = {"helpfulness": 4, "relevance": 4, "accuracy": 4, "detail": 4, "reason": ""}
    poor = dict.fromkeys(good, 2) | {"reason": ""}
    server.reply = lambda prompt: "5 5" if "助手一" in prompt else json.dumps(good if "乙乙" in prompt else poor)
    assert CliRunner().invoke(app, command).exit_code == 0
    assert server.requests
