"""The judge against a real HTTP server that misbehaves on purpose."""

from __future__ import annotations

import json
import logging
import os
import socket
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest
import yaml

from quality.models.endpoint import Endpoint, Malformed, read_json
from quality.scores.judge import Judge
from quality.text.turns import Message
from raylib.cli.app import main
from raylib.cli.progress import warnings_of
from raylib.engine import run
from raylib.engine.planning import make_plan
from raylib.engine.probing import probe
from raylib.errors import EndpointError, ShardError
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
    "400!",
    "403!",
    "empty!",
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
    summary = run(recipe(source, out, server, unanswered="unscored")).summary
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
        "400!": "HTTP 400: content filter",
        "403!": "HTTP 403: Your input was flagged by moderation",
        "empty!": "finish_reason content_filter",
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
    assert notes["refused"] == 3
    assert warnings_of(summary) == ["judge: 11 failures; the columns that it added say which, and why"]
    # two completions with usage came for each record with one bad answer, three for those with bad ones only
    answered = sum(
        1
        for r in server.requests
        if not any(f"[{w}" in r["messages"][0]["content"] for w in ("429!", "500!", "slow!", "close!", "400!", "403!"))
    )
    assert notes["tokens_in"] >= 100 * 16
    assert notes["tokens_in"] <= 100 * answered
    assert notes["cost"] == pytest.approx((notes["tokens_in"] * 2.0 + notes["tokens_out"] * 10.0) / 1e6)

    assert server.keys == {f"Bearer {KEY}"}
    written = b"".join(p.read_bytes() for p in out.rglob("*") if p.is_file()) + (tmp_path / "cache.sqlite").read_bytes()
    assert KEY.encode() not in written, "the key is in no report, manifest, column or cache"
    captured = capfd.readouterr()
    assert KEY not in caplog.text + captured.out + captured.err


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
    run(recipe(source, tmp_path / "a", server, unanswered="unscored"))
    before = server.tries.copy()
    run(recipe(source, tmp_path / "b", server, unanswered="unscored"))
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


@contextmanager
def dead_port() -> Iterator[str]:
    """The URL of a port where nobody listens."""
    with socket.socket() as held:
        held.bind(("127.0.0.1", 0))
        yield f"http://127.0.0.1:{held.getsockname()[1]}/v1"


def test_gives_up_on_an_endpoint_that_dies(server: Server, tmp_path: Path) -> None:
    questions: list[list[Message]] = [[{"role": "user", "content": str(i)}] for i in range(500)]
    with dead_port() as url:
        endpoint = Endpoint("m", url, retries=0, give_up_after=5, concurrency=2, timeout=2, probe=False)
        with pytest.raises(EndpointError, match=r"given up after 5 questions in a row .*: Connection refused"):
            endpoint.ask(questions, read_json)
        assert endpoint.usage.requests < 10
    # so does a model whose answers nobody can read
    endpoint = Endpoint("m", server.url, malformed_retries=0, give_up_after=5, concurrency=2)
    with pytest.raises(EndpointError, match="5 questions in a row without a usable answer, the last: malformed"):
        endpoint.ask([[{"role": "user", "content": f"[words!]{i}"}] for i in range(500)], read_json)
    assert endpoint.ask(questions[:7], read_json)[6].value == GOOD, "a good answer begins the count again"


@pytest.mark.parametrize(
    ("word", "message"),
    [
        ("401!", "HTTP 401: bad key \\*\\*\\*; put a valid key into the variable OPENAI_API_KEY"),
        ("402!", "HTTP 402: Insufficient Balance; the account of the key in the variable OPENAI_API_KEY needs credit"),
        ("quota!", r"HTTP 429: no quota; the account"),
        ("301!", "base_url is redirected to https://elsewhere/v1; give that URL"),
    ],
)
def test_a_refusal_of_all_stops_at_once(server: Server, word: str, message: str) -> None:
    endpoint = Endpoint("m", server.url, concurrency=2)
    with pytest.raises(EndpointError, match=message) as caught:
        endpoint.ask([[{"role": "user", "content": f"[{word}]{i}"}] for i in range(100)], read_json)
    assert KEY not in str(caught.value)
    assert "\n" not in str(caught.value)
    assert len(server.requests) <= 4


