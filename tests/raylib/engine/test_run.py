"""Runs end to end: books balance, output is the same for any engine, resume continues, flaws are rejects."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import orjson
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from raylib.engine import run
from raylib.errors import RecipeError, ShardError, SourceError
from raylib.recipe import Recipe
from tests.raylib.engine.runs import STAGES, Count, Write, content, recipe, rows
from tests.texts import ARTICLE


def test_books_balance_and_layout(tmp_path: Path, write_jsonl: Write) -> None:
    source = write_jsonl([*rows(300), b"", b"{broken", b'{"id": "x", "text": 5}', b"   "])
    out = tmp_path / "out"
    summary = run(recipe(source, out)).summary
    assert summary["records_in"] == 302  # blank lines are no records
    assert summary["records_in"] == summary["records_kept"] + summary["records_rejected"]
    kept = pq.read_table(out / "kept")
    rejected = pq.read_table(out / "rejected")
    assert (len(kept), len(rejected)) == (summary["records_kept"], summary["records_rejected"])
    assert set(summary["by_reason"]) == {
        "keep_where/keep_where",
        "exact_dedup/exact_duplicate",
        "read/cut_line",
        "read/wrong_type",
    }
    for name in ("manifest.jsonl", "summary.json", "report.html", "recipe.yaml"):
        assert (out / name).is_file()
    assert Recipe.from_file(out / "recipe.yaml").describe() == recipe(source, out).describe()
    assert json.loads((out / "summary.json").read_text())["fingerprint"] == summary["fingerprint"]
    extra = {r["id"]: r["meta"] for r in kept.to_pylist()}
    assert orjson.loads(extra["000005"]) == {"extra": 5}


def test_rejects_hold_the_original_text(tmp_path: Path, write_jsonl: Write) -> None:
    """Also when the text was rewritten before, and after a global stage."""
    given = rows(60)
    out = tmp_path / "out"
    run(recipe(write_jsonl(given), out))
    original = {r["id"]: r["text"] for r in given}
    rejected = pq.read_table(out / "rejected").to_pylist()
    assert {r["stage"] for r in rejected} == {"keep_where", "exact_dedup"}
    for row in rejected:
        assert row["text"] == original[row["id"]]
        assert row["reason"]
        assert row["detail"]
    for row in pq.read_table(out / "kept").to_pylist():
        assert "http" not in row["text"]


def test_exact_duplicates_keep_the_smallest_id(tmp_path: Path, write_jsonl: Write) -> None:
    same = "同一段文字，只是标点和空格不同。Ａbc"
    texts = {"b": same, "a": "同一段文字 只是标点和空格不同 abc", "c": same + "！！", "d": "另一段文字。"}
    out = tmp_path / "out"
    run(recipe(write_jsonl([{"id": k, "text": v} for k, v in texts.items()]), out, ["exact_dedup"]))
    assert sorted(pq.read_table(out / "kept")["id"].to_pylist()) == ["a", "d"]
    details = pq.read_table(out / "rejected")["detail"].to_pylist()
    assert details == ["duplicate of a", "duplicate of a"]


@pytest.mark.parametrize(
    ("priority", "kept"), [(["longest"], "c"), (["shortest"], "a"), (["source:y,x"], "b"), ([], "a")]
)
def test_exact_dedup_priority(tmp_path: Path, write_jsonl: Write, priority: list[str], kept: str) -> None:
    given = [
        {"id": "a", "text": "一样的文字", "source": "x"},
        {"id": "b", "text": "一样的，文字", "source": "y"},
        {"id": "c", "text": "一样的，文字！！", "source": "x"},
    ]
    out = tmp_path / "out"
    run(recipe(write_jsonl(given), out, [{"exact_dedup": {"priority": priority}}]))
    assert pq.read_table(out / "kept")["id"].to_pylist() == [kept]


@pytest.mark.cluster
@pytest.mark.parametrize("actors", [1, 2, 4])
def test_same_bytes_on_ray(tmp_path: Path, write_jsonl: Write, ray_cluster: Any, actors: int) -> None:
    source = write_jsonl([*rows(1500), b"{broken"])
    run(recipe(source, tmp_path / "inline"))
    summary = run(recipe(source, tmp_path / "ray", engine__mode="ray", engine__actors=actors)).summary
    assert summary["shards"] > 5
    assert content(tmp_path / "inline") == content(tmp_path / "ray")


def test_dedup_partitions_do_not_change_the_result(tmp_path: Path, write_jsonl: Write) -> None:
    source = write_jsonl(rows(500))
    run(recipe(source, tmp_path / "one"))
    run(recipe(source, tmp_path / "many", engine__resolve_mb=0.005))
    assert len(list((tmp_path / "many" / ".work" / "r0.0.0").iterdir())) > 3
    assert content(tmp_path / "one") == content(tmp_path / "many")


def test_second_run_does_nothing(tmp_path: Path, write_jsonl: Write) -> None:
    source = write_jsonl(rows(500))
    run(recipe(source, tmp_path / "out"))
    before = content(tmp_path / "out")
    count = Count()
    run(recipe(source, tmp_path / "out"), progress=count)
    assert not count.done
    assert content(tmp_path / "out") == before


@pytest.mark.slow
def test_the_seconds_of_a_global_stage_are_all_its_work(tmp_path: Path, write_jsonl: Write) -> None:
    run(recipe(write_jsonl(rows(50)), tmp_path / "warm", ["minhash_dedup"]))  # compiles
    source = write_jsonl([{"id": str(n), "text": f"{n}{ARTICLE[n % 50 :]}" * 4} for n in range(4000)], "many.jsonl")
    stage = {"minhash_dedup": {"permutations": 1024}}  # dear, so that reading and the report are a small part
    once = recipe(source, tmp_path / "out", [stage], engine__batch_mb=8)
    summary = run(once).summary
    spent = summary["by_stage"]["minhash_dedup"]["seconds"]
    assert 0.5 * summary["seconds"] < spent < summary["seconds"]
    assert spent > sum(seconds for phase, seconds in summary["phases"].items() if phase.startswith("r"))
    assert summary["mb_per_second"] > 0
    assert run(once).summary["mb_per_second"] == 0, "the second run reads nothing"


def test_changed_recipe_redoes_only_what_changed(tmp_path: Path, write_jsonl: Write) -> None:
    source = write_jsonl(rows(500))
    run(recipe(source, tmp_path / "out"))
    count = Count()
    changed = [*STAGES[:-1], "collapse_newlines"]
    with pytest.raises(RecipeError, match=r"holds another run\. Different: .*Work would be done again from stage"):
        run(recipe(source, tmp_path / "out", changed), progress=count)
    run(recipe(source, tmp_path / "out", changed), update=True, progress=count)
    assert set(count.resumed) == {"s0", "r0.0.0"}
    assert set(count.done) == {"s1"}
    run(recipe(source, tmp_path / "fresh", changed))
    assert content(tmp_path / "out") == content(tmp_path / "fresh")


def test_the_folder_of_an_earlier_format_says_who_wrote_it(tmp_path: Path, write_jsonl: Write) -> None:
    source = write_jsonl(rows(50))
    run(recipe(source, tmp_path / "out"))
    manifest = tmp_path / "out" / "manifest.jsonl"
    header, *others = manifest.read_bytes().splitlines(keepends=True)
    earlier = orjson.loads(header)
    del earlier["line"]  # its checksum
    del earlier["versions"]["format"]
    earlier |= {"run": "0" * 32, "versions": {**earlier["versions"], "raylib": "0.0.9"}}
    manifest.write_bytes(b"".join([orjson.dumps(earlier) + b"\n", *others]))
    with pytest.raises(RecipeError, match=r"raylib 0\.0\.9 wrote it, with records in format 1.*--update"):
        run(recipe(source, tmp_path / "out"))
    assert run(recipe(source, tmp_path / "out"), update=True).summary["records_in"] == 50


def test_lost_file_is_redone(tmp_path: Path, write_jsonl: Write) -> None:
    source = write_jsonl(rows(500))
    run(recipe(source, tmp_path / "out"))
    before = content(tmp_path / "out")
    victim = sorted((tmp_path / "out" / "kept").iterdir())[1]
    victim.write_bytes(victim.read_bytes()[:-10])
    count = Count()
    run(recipe(source, tmp_path / "out"), progress=count)
    assert count.done == {"s1": 1}
    assert content(tmp_path / "out") == before


def test_fewer_shards_leave_nothing_behind(tmp_path: Path, write_jsonl: Write) -> None:
    source = write_jsonl(rows(500))
    run(recipe(source, tmp_path / "out"))
    run(recipe(source, tmp_path / "out", engine__batch_mb=4), update=True)
    assert len(list((tmp_path / "out" / "kept").iterdir())) == 1
    assert (
        len(pq.read_table(tmp_path / "out" / "rejected"))
        == run(recipe(source, tmp_path / "out", engine__batch_mb=4)).summary["records_rejected"]
    )


def test_limit(tmp_path: Path, write_jsonl: Write) -> None:
    summary = run(recipe(write_jsonl(rows(500)), tmp_path / "out"), limit=37).summary
    assert summary["records_in"] == 37


def test_failing_stage_quarantines_its_shard(tmp_path: Path, write_jsonl: Write) -> None:
    from raylib.dataset.functions import Map
    from raylib.recipe import StageSpec

    def explode(table: pa.Table) -> pa.Table:
        if "000100" in table["id"].to_pylist():
            raise RuntimeError("poisoned record")
        return table

    good = recipe(write_jsonl(rows(400)), tmp_path / "out", [])
    broken = Recipe(good.name, good.input, good.output, good.engine, (StageSpec("map", object=Map(explode)),))
    with pytest.raises(ShardError, match="poisoned record"):
        run(broken)
    summary = json.loads((tmp_path / "out" / "summary.json").read_text())
    assert len(summary["quarantined"]) == 1
    assert summary["quarantined"][0]["attempts"] == 3
    kept = pq.read_table(tmp_path / "out" / "kept")["id"].to_pylist()
    assert "000100" not in kept
    assert 0 < len(kept) < 400
    assert "poisoned record" in (tmp_path / "out" / "report.html").read_text("utf-8")


def test_empty_input_is_an_error(tmp_path: Path, write_jsonl: Write) -> None:
    with pytest.raises(SourceError, match="0 records"):
        run(recipe(write_jsonl([b"", b"  "]), tmp_path / "out"))


def test_foreign_folder_is_not_touched(tmp_path: Path, write_jsonl: Write) -> None:
    (tmp_path / "out").mkdir()
    (tmp_path / "out" / "thesis.doc").write_text("precious")
    with pytest.raises(SourceError, match="holds no run"):
        run(recipe(write_jsonl(rows(3)), tmp_path / "out"), fresh=True)
    assert (tmp_path / "out" / "thesis.doc").read_text() == "precious"


def test_input_inside_output_is_an_error(tmp_path: Path, write_jsonl: Write) -> None:
    with pytest.raises(RecipeError, match="holds the input file"):
        run(recipe(write_jsonl(rows(3)), tmp_path))


@pytest.mark.parametrize("file_format", ["jsonl", "arrow"])
def test_output_formats_read_back(tmp_path: Path, write_jsonl: Write, file_format: str) -> None:
    import raylib

    source = write_jsonl(rows(200))
    run(recipe(source, tmp_path / "out", output__format=file_format))
    again = raylib.read(tmp_path / "out" / "kept", kind="document")
    run(recipe(source, tmp_path / "parquet"))
    expected = pq.read_table(tmp_path / "parquet" / "kept")
    assert again.to_arrow()["text"].to_pylist() == expected["text"].to_pylist()


def test_conversations_round_trip(tmp_path: Path, write_jsonl: Write) -> None:
    given = [{"id": str(i), "data": [f"问题{i}？", f"回答{i}，见 http://a.cn。"], "score": 3} for i in range(20)]
    out = tmp_path / "out"
    run(recipe(write_jsonl(given), out, ["remove_urls"], output__format="jsonl", output__layout="data"))
    import raylib

    kept = list(raylib.read(out / "kept", kind="conversation"))
    assert kept[3]["messages"] == [
        {"role": "user", "content": "问题3？"},
        {"role": "assistant", "content": "回答3，见 。"},
    ]
    assert orjson.loads(str(kept[3]["meta"])) == {"score": 3}


def test_cli_errors_are_one_clear_line(tmp_path: Path, write_jsonl: Write) -> None:
    bad = tmp_path / "bad.yaml"
    bad.write_text("input: {path: x}\noutput: {path: y}\nstages:\n  - lenght: {min: 3}\n")
    done = subprocess.run(
        [sys.executable, "-m", "raylib", "run", str(bad)], capture_output=True, text=True, check=False
    )
    assert done.returncode == 1
    assert "bad.yaml:4" in done.stderr
    assert "did you mean 'length'" in done.stderr
    assert "Traceback" not in done.stderr


def test_tokens_of_a_given_tokenizer_are_counted(tmp_path: Path, write_jsonl: Write) -> None:
    tokenizers = pytest.importorskip("tokenizers")
    tokenizer = tokenizers.Tokenizer(tokenizers.models.BPE(unk_token="[UNK]"))
    trainer = tokenizers.trainers.BpeTrainer(vocab_size=300, special_tokens=["[UNK]"], show_progress=False)
    tokenizer.train_from_iterator([ARTICLE], trainer)
    tokenizer.save(str(tmp_path / "tokenizer.json"))
    source = write_jsonl(rows(40))
    summary = run(recipe(source, tmp_path / "out", output__tokenizer=str(tmp_path / "tokenizer.json"))).summary
    texts = pq.read_table(tmp_path / "out" / "kept")["text"].to_pylist()
    assert summary["tokens_kept"] == sum(len(tokenizer.encode(t).ids) for t in texts)
    assert "tokens kept" in (tmp_path / "out" / "report.html").read_text("utf-8")


def test_misfits_of_a_layout_are_rejects(tmp_path: Path, write_jsonl: Write) -> None:
    given = [{"id": "1", "data": ["问", "答"]}, {"id": "2", "data": ["问", "答", "再问", "再答"]}]
    out = tmp_path / "out"
    run(recipe(write_jsonl(given), out, [], output__format="jsonl", output__layout="alpaca"))
    (rejected,) = pq.read_table(out / "rejected").to_pylist()
    assert (rejected["id"], rejected["stage"], rejected["reason"]) == ("2", "layout", "wrong_layout")
    assert "one turn" in rejected["detail"]


@pytest.mark.slow
@pytest.mark.cluster
@pytest.mark.parametrize("patience", [0, 1e-6, 60])  # 1e-6: takes over in the middle of the file
def test_a_local_ray_of_its_own(tmp_path: Path, write_jsonl: Write, patience: float) -> None:
    """Started by the run, whether it waits for the actors or works meanwhile: same bytes, and nothing left running."""
    import psutil

    source = write_jsonl([*rows(800), b"{broken"])
    run(recipe(source, tmp_path / "inline"))
    text = recipe(source, tmp_path / "ray", engine__mode="ray", engine__work_while_starting=patience).to_yaml()
    (tmp_path / "r.yaml").write_text(text)
    command = [sys.executable, "-m", "raylib", "run", str(tmp_path / "r.yaml"), "-q"]
    mark = {"RAYLIB_TEST_MARK": str(tmp_path)}  # inherited by all that the run starts
    environment = {k: v for k, v in os.environ.items() if k != "RAY_ADDRESS"} | mark
    done = subprocess.run(command, capture_output=True, text=True, check=False, env=environment)
    assert done.returncode == 0, done.stderr
    assert content(tmp_path / "inline") == content(tmp_path / "ray")
    # a worker that Ray was just starting sees at its first word to the raylet that it is gone: long on a busy machine
    deadline = time.monotonic() + 120
    while left := [p for p in psutil.process_iter(["environ"]) if (p.info["environ"] or {}).items() >= mark.items()]:
        assert time.monotonic() < deadline, left
        time.sleep(0.2)


@pytest.mark.slow
def test_a_ray_that_cannot_start_is_an_error_that_says_why() -> None:
    from raylib.cluster.local import LocalCluster
    from raylib.errors import RaylibError

    cluster = LocalCluster(num_cpus=-5, object_store_memory=1)
    cluster.start()
    with pytest.raises(RaylibError, match="could not be started"):
        cluster.address(wait=60)
    cluster.stop()
