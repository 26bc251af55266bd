"""Against other sets: benchmark files, and an index that earlier runs saved. And the command line for all of it."""

from __future__ import annotations

import json
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pyarrow.parquet as pq
import pytest
from typer.testing import CliRunner

import raylib
from dedup.index import MinHashIndex
from raylib.cli import app
from raylib.engine import run
from raylib.errors import LockedError, RecipeError
from raylib.locking import locked
from raylib.recipe import Recipe
from raylib.records import Unread, tables_of
from tests.dedup.corpus import corpus
from tests.texts import ARTICLE, ENGLISH

Write = Callable[..., Path]
QUESTION = "下列关于光合作用的说法中，正确的一项是哪一个？绿色植物只有在白天才进行光合作用，夜晚只进行呼吸作用。"
IN_ENGLISH = "Which of the following statements about the water cycle is not correct, and why is it wrong?"


def cli(*arguments: str, stdin: str | None = None) -> str:
    result = CliRunner().invoke(app, list(arguments), input=stdin, catch_exceptions=False)
    assert result.exit_code == 0, result.output
    return result.output


def test_decontamination_names_the_item(tmp_path: Path, write_jsonl: Write) -> None:
    benchmark = write_jsonl(
        [
            {"id": "q1", "question": QUESTION, "answer": "第一项"},
            {"id": "q2", "question": IN_ENGLISH, "answer": "C"},
            {"id": "q3", "question": "水的化学式是什么？请写出来。", "answer": ""},
        ],
        "bench.jsonl",
    )
    rows = {
        "clean": ARTICLE,
        "english": ENGLISH,
        "copied": f"{ARTICLE}\n练习：{QUESTION.replace('，', ',')}\n答案见书后。",
        "part": f"{ARTICLE}{QUESTION[10:48]}{ARTICLE}",
        "too little": f"{ARTICLE}{QUESTION[10:30]}{ARTICLE}",
        "in english": f"{ENGLISH} which of the following statements about the WATER cycle is not correct and why",
        "whole short": f"{ARTICLE}水的化学式是什么，请写出来",
    }
    source = write_jsonl([{"id": k, "text": v} for k, v in rows.items()])
    ds = raylib.read(source).decontaminate(benchmarks=[str(benchmark)])
    assert [r["id"] for r in ds] == ["clean", "english", "too little"]
    details = {r["id"]: r["detail"] for r in ds.rejected}
    assert "bench.jsonl:q1" in details["copied"]
    assert "q1" in details["part"]
    assert "13 words" in details["in english"]
    assert "all of it" in details["whole short"]


def test_decontamination_tells_numbers_apart(write_jsonl: Write) -> None:
    item = "小明有12.3元钱，小红有5-3元钱，请问两个人一共有多少元？"
    benchmark = write_jsonl([{"id": "q", "question": item, "answer": ""}], "bench.jsonl")
    asked = {
        "copied": item.replace("，", ", ").replace("？", "?"),
        "other number": item.replace("12.3", "123"),
        "other sign": item.replace("5-3", "5+3"),
    }
    source = write_jsonl([{"id": k, "text": f"题目：{v}"} for k, v in asked.items()])
    ds = raylib.read(source).decontaminate(benchmarks=[str(benchmark)])
    assert [r["id"] for r in ds] == ["other number", "other sign"]
    assert [r["id"] for r in raylib.read(source).decontaminate(benchmarks=[str(benchmark)], normalise="none")] == list(
        asked
    )


def test_decontamination_needs_its_files(write_jsonl: Write) -> None:
    source = write_jsonl([{"id": "1", "text": ARTICLE}])
    with pytest.raises(raylib.RaylibError, match=r"missing\.jsonl"):
        raylib.read(source).decontaminate(benchmarks=["missing.jsonl"]).count()


def recipe(source: Path, out: Path, index: Path) -> Recipe:
    data = {
        "input": {"path": str(source)},
        "output": {"path": str(out)},
        "engine": {"mode": "inline"},
        "stages": [{"against_index": {"index": str(index)}}],
    }
    return Recipe.from_dict(data)


def test_index_over_two_runs(tmp_path: Path, write_jsonl: Write) -> None:
    rows = corpus(90)
    first = [r for r in rows if r["id"].endswith("-a")]
    second = [r for r in rows if not r["id"].endswith("-a")] + [{"id": "new", "source": "z", "text": ARTICLE}]
    index = tmp_path / "index"
    assert "90 records added; version 1" in cli("index", "build", str(index), str(write_jsonl(first, "1.jsonl")))
    later = write_jsonl(second, "2.jsonl")
    run(recipe(later, tmp_path / "out", index))
    assert pq.read_table(tmp_path / "out" / "kept")["id"].to_pylist() == ["new"]
    for row in pq.read_table(tmp_path / "out" / "rejected").to_pylist():
        assert row["reason"] == "in_index"
        assert f"the index holds {row['id'][:4]}-a, similarity" in row["detail"]
    assert "version 2" in cli("index", "update", str(index), str(tmp_path / "out" / "kept"))
    with pytest.raises(RecipeError, match="a file that a stage names has changed"):
        run(recipe(later, tmp_path / "out", index))
    run(recipe(later, tmp_path / "out", index), update=True)
    assert len(pq.read_table(tmp_path / "out" / "kept")) == 0
    opened = MinHashIndex(index)
    assert (len(opened), opened.version) == (91, 2)


