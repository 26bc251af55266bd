"""Building preferences and judging win rates."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import orjson
import pytest
from hypothesis import given
from hypothesis import strategies as st
from typer.testing import CliRunner

from quality.models.endpoint import Malformed
from raylib.cli import app
from tests.quality.scores.test_judge import Server, server  # noqa: F401 - a fixture
from training.inference.pairs import PairOptions, build_pairs
from training.inference.winrate import _two_scores, _verdict, win_rate


def answer(name: str, response: str, score: float | None) -> dict[str, Any]:
    return {"id": name, "prompt": [{"role": "user", "content": f"问{name}"}], "response": response, "score": score}


def test_best_against_worst_over_a_margin() -> None:
    rows = [
        answer("a", "好的回答在这里", 5), answer("a", "中等的回答", 3), answer("a", "差的回答", 1),
        answer("b", "一样", 2), answer("b", "不一样", 2.2),
        answer("c", "只有一个", 4), answer("c", "没有分数", None),
        answer("d", "很长" * 50, 5), answer("d", "短", 1),
    ]  # fmt: skip
    pairs, report = build_pairs(rows)
    assert [(p["id"], p["chosen"], p["rejected"]) for p in pairs] == [("a", "好的回答在这里", "差的回答")]
    assert report["without_pair"] == {"unscored": 1, "one_answer": 1, "margin": 1, "length": 1}
    assert report["chosen_longer"] == 1.0
    assert len(build_pairs(rows, PairOptions(max_length_ratio=0))[0]) == 2


@given(st.lists(st.tuples(st.sampled_from("abc"), st.text(alphabet="甲乙丙", max_size=6), st.none() | st.floats(0, 10)), max_size=30), st.floats(0, 3))  # fmt: skip
def test_pairs_always_hold_the_margin(drawn: list[tuple[str, str, float | None]], margin: float) -> None:
    pairs, report = build_pairs([answer(*d) for d in drawn], PairOptions(margin=margin, per_prompt=3))
    for p in pairs:
        assert p["chosen_score"] - p["rejected_score"] >= margin and p["chosen"].strip() != p["rejected"].strip()
        assert p["chosen_score"] > p["rejected_score"]
    assert report["pairs"] == len(pairs)


def test_verdicts_and_rate() -> None:
    assert [_verdict(s) for s in ([[8, 5], [7, 5]], [[8, 5], [6, 6]], [[8, 5], [4, 6]], [[5, 5], [5, 5]], [[3, 5], [4, 4]])] == ["win", "win", "tie", "tie", "loss"]  # fmt: skip
    judged = [{"scores": [[8, 3], [7, 4]]}, {"scores": [[5, 5], [5, 5]]}, {"scores": [[2, 9], [4, 8]]}, {"error": "x"}]
    found = win_rate(judged)
    assert (found["win"], found["tie"], found["loss"], found["judged"], found["skipped"]) == (1, 1, 1, 3, 1)
    assert found["rate"] == 0.5 and found["low"] < 0.5 < found["high"]
    assert found["improved"] == found["declined"] == pytest.approx(1 / 3, abs=1e-4)
    assert win_rate([{"error": "x"}])["rate"] == 0
    assert _two_scores("８， ７\n因为") == (8.0, 7.0)
    for bad in ("", "8", "8 7 6", "八 七", "11 2"):
        with pytest.raises(Malformed):
            _two_scores(bad)


def test_win_rate_asks_in_both_orders(server: Server, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:  # noqa: F811
    def judge(self: Any, handler: Any, prompt: str, first: bool) -> None:
        one, two = prompt.split("[助手一]")[1].split("[助手二]")
        if "坏" in prompt.split("[助手一]", maxsplit=1)[0]:
            return Server.send(handler, 400, b"no")
        # likes the longer answer, and whoever comes first a little
        scores = (min(10, 2 + len(one.strip())), min(10, 1 + len(two.strip())))
        return Server.send(handler, 200, Server.completion(f"{scores[0]} {scores[1]}"))

    monkeypatch.setattr(Server, "answer", judge)

    def file(name: str, answers: list[str]) -> str:
        path = tmp_path / name
        rows = [{"id": str(i), "prompt": [{"role": "user", "content": "坏问题" if i == 3 else f"问题{i}"}], "response": a} for i, a in enumerate(answers)]  # fmt: skip
        path.write_bytes(b"".join(orjson.dumps(r) + b"\n" for r in rows))
        return str(path)

    ours, theirs = (
        file("a.jsonl", ["很长的回答", "同样长", "短", "x"]),
        file("b.jsonl", ["短", "一样长", "很长的回答", "y"]),
    )
    done = CliRunner().invoke(app, ["evaluate", "winrate", ours, theirs, "--judge", "m", "--base-url", server.url, "-o", str(tmp_path / "v.jsonl"), "--cache", str(tmp_path / "c")])  # fmt: skip
    assert done.exit_code == 0, done.output
    assert "win 1, tie 1, loss 1, skipped 1" in done.output, "the one that only order decides is a tie"
    verdicts = [json.loads(line) for line in (tmp_path / "v.jsonl").read_text().splitlines()]
    assert "400" in verdicts[3]["error"]
    before = len(server.requests)
    CliRunner().invoke(app, ["evaluate", "winrate", ours, theirs, "--judge", "m", "--base-url", server.url, "-o", str(tmp_path / "v.jsonl"), "--cache", str(tmp_path / "c")])  # fmt: skip
    assert len(server.requests) == before + 2, "only the item that failed is asked for again"


def test_pairs_command(tmp_path: Path) -> None:
    path = tmp_path / "answers.jsonl"
    path.write_bytes(b"".join(orjson.dumps(answer("1", r, s)) + b"\n" for r, s in (("好回答", 4), ("坏回答", 1))))
    done = CliRunner().invoke(app, ["pairs", str(path), "-o", str(tmp_path / "p.jsonl")])
    assert done.exit_code == 0, done.output
    (pair,) = [json.loads(line) for line in (tmp_path / "p.jsonl").read_text().splitlines()]
    assert (pair["chosen"], pair["rejected"]) == ("好回答", "坏回答")
    path.write_bytes(orjson.dumps({"id": "1", "prompt": [], "response": "x"}) + b"\n")
    wrong = CliRunner().invoke(app, ["pairs", str(path), "-o", str(tmp_path / "p.jsonl")])
    assert "--reward-model or --judge" in str(wrong.exception)


def test_an_endpoint_generates_and_a_second_run_asks_for_the_rest(server: Server, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:  # noqa: F811  # fmt: skip
    def say(self: Any, handler: Any, prompt: str, first: bool) -> None:
        return Server.send(handler, 200, Server.completion(f"答：{prompt}"))

    monkeypatch.setattr(Server, "answer", say)
    rows = [{"id": str(i), "prompt": f"问题{i}", "chosen": "甲", "rejected": "乙"} for i in range(3)]
    (tmp_path / "in.jsonl").write_bytes(b"".join(orjson.dumps(r) + b"\n" for r in rows))
    out = tmp_path / "out.jsonl"
    command = ["generate", "m", str(tmp_path / "in.jsonl"), "-o", str(out), "--endpoint", server.url, "--samples", "2"]
    done = CliRunner().invoke(app, command)
    assert done.exit_code == 0, done.output
    made = [orjson.loads(line) for line in out.read_bytes().splitlines()]
    assert [(r["id"], r["sample"], r["response"]) for r in made] == [(str(i), n, f"答：问题{i}") for n in range(2) for i in range(3)]  # fmt: skip
    out.write_bytes(b"".join(orjson.dumps(r) + b"\n" for r in made[:4]))
    before = len(server.requests)
    assert "4 were there" in CliRunner().invoke(app, command).output
    assert len(server.requests) == before + 2 and len(out.read_bytes().splitlines()) == 6
    wrong = CliRunner().invoke(app, ["generate", "m", str(tmp_path / "in.jsonl"), "-o", str(tmp_path / "x"), "--engine", "vlm"])  # fmt: skip
    assert "transformers or vllm" in str(wrong.exception)
