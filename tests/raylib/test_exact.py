"""JSON keeps the digits of its integers; what is no number is null."""

from __future__ import annotations

import json
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from hypothesis import given
from hypothesis import strategies as st

from raylib.errors import RecordError
from raylib.exact import dumps, loads
from raylib.messages import message_lists
from tests.raylib.reading.reads import read_file, reasons

BIG = 123456789012345678901234567890


@given(value=st.recursive(st.integers() | st.text(max_size=5) | st.booleans(), lambda v: st.lists(v, max_size=4)))
def test_whole_numbers_go_through(value: object) -> None:
    assert loads(dumps(value)) == value
    assert loads(json.dumps(value, ensure_ascii=False)) == value


def test_what_is_no_number_is_null() -> None:
    assert loads('{"a": NaN, "b": [-Infinity, 1e999], "c": 1e3}') == {"a": None, "b": [None, None], "c": 1000.0}
    assert json.loads(dumps({"a": float("nan"), "b": BIG})) == {"a": None, "b": BIG}
    assert loads("9" * 5000) == "9" * 5000, "digits that Python does not convert are kept as they are"


@pytest.mark.parametrize("text", ["{", "[1,]", '{"a": 1', "nan", "[" * 5000, '"\x00"'])
def test_what_is_no_json_is_refused(text: str) -> None:
    with pytest.raises(RecordError):
        loads(text)


@pytest.mark.parametrize("value", ["\ud800", {"\ud800": BIG}, [BIG, "\udfff"]])
def test_what_cannot_be_stored_is_refused(value: object) -> None:
    with pytest.raises(RecordError, match="bad_field"):
        dumps(value)


def test_ids_meta_and_messages_keep_their_digits(tmp_path: Path) -> None:
    line = f'{{"id": {BIG}, "text": "好", "uid": {BIG}, "score": NaN, "inner": {{"n": [{-BIG}]}}}}'
    [record], rejects = read_file(tmp_path / "x.jsonl", line)
    assert (record["id"], rejects) == (str(BIG), [])
    assert json.loads(record["meta"]) == {"uid": BIG, "inner": {"n": [-BIG]}}
    [record], _ = read_file(tmp_path / "x.json", f'[{{"text": "好", "meta": {{"uid": {BIG}}}}}]')
    assert json.loads(record["meta"]) == {"uid": BIG}
    meta = json.dumps(json.dumps({"uid": BIG}))
    [record], _ = read_file(tmp_path / "x.jsonl", f'{{"text": "好", "meta": {meta}, "n": 1}}')
    assert json.loads(record["meta"]) == {"uid": BIG, "n": 1}


def test_messages_keep_their_digits(tmp_path: Path) -> None:
    messages = [{"role": "user", "content": "问"}, {"role": "assistant", "content": "答", "uid": BIG}]
    for given_as in (messages, json.dumps(messages)):
        path = tmp_path / "x.jsonl"
        path.write_text(json.dumps({"messages": given_as, "prompt": None}), "utf-8")
        [record], rejects = read_file(path, kind="conversation")
        assert not rejects
        column = pa.array([record["messages"]], pa.list_(pa.struct([(k, pa.string()) for k in record["messages"][0]])))
        assert message_lists(column)[0][1]["uid"] == BIG


def test_null_is_absent_in_every_format(tmp_path: Path) -> None:
    """`text` is null or empty, so that `content` is the text; a score that is no number is none."""
    records = [
        read_file(tmp_path / "x.jsonl", '{"id": "a", "text": null, "content": "好", "score": NaN}'),
        read_file(tmp_path / "x.json", '[{"id": "a", "text": null, "content": "好", "score": null}]'),
        read_file(tmp_path / "x.csv", "id,text,content\na,,好\n"),
    ]
    table = pa.table({"id": ["a"], "text": pa.array([None], pa.string()), "content": ["好"], "score": [float("nan")]})
    pq.write_table(table, tmp_path / "x.parquet")
    records.append(read_file(tmp_path / "x.parquet"))
    for [record], rejects in records:
        assert (record["text"], record["meta"], rejects) == ("好", None, [])


def test_messages_as_json_in_a_table(tmp_path: Path) -> None:
    messages = '[{"role": "user", "content": "问"}, {"role": "assistant", "content": "答"}]'
    table = pa.table({"messages": [messages, None], "prompt": pa.array([None, None], pa.string())})
    pq.write_table(table, tmp_path / "x.parquet")
    records, rejects = read_file(tmp_path / "x.parquet", kind="conversation")
    assert len(records) == 1
    assert reasons(rejects) == ["unknown_layout"]
