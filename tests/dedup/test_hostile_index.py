"""Files of an index that are damaged or come from a stranger: an error in one line, and nothing outside is read."""

from __future__ import annotations

import contextlib
import json
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from dedup.index import MinHashIndex, index_of
from dedup.index_files import write_segment
from raylib.errors import ParameterError

TEXTS = [f"第{i}篇：城里的图书馆每天早上九点开门，晚上{i}点关门，周末也开。" for i in range(5)]


@pytest.fixture(scope="module")
def whole(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("index") / "whole"
    ids = pa.array([str(i) for i in range(5)])
    index_of(folder, [pa.table({"id": ids, "source": ids, "text": pa.array(TEXTS, pa.large_string())})])
    return folder


@pytest.fixture
def copy(whole: Path, tmp_path: Path) -> Path:
    shutil.copytree(whole, tmp_path / "copy")
    return tmp_path / "copy"


def asked(folder: Path) -> list[str]:
    return [match.id for match in MinHashIndex(folder).query(TEXTS[3])]


def test_a_whole_index_answers(copy: Path) -> None:
    assert asked(copy)[0] == "3"


STATES: dict[str, Callable[[Any], Any]] = {
    "a list": lambda _: [],
    "no settings": lambda s: {**s, "settings": 3},
    "a setting of text": lambda s: {**s, "settings": {**s["settings"], "bands": "9"}},
    "many values": lambda s: {**s, "settings": {**s["settings"], "permutations": 10**12}},
    "more bands than values": lambda s: {**s, "settings": {**s["settings"], "bands": 60_000}},
    "a folder elsewhere": lambda s: {**s, "segments": ["../../etc"]},
    "segments of numbers": lambda s: {**s, "segments": [1]},
    "no probe": lambda s: {k: v for k, v in s.items() if k != "probe"},
    "a version of text": lambda s: {**s, "version": "1"},
}


@pytest.mark.parametrize("change", STATES.values(), ids=STATES.keys())
def test_a_state_that_is_none_is_refused(change: Callable[[Any], Any], copy: Path) -> None:
    file = copy / "index.json"
    file.write_text(json.dumps(change(json.loads(file.read_text("utf-8")))), "utf-8")
    with pytest.raises(ParameterError, match=r"is damaged: its index\.json (?:has|is not)"):
        asked(copy)


@pytest.mark.parametrize("data", [b"[" * 200_000, b"\xff\xfe", b'{"a": 1' + b" " * (17 << 20)])
def test_a_state_that_is_no_json_is_refused(data: bytes, copy: Path) -> None:
    (copy / "index.json").write_bytes(data)
    with pytest.raises(ParameterError, match="is damaged"):
        asked(copy)


def _outside(table: pa.RecordBatch) -> pa.Table:
    """Texts that lie beyond the end of the file."""
    column = table.column("head")
    wide = np.int64 if pa.types.is_large_string(column.type) else np.int32
    offsets = np.frombuffer(column.buffers()[1], wide)[: len(column) + 1].copy()
    offsets[2] = 1 << 30
    forged = pa.Array.from_buffers(column.type, len(column), [None, pa.py_buffer(offsets), column.buffers()[2]])
    return pa.Table.from_batches([table.set_column(2, "head", forged)])


RECORDS: dict[str, Callable[[Any], pa.Table]] = {
    "texts outside": _outside,
    "a column less": lambda t: pa.Table.from_batches([t.select(["id", "source", "head"])]),
    "short signatures": lambda t: pa.Table.from_batches(
        [t.set_column(3, "signature", pa.array([b"a"] * 5, pa.binary(1)))]
    ),
    "no records": lambda t: pa.Table.from_batches([t.slice(0, 0)]),
    "fewer records": lambda t: pa.Table.from_batches([t.slice(0, 1)]),
    "numbers for texts": lambda t: pa.Table.from_batches([t.set_column(0, "id", pa.array(range(5)))]),
}


@pytest.mark.parametrize("change", RECORDS.values(), ids=RECORDS.keys())
def test_records_that_are_not_those_of_an_index_are_refused(change: Callable[[Any], pa.Table], copy: Path) -> None:
    file = copy / "segment-000001" / "records.arrow"
    table = pa.ipc.open_file(file.read_bytes()).get_batch(0)
    file.unlink()
    write_segment(file, change(table))
    with pytest.raises(ParameterError, match=r"the index is damaged: .*segment-000001"):
        asked(copy)


@settings(max_examples=60, suppress_health_check=list(HealthCheck))
@given(st.data())
def test_damaged_bytes_are_an_error_or_change_an_answer(whole: Path, tmp_path: Path, data: st.DataObject) -> None:
    shutil.rmtree(tmp_path / "copy", ignore_errors=True)
    shutil.copytree(whole, tmp_path / "copy")
    file = tmp_path / "copy" / "segment-000001" / data.draw(st.sampled_from(["keys.arrow", "records.arrow"]))
    held = bytearray(file.read_bytes())
    for _ in range(data.draw(st.integers(1, 4))):
        held[data.draw(st.integers(0, len(held) - 1))] = data.draw(st.integers(0, 255))
    file.write_bytes(held[: data.draw(st.one_of(st.just(len(held)), st.integers(0, len(held))))])
    with contextlib.suppress(ParameterError):  # and nothing else, nor a crash
        assert len(asked(tmp_path / "copy")) <= len(TEXTS)