def test_query_streams_answers(tmp_path: Path, write_jsonl: Write) -> None:
    index = tmp_path / "index"
    cli("index", "build", str(index), str(write_jsonl(corpus(30))))
    texts = [r["text"] for r in corpus(30)][:2]
    shown = cli("index", "query", str(index), "-", "-k", "3", stdin="\n".join([*texts, "没有这样的文字"]))
    answers = [json.loads(line) for line in shown.strip().split("\n")]
    assert [bool(a["matches"]) for a in answers] == [True, True, False]
    best = answers[0]["matches"][0]
    assert best["similarity"] > 0.7
    assert best["text"][:50] == corpus(30)[0]["text"][:50] or best["id"][:4] == corpus(30)[0]["id"][:4]
    ds = raylib.read(write_jsonl(corpus(30)))
    assert ds.similar(texts[1], k=1)[0].similarity > 0.9
    assert ds.similar("没有这样的文字") == []
    assert raylib.open_index(index).query(texts[0])[0].similarity > 0.7


def test_index_refuses_what_it_cannot_use(tmp_path: Path, write_jsonl: Write) -> None:
    with pytest.raises(ValueError, match="is not an index"):
        MinHashIndex(tmp_path)
    index = MinHashIndex.create(tmp_path / "index")
    with pytest.raises(ValueError, match="holds an index already"):
        MinHashIndex.create(tmp_path / "index")
    other = MinHashIndex(tmp_path / "index")
    tables = list(tables_of(str(write_jsonl(corpus(5))), rejected=Unread()))
    assert index.add(tables) > 0
    with pytest.raises(ValueError, match="changed by another writer"):
        other.add(tables)
    file = tmp_path / "index" / "index.json"
    file.write_text(file.read_text().replace('"probe": [\n  ', '"probe": [\n  1'))
    with pytest.raises(ValueError, match="other hash functions"):
        MinHashIndex(tmp_path / "index")


def test_an_index_remembers_how_its_texts_were_folded(tmp_path: Path, write_jsonl: Write) -> None:
    source = str(write_jsonl([{"id": "a", "text": "Compute 12-3 for Class A."}]))
    for level, same in (("strict", 0), ("standard", 1)):
        index = str(tmp_path / level)
        cli("index", "build", index, source, "--normalise", level)
        opened = MinHashIndex(index)
        assert opened.level == level
        assert len(opened.query("compute 12-3 for class a.", min_similarity=1.0)) == same
        assert opened.query("Compute 12*3 for Class A.", min_similarity=1.0) == []


def test_an_index_of_before_says_how_to_build_it_again(tmp_path: Path) -> None:
    MinHashIndex.create(tmp_path / "index")
    file = tmp_path / "index" / "index.json"
    state = json.loads(file.read_text())
    del state["settings"]["normalise"]
    file.write_text(json.dumps({**state, "format": 1}))
    with pytest.raises(ValueError, match=r"has index format 1, .*build it again with `raylib index build"):
        MinHashIndex(tmp_path / "index")


def test_an_index_has_one_writer_at_a_time(tmp_path: Path, write_jsonl: Write) -> None:
    index = MinHashIndex.create(tmp_path / "index")
    with locked(tmp_path / "index"), pytest.raises(LockedError, match="another process is writing to"):
        index.add(tables_of(str(write_jsonl([{"id": "a", "text": ARTICLE}])), rejected=Unread()))
    assert sorted(p.name for p in (tmp_path / "index").iterdir()) == ["index.json"]
    assert index.add(tables_of(str(write_jsonl([{"id": "a", "text": ARTICLE}])), rejected=Unread())) == 1


@pytest.mark.parametrize("method", ["exact", "minhash", "lines", "semantic"])
def test_dedup_command(tmp_path: Path, write_jsonl: Write, method: str) -> None:
    rows: list[dict[str, Any]] = corpus(30)
    rows += [{"id": f"{r['id']}-copy", "source": "x", "text": r["text"]} for r in rows[:5]]
    out = tmp_path / "out"
    shown = cli(
        "dedup", str(write_jsonl(rows)), "-o", str(out), "--method", method, "-q", "--set", "engine.mode=inline",
        *(["--threshold", "0.8"] if method in ("minhash", "semantic") else []),
    )  # fmt: skip
    assert "records in" in shown
    summary = json.loads((out / "summary.json").read_text())
    assert summary["records_in"] == len(rows)
    if method != "lines":
        assert summary["records_rejected"] >= 5


@pytest.mark.parametrize(
    ("arguments", "says"),
    [
        (["--method", "minhsh"], "did you mean 'minhash'"),
        (["--method", "exact", "--threshold", "0.5"], "exact has no threshold"),
        (["--set", "ngrm=3"], "did you mean 'ngram'"),
        (["--threshold", "7"], "threshold must lie in"),
    ],
)
def test_dedup_command_errors(tmp_path: Path, write_jsonl: Write, arguments: list[str], says: str) -> None:
    command = [sys.executable, "-m", "raylib", "dedup", str(write_jsonl(corpus(3))), "-o", str(tmp_path / "o"), "-q"]
    done = subprocess.run([*command, *arguments], capture_output=True, text=True, check=False)
    assert done.returncode == 1
    assert says in done.stderr
    assert "Traceback" not in done.stderr


def test_index_says_what_it_cannot_read(tmp_path: Path, write_jsonl: Write) -> None:
    source = write_jsonl(corpus(5))
    source.write_bytes(source.read_bytes() + b'{"id": "cut", "text": "\nnonsense\n')
    shown = cli("index", "build", str(tmp_path / "index"), str(source))
    assert "8 records added" in shown
    assert "2 not read (1 cut_line, 1 bad_json)" in shown
    assert f"{source}:9" in shown
