"""Building preferences."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import orjson
from hypothesis import given
from hypothesis import strategies as st
from typer.testing import CliRunner

from raylib.cli import app
from training.inference.pairs import PairOptions, build_pairs


def answer(name: str, response: str, score: float | None) -> dict[str, Any]:
    return {"id": name, "prompt": [{"role": "user", "content": f"问{name}"}], "response": response, "score": score}


def test_best_against_worst_over_a_margin() -> None:
    rows = [
        answer("a", "好的回答在这里", 5),
        answer("a", "中等的回答", 3),
        answer("a", "差的回答", 1),
        answer("b", "一样", 2),
        answer("b", "不一样", 2.2),
        answer("c", "只有一个", 4),
        answer("c", "没有分数", None),
        answer("d", "很长" * 50, 5),
        answer("d", "短", 1),
    ]
    pairs, report = build_pairs(rows)
    said = [(p["id"], p["chosen"][0]["content"], p["rejected"][0]["content"]) for p in pairs]
    assert said == [("a", "好的回答在这里", "差的回答")]
    assert report["without_pair"] == {"unscored": 1, "one_answer": 1, "margin": 1, "length": 1}
    assert report["chosen_longer"] == 1.0
    assert len(build_pairs(rows, PairOptions(max_length_ratio=0))[0]) == 2


@given(
    st.lists(
        st.tuples(st.sampled_from("abc"), st.text(alphabet="甲乙丙", max_size=6), st.none() | st.floats(0, 10)),
        max_size=30,
    ),
    st.floats(0, 3),
)
def test_pairs_always_hold_the_margin(drawn: list[tuple[str, str, float | None]], margin: float) -> None:
    pairs, report = build_pairs([answer(*d) for d in drawn], PairOptions(margin=margin, per_prompt=3))
    for p in pairs:
        assert p["chosen_score"] - p["rejected_score"] >= margin
        assert str(p["chosen"][0]["content"]).strip() != str(p["rejected"][0]["content"]).strip()
        assert p["chosen_score"] > p["rejected_score"]
    assert report["pairs"] == len(pairs)


def test_pairs_command(tmp_path: Path) -> None:
    path = tmp_path / "answers.jsonl"
    path.write_bytes(b"".join(orjson.dumps(answer("1", r, s)) + b"\n" for r, s in (("好回答", 4), ("坏回答", 1))))
    done = CliRunner().invoke(app, ["pairs", str(path), "-o", str(tmp_path / "p.jsonl")])
    assert done.exit_code == 0, done.output
    (pair,) = [json.loads(line) for line in (tmp_path / "p.jsonl").read_text().splitlines()]
    replies = [{"role": "assistant", "content": text} for text in ("好回答", "坏回答")]
    assert [pair["chosen"], pair["rejected"]] == [[reply] for reply in replies]
    path.write_bytes(orjson.dumps({"id": "1", "prompt": [], "response": "x"}) + b"\n")
    wrong = CliRunner().invoke(app, ["pairs", str(path), "-o", str(tmp_path / "p.jsonl")])
    assert "--reward-model or --judge" in str(wrong.exception)


def test_no_pair_at_all_is_an_error(tmp_path: Path) -> None:
    path, out = tmp_path / "answers.jsonl", tmp_path / "p.jsonl"
    rows = [answer("1", "甲", 3), answer("1", "乙", 3), answer("2", "甲", 3)]
    path.write_bytes(b"".join(orjson.dumps(row) + b"\n" for row in rows))
    done = CliRunner().invoke(app, ["pairs", str(path), "-o", str(out)])
    assert str(done.exception) == "none of 2 prompts gives a pair (one_answer 1, margin 1); nothing is written"
    assert not out.exists()
    path.write_text("")
    empty = CliRunner().invoke(
        app, ["evaluate", "winrate", str(path), str(path), "--judge", "m", "--base-url", "http://x"]
    )
    assert str(empty.exception) == f"{path}: no answers"
