"""The judge against a real HTTP server that misbehaves on purpose."""

from __future__ import annotations

import json
import logging
import os
import socket
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from quality.models.endpoint import Endpoint, Malformed, read_json
from quality.scores.judge import Judge
from quality.text.turns import Message
from raylib.engine import run
from raylib.recipe import Recipe
from tests.quality.scores.server import GOOD, KEY, Server
from tests.texts import conversations

Write = Callable[..., Path]


def rows(words: list[str]) -> list[dict[str, Any]]:
    made = conversations(len(words))
    for row, word in zip(made, words, strict=True):
        row["messages"][0]["content"] += f"[{word}]" if word else ""
    return made


def recipe(source: Path, out: Path, server: Server, **judge: Any) -> Recipe:
    settings = {
        "model": "strong",
        "base_url": server.url,
        "timeout": 1.0,
        "retries": 2,
        "first_wait": 0.05,
        "max_wait": 0.3,
        "price_in": 2.0,
        "price_out": 10.0,
        "cache": str(out.parent / "cache.sqlite"),
        **judge,
    }
    return Recipe.from_dict(
        {
            "input": {"path": str(source)},
            "output": {"path": str(out), "format": "jsonl"},
            "engine": {"mode": "inline"},
            "stages": [{"judge": settings}],
        }
    )


def kept(out: Path) -> list[dict[str, Any]]:
    import zstandard

    found = []
    for file in sorted((out / "kept").rglob("*.zst")):
        with zstandard.open(file, "rt", encoding="utf-8") as stream:
            found += [json.loads(line) for line in stream]
    return sorted(found, key=lambda r: r["id"])


WORDS = [
    "",
    "429",
    "500",
    "slow",
    "drip",
    "close",
    "cut",
    "half",
    "scale",
    "words",
    "fence",
    "429!",
    "500!",
    "slow!",
    "close!",
    "cut!",
    "half!",
    "scale!",
    "words!",
    "401!",
]


def test_every_record_ends_scored_or_with_a_reason(
    server: Server,
    tmp_path: Path,
    write_jsonl: Write,
    caplog: pytest.LogCaptureFixture,
    capfd: pytest.CaptureFixture[str],
) -> None:
    caplog.set_level(logging.DEBUG)
    source, out = write_jsonl(rows(WORDS)), tmp_path / "out"
    summary = run(recipe(source, out, server)).summary
    assert summary["records_kept"] == len(WORDS), "the judge never drops a record"
    found = kept(out)
    reasons = {
        "429!": "HTTP 429",
        "500!": "HTTP 500",
        "slow!": "no answer within",
        "close!": "connection failed",
        "cut!": "no chat completion",
        "half!": "malformed answer",
        "scale!": "outside of 1 to 5",
        "words!": "malformed answer",
        "401!": "HTTP 401",
    }
    for word, row in zip(WORDS, found, strict=True):
        if word in reasons:
            assert "quality" not in row, word
            assert reasons[word] in row["quality_unscored"], (word, row)
        else:
            assert row["quality"] == pytest.approx((4 + 5 + 3.5 + 4) / 4), word
            assert row["quality_accuracy"] == 3.5
            assert row["quality_reason"] == "可以"
            assert "quality_unscored" not in row
    notes = summary["notes"]["judge"]
    assert notes["requests"] == len(server.requests)
    assert notes["failed"] == len(reasons)
    # two completions with usage came for each record with one bad answer, three for those with bad ones only
    answered = sum(
        1
        for r in server.requests
        if not any(f"[{w}" in r["messages"][0]["content"] for w in ("429!", "500!", "slow!", "close!", "401!", "drip!"))
    )
    assert notes["tokens_in"] >= 100 * 16
    assert notes["tokens_in"] <= 100 * answered
    assert notes["cost"] == pytest.approx((notes["tokens_in"] * 2.0 + notes["tokens_out"] * 10.0) / 1e6)

    assert server.keys == {f"Bearer {KEY}"}
    written = b"".join(p.read_bytes() for p in out.rglob("*") if p.is_file()) + (tmp_path / "cache.sqlite").read_bytes()
    assert KEY.encode() not in written, "the key is in no report, manifest, column or cache"
    captured = capfd.readouterr()
    assert KEY not in caplog.text + captured.out + captured.err
    assert "401" in json.dumps(found, ensure_ascii=False)


