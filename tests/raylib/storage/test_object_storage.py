"""A whole recipe against an S3-compatible server: read from a bucket, write to a bucket, resume there."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import time
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import orjson
import pyarrow.fs as pafs
import pyarrow.parquet as pq
import pytest

from raylib.engine import run
from raylib.errors import LockedError, SourceError
from raylib.locking import LOCK_NAME, Holder
from raylib.reading.block import ReadOptions
from raylib.reading.found import HIDDEN, RUN_INSIDE, UNKNOWN
from raylib.reading.opening import blocks_of
from raylib.reading.sources import find_files
from raylib.reading.units import Piece
from raylib.recipe import Recipe
from raylib.records import files_of
from raylib.storage.locks import locked_output
from raylib.storage.store import Store
from tests.raylib.engine.runs import STAGES, Count, content, rows


@pytest.mark.slow
def test_from_bucket_to_bucket(
    server: str, tmp_path: Path, write_jsonl: Callable[..., Path], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("AWS_ACCESS_KEY_ID", "test")
    monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", "test")
    query = f"?scheme=http&endpoint_override={server}&region=us-east-1&allow_bucket_creation=true"
    source = write_jsonl([*rows(300), b"{broken"])
    system, _ = pafs.FileSystem.from_uri(f"s3://raw/{query}")
    system.create_dir("raw")
    system.create_dir("clean")
    with system.open_output_stream("raw/in.jsonl") as stream:
        stream.write(source.read_bytes())

    def recipe(read: str, out: str) -> Recipe:
        data = {
            "input": {"path": read, "kind": "document", "source": "in"},
            "output": {"path": out},
            "engine": {"mode": "inline", "batch_mb": 0.1},
            "stages": STAGES,
        }
        return Recipe.from_dict(data, "s3")

    summary = run(recipe(f"s3://raw/in.jsonl{query}", f"s3://clean/run{query}")).summary
    assert summary["records_in"] == summary["records_kept"] + summary["records_rejected"] == 301
    run(recipe(str(source), str(tmp_path / "local")))
    kept = [i.path for i in system.get_file_info(pafs.FileSelector("clean/run/kept"))]
    table = pq.read_table(sorted(kept), filesystem=system)
    assert table["text"].to_pylist() == pq.read_table(tmp_path / "local" / "kept")["text"].to_pylist()
    assert len(content(tmp_path / "local")) == 2 * len(kept) + sum("s1" in k for k in content(tmp_path / "local"))
    count = Count()
    run(recipe(f"s3://raw/in.jsonl{query}", f"s3://clean/run{query}"), progress=count)
    assert not count.done, "a second run finds everything in the bucket"


def test_a_bucket_has_one_writer_at_a_time(
    server: str, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    monkeypatch.setenv("AWS_ACCESS_KEY_ID", "test")
    monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", "test")
    monkeypatch.setattr("raylib.locking.holding.BEAT_SECONDS", 0.05)
    query = f"?scheme=http&endpoint_override={server}&region=us-east-1&allow_bucket_creation=true"
    pafs.FileSystem.from_uri(f"s3://locks/{query}")[0].create_dir("locks")
    store = Store(f"s3://locks/run{query}")
    with locked_output(store, "s3://locks/run") as lock:
        first = Holder.read(store.read(LOCK_NAME))
        assert first is not None
        with (
            pytest.raises(LockedError, match=rf"s3://locks/run: pid {os.getpid()} on"),
            locked_output(store, "s3://locks/run"),
        ):
            pass
        while store.read(LOCK_NAME) == first.to_bytes():  # until there is a sign of life
            time.sleep(0.01)
        lock.check()
    assert not store.exists(LOCK_NAME)
    dead = subprocess.Popen([sys.executable, "-c", ""])
    dead.wait()
    store.write(LOCK_NAME, replace(first, pid=dead.pid).to_bytes())
    with locked_output(store, "it"):
        assert not caplog.records, "a killed process of this machine holds nothing"
    ages = {LOCK_NAME: 0.0}
    modified = Store.modified
    monkeypatch.setattr(Store, "modified", lambda self, name: (modified(self, name) or 0) - ages.get(name, 0))
    for ages[LOCK_NAME], off in ((30, -3600), (30, 0), (30, 3600)):  # the clock of its machine is of no account
        store.write(LOCK_NAME, replace(first, host="far-away", beat=time.time() + off).to_bytes())
        with pytest.raises(LockedError, match=r"its lock ends in (29|30|31) s"), locked_output(store, "it"):
            pass
    ages[LOCK_NAME] = 90
    with locked_output(store, "it"):
        assert "it: taken over from pid" in caplog.text
    assert not list(store.names("")), "nothing that was written to learn the time is left"


ODD_NAMES = [
    "a b.jsonl",
    "50%.jsonl",
    "%41.jsonl",
    "数据/[x]/a.jsonl",
    "q?.jsonl",
    "st*r.jsonl",
    "a#b.jsonl",
    "a+b.jsonl",
]


@pytest.mark.slow
def test_objects_are_found_and_read_by_the_rules_of_folders(bucket: Callable[[str], str], server: str) -> None:
    query = bucket(server)
    system, _ = pafs.FileSystem.from_uri(f"s3://faulty/{query}")
    passed = ["data/.hidden/x.jsonl", "data/_temporary/0/y.jsonl", "data/_SUCCESS", "data/notes.docx"]
    inside = ["data/run/manifest.jsonl", "data/run/kept/_a/k.jsonl", "data/run/rejected/r.jsonl"]
    for name in [*(f"data/{name}" for name in ODD_NAMES), *passed, *inside]:
        with system.open_output_stream(f"faulty/{name}") as stream:
            stream.write(orjson.dumps({"text": name}) + b"\n")
    system.create_dir("faulty/data/empty")  # leaves a marker of size 0

    def found(path: str) -> list[str]:
        files = find_files(f"s3://faulty/{path}{query}").files
        texts = [json.loads(b.data)["text"] for f in files for b in blocks_of(Piece(f), ReadOptions())]
        assert [f.path for f in files] == [f"s3://faulty/{text}" for text in texts], "each is read at its place"
        return [text.removeprefix("data/") for text in texts]

    assert found("data") == sorted(ODD_NAMES)
    over = {p.path.removeprefix("s3://faulty/data/"): p.why for p in find_files(f"s3://faulty/data{query}").passed}
    assert over == {
        ".hidden/": HIDDEN,
        "_temporary/": HIDDEN,
        "_SUCCESS": HIDDEN,
        "notes.docx": UNKNOWN,
        "run/": RUN_INSIDE,
    }
    for name in ODD_NAMES:
        if "%" not in name:  # which in a URI that is given begins an encoded character
            assert found(f"data/{name}") == [name]
    assert found("data/%2541.jsonl") == ["%41.jsonl"]
    assert found("data/数据/[x]/*.jsonl") == ["数据/[x]/a.jsonl"]
    assert found("data/*.jsonl") == sorted(n for n in ODD_NAMES if "/" not in n)
    assert found("data/**/*.jsonl") == sorted(ODD_NAMES)
    assert found("data/run") == found("data/run/kept") == ["run/kept/_a/k.jsonl"]
    assert [f.path for f in files_of([f"s3://faulty/data/run{query}"])] == ["s3://faulty/data/run/kept/_a/k.jsonl"]
    named = files_of([f"s3://faulty/data{query}"])
    assert sum(len(t) for f in named for t in f.tables(rejected=print)) == len(ODD_NAMES)
    with pytest.raises(SourceError, match="no input file matches"):
        find_files(f"s3://faulty/data/empty{query}")
