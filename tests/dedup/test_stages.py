"""Stages keep their promises: signatures once per table, files for as long as a stage lives, errors of one kind."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path
from typing import Any

import orjson
import pyarrow as pa
import pytest

from cleaning.codepoints import CodePoints
from dedup import minhash
from dedup.against_index import AgainstIndex
from dedup.decontaminate import Decontaminate
from dedup.index import MinHashIndex
from dedup.lines import LineDedup
from dedup.minhash import MinHashDedup
from dedup.semantic import SemanticDedup
from dedup.signatures import signatures
from dedup.substring import SubstringDedup
from raylib.errors import ParameterError, StageError
from raylib.stage import GlobalStage, LocalStage, stage_info, stage_names
from tests.dedup.corpus import corpus


def table(rows: list[dict[str, Any]]) -> pa.Table:
    columns = {name: [row.get(name, "") for row in rows] for name in ("id", "text", "source")}
    return pa.table({**columns, "text": pa.array(columns["text"], pa.large_string())})


def test_signatures_of_a_table_are_computed_once(monkeypatch: pytest.MonkeyPatch) -> None:
    calls = []

    def counted(view: CodePoints, **parameters: Any) -> Any:
        calls.append(len(view.lengths))
        return signatures(view, **parameters)

    monkeypatch.setattr(minhash, "signatures", counted)
    stage = MinHashDedup(priority=("longest",))
    rows = table(corpus(12))
    sketches, facts = stage.sketch_with_facts(rows)
    assert calls == [len(rows)]
    assert sketches.equals(stage.sketch(rows))
    assert facts.column_names == ["signature", "twin", "strict", "rank", "id", "source", "priority_0"]


@pytest.mark.parametrize("name", [n for n in stage_names() if stage_info(n).make.__module__.startswith("dedup")])
def test_every_stage_derives_from_the_contract(name: str) -> None:
    info = stage_info(name)
    assert issubclass(info.make, GlobalStage if info.kind == "global" else LocalStage)
    assert GlobalStage in info.make.__mro__ or LocalStage in info.make.__mro__


def test_a_stage_sees_the_index_that_was_there_when_it_opened_it(tmp_path: Path) -> None:
    rows = corpus(4)
    index = MinHashIndex.create(tmp_path / "index")
    before = AgainstIndex(str(tmp_path / "index"))
    before.setup()
    index.add([table(rows)])
    after = AgainstIndex(str(tmp_path / "index"))
    assert len(before(table(rows)).rejected) == 0
    assert len(after(table(rows)).rejected) == len(rows)
    assert after == before, "what is open is no parameter"
    assert after.identity() == 1


def test_benchmark_files_are_read_again_by_another_stage(tmp_path: Path) -> None:
    rows = corpus(2)
    file = tmp_path / "bench.jsonl"
    for row in rows[:2]:
        file.write_bytes(orjson.dumps({"id": "q", "text": row["text"]}) + b"\n")
        rejected = Decontaminate((str(file),))(table(rows)).rejected
        assert row["id"] in rejected["id"].to_pylist()


def test_an_empty_benchmark_is_an_error(tmp_path: Path) -> None:
    (tmp_path / "bench.jsonl").write_bytes(b"")
    with pytest.raises(ValueError, match=r"bench\.jsonl"):
        Decontaminate((str(tmp_path / "bench.jsonl"),)).setup()


@pytest.mark.parametrize(
    ("stage", "parameters", "says"),
    [
        (MinHashDedup, {"threshold": 0}, "threshold must lie in"),
        (MinHashDedup, {"ngram": 0}, "ngram must be at least 1, is 0"),
        (MinHashDedup, {"permutations": 8}, "permutations must lie between 16 and 1024, is 8"),
        (MinHashDedup, {"bands": 3}, "give both bands and rows"),
        (SemanticDedup, {"threshold": 1.5}, "threshold must lie in"),
        (LineDedup, {"min_documents": 1}, "min_documents must be at least 2, is 1"),
        (SubstringDedup, {"min_characters": 3}, "min_characters must be at least 10, is 3"),
        (Decontaminate, {"benchmarks": ()}, "benchmarks must name at least one file"),
        (Decontaminate, {"benchmarks": ("a",), "words": 1}, "han and words must be at least 2"),
        (Decontaminate, {"benchmarks": ("a",), "shortest": 0}, "shortest must be at least 1"),
    ],
)
def test_a_wrong_parameter_is_named_with_its_value(stage: type, parameters: dict[str, Any], says: str) -> None:
    with pytest.raises(ParameterError, match=says):
        stage(**parameters)


@pytest.mark.parametrize("stage", [LineDedup(), SubstringDedup()])
def test_columns_that_a_stage_needs_are_named(stage: GlobalStage) -> None:
    with pytest.raises(StageError, match=r"there is no column 'text' in \['id', 'messages'\]"):
        stage.sketch(pa.table({"id": ["1"], "messages": [[]]}))


def test_a_missing_index_is_found_before_any_work(tmp_path: Path) -> None:
    with pytest.raises(ParameterError, match="is not an index"):
        AgainstIndex(str(tmp_path)).check()


def test_importing_the_package_and_its_commands_loads_nothing_heavy() -> None:
    code = (
        "import sys, dedup, dedup.commands, dedup.stages;"
        "bad = {'numba', 'sklearn', 'scipy', 'torch', 'transformers'} & set(sys.modules); assert not bad, bad"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