def test_a_rerun_costs_nothing(server: Server, tmp_path: Path, write_jsonl: Write) -> None:
    source = write_jsonl(rows([""] * 12))
    first = run(recipe(source, tmp_path / "a", server)).summary
    before = len(server.requests)
    assert before == 12
    again = run(recipe(source, tmp_path / "b", server)).summary
    assert len(server.requests) == before, "all answers came from the cache"
    assert again["notes"]["judge"]["cached"] == 12
    assert again["notes"]["judge"]["cost"] == 0
    assert [r["quality"] for r in kept(tmp_path / "a")] == [r["quality"] for r in kept(tmp_path / "b")]
    assert first["notes"]["judge"]["cost"] > 0
    other = run(recipe(source, tmp_path / "c", server, model="another")).summary
    asked = other["notes"]["judge"]  # on a busy machine a request may run into its time-out, and is made again
    assert asked["requests"] - asked["retries"] == 12, "another model's answers are others"
    assert not asked["cached"], "another model's answers are others"


def test_failures_are_not_cached(server: Server, tmp_path: Path, write_jsonl: Write) -> None:
    source = write_jsonl(rows(["500!", ""]))
    run(recipe(source, tmp_path / "a", server))
    before = server.tries.copy()
    run(recipe(source, tmp_path / "b", server))
    grown = {p: n - before[p] for p, n in server.tries.items()}
    assert sorted(grown.values()) == [0, 3]


def test_limits_of_concurrency_rate_and_budget(server: Server, tmp_path: Path) -> None:
    def asked(n: int, **options: Any) -> tuple[list[Any], Endpoint]:
        endpoint = Endpoint("m", server.url, first_wait=0.01, max_wait=0.1, **options)
        prompts: list[list[Message]] = [[{"role": "user", "content": f"{os.urandom(4).hex()} {i}"}] for i in range(n)]
        return endpoint.ask(prompts, read_json), endpoint

    answers, _ = asked(40, concurrency=3)
    assert all(a.value == GOOD for a in answers)
    assert server.most_busy <= 3
    begun = time.monotonic()
    asked(6, requests_per_minute=600)
    assert time.monotonic() - begun >= 0.45
    answers, endpoint = asked(20, concurrency=1, price_in=10_000, budget=2.5)
    assert sum(a.value is not None for a in answers) == 3
    assert all("budget" in a.error for a in answers if a.value is None)
    assert endpoint.usage.cost == pytest.approx(3.0)


def test_gives_up_on_a_dead_endpoint(tmp_path: Path) -> None:
    with socket.socket() as held:
        held.bind(("127.0.0.1", 0))
        url = f"http://127.0.0.1:{held.getsockname()[1]}/v1"
        endpoint = Endpoint("m", url, retries=0, first_wait=0.01, give_up_after=5, concurrency=2, timeout=2)
        begun = time.monotonic()
        answers = endpoint.ask([[{"role": "user", "content": str(i)}] for i in range(500)], read_json)
    assert time.monotonic() - begun < 20
    assert all(a.value is None for a in answers)
    assert sum("given up" in a.error for a in answers) > 480
    assert endpoint.usage.requests < 20


def test_asks_in_the_language_of_the_record(server: Server, tmp_path: Path) -> None:
    import pyarrow as pa

    from raylib.schema import SCHEMAS

    made = rows(["", ""])
    made[1]["messages"] = [{"role": "user", "content": "Explain tides."}, {"role": "assistant", "content": "The moon."}]
    made.append({"id": "x", "source": "", "messages": [{"role": "assistant", "content": "?"}]})
    table = pa.Table.from_pylist([{"meta": None, **r} for r in made], schema=SCHEMAS["conversation"])
    out = Judge("m", "difficulty", base_url=server.url, cache="", malformed_retries=0)(table).kept.to_pylist()
    prompts = {r["messages"][0]["content"] for r in server.requests}
    assert any("[指令]" in p and "[回答]" in p for p in prompts)
    assert any("[Instruction]\nExplain tides." in p for p in prompts)
    # the server answers the other rubric: the criteria are missing
    assert "knowledge is missing" in out[0]["difficulty_unscored"]
    assert out[2]["difficulty_unscored"] == "no instruction"


def test_read_json() -> None:
    assert read_json('x {"a": 1} y') == {"a": 1}
    assert read_json('```json\n{"a": {"b": 2}}\n```') == {"a": {"b": 2}}
    for bad in ("", "[1]", "{", "none"):
        with pytest.raises(Malformed):
            read_json(bad)