@pytest.fixture
def command(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> Callable[..., tuple[object, str]]:
    """`raylib run` on a recipe: exit code, and what it printed on standard error."""

    def run_it(made: Recipe) -> tuple[object, str]:
        path = Path(made.output.path).parent / "recipe.yaml"
        path.write_text(made.to_yaml(), encoding="utf-8")
        monkeypatch.setattr(sys, "argv", ["raylib", "run", str(path)])
        with pytest.raises(SystemExit) as ended:
            main()
        return ended.value.code or 0, capsys.readouterr().err

    return run_it


def test_a_wrong_key_ends_the_command_and_the_right_one_continues(
    server: Server,
    tmp_path: Path,
    write_jsonl: Write,
    monkeypatch: pytest.MonkeyPatch,
    command: Callable[..., tuple[object, str]],
) -> None:
    source, out = write_jsonl(rows([""] * 10)), tmp_path / "out"
    server.key, server.model = KEY, "strong"
    for given, said in (
        ("sk-wrong", "HTTP 401: Incorrect API key: ***; put a valid key into the variable OPENAI_API_KEY"),
        (
            "",
            "HTTP 401: Incorrect API key:; the variable OPENAI_API_KEY is not set; "
            "put the key of this endpoint into it",
        ),
    ):
        monkeypatch.setenv("OPENAI_API_KEY", given)
        whole = f"error: stage 'judge': endpoint {server.url}, model strong: {said}. The same command then continues"
        code, stderr = command(recipe(source, out, server))
        assert (code, stderr.splitlines()[-1]) == (1, whole)
    monkeypatch.setenv("OPENAI_API_KEY", "密钥")
    with pytest.raises(EndpointError, match="the variable OPENAI_API_KEY holds characters that no key has"):
        run(recipe(source, out, server))
    assert not kept(out)
    monkeypatch.setenv("OPENAI_API_KEY", KEY + "\n")
    with pytest.raises(EndpointError) as weak:
        run(recipe(source, tmp_path / "other", server, model="weak"))
    assert str(weak.value) == (
        f"stage 'judge': endpoint {server.url}, model weak: HTTP 404: The model `weak` does not exist; check model "
        "(its name at the endpoint) and base_url (the URL up to /v1). The same command then continues"
    )
    assert not server.requests, "only probes were refused"
    code, stderr = command(recipe(source, out, server))
    assert code == 0, stderr
    assert [row["quality"] for row in kept(out)] == [4.125] * 10
    # a finished run asks nobody, also from another address and with more patience
    server.down, before = True, server.probes
    code, stderr = command(recipe(source, out, server, base_url="http://127.0.0.1:9/v1", retries=9))
    assert (code, server.probes) == (0, before), stderr


def test_a_dead_endpoint_is_said_in_seconds(tmp_path: Path, write_jsonl: Write, server: Server) -> None:
    source = write_jsonl(rows([""] * 3))
    with dead_port() as url:
        begun = time.monotonic()
        with pytest.raises(EndpointError, match="Connection refused; check that the server runs, and base_url"):
            run(recipe(source, tmp_path / "out", server, base_url=url), fresh=True)
        assert time.monotonic() - begun < 20
    server.down = True
    with pytest.raises(EndpointError, match="HTTP 503: no worker; check that"):
        run(recipe(source, tmp_path / "out", server))


def test_a_key_that_expires_stops_the_run_and_commits_nothing_unscored(
    server: Server, tmp_path: Path, write_jsonl: Write
) -> None:
    source, out = write_jsonl(rows(["", "401", ""])), tmp_path / "out"
    with pytest.raises(EndpointError, match="HTTP 401"):
        run(recipe(source, out, server, concurrency=1))
    assert not kept(out)
    assert run(recipe(source, out, server, concurrency=1)).summary["records_kept"] == 3
    assert [row["quality"] for row in kept(out)] == [4.125] * 3
    assert max(server.tries.values()) == 2, "answers that came are in the cache"


def test_records_without_an_answer_stay_open(server: Server, tmp_path: Path, write_jsonl: Write) -> None:
    source, out = write_jsonl(rows(["", "500", "", "400!"])), tmp_path / "out"
    with pytest.raises(ShardError, match=r"1 of 4 questions got no answer: HTTP 500: oops. They are asked again when"):
        run(recipe(source, out, server, retries=0))
    assert not kept(out)
    assert max(server.tries.values()) == 1, "the engine does not try again what the client has"
    assert run(recipe(source, out, server, retries=0)).summary["records_kept"] == 4
    assert ["quality" in row for row in kept(out)] == [True, True, True, False]
    assert sorted(server.tries.values()) == [1, 1, 2, 2]


def test_stages_with_one_endpoint_share_a_probe(server: Server, tmp_path: Path, write_jsonl: Write) -> None:
    source = write_jsonl(rows([""]))
    made = recipe(source, tmp_path / "out", server)
    judge = {**made.stages[0].parameters, "malformed_retries": 0}
    asked = [judge, {**judge, "column": "again"}, {**judge, "model": "other", "column": "third"}]
    plan = make_plan(
        Recipe.from_dict({**yaml.safe_load(made.to_yaml()), "stages": [{"judge": j} for j in asked]}), None
    )
    probe(plan)
    assert server.probes == 2
    quiet = recipe(source, tmp_path / "quiet", server, probe=False)
    assert run(quiet).summary["records_kept"] == 1
    assert server.probes == 2


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
