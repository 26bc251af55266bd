"""JSON that is not lines: arrays go on after a bad element, and what people wrap records in is unwrapped."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from raylib.errors import RecordError
from raylib.exact import loads
from raylib.reading.block import Unreadable
from raylib.reading.json_values import Splitter
from tests.raylib.reading.reads import read_file, reasons

ROWS = [{"id": str(n), "text": f"春江潮水连海平，海上明月共潮生{n}"} for n in range(6)]
ARRAY = json.dumps(ROWS, ensure_ascii=False)
THIRD = json.dumps(ROWS[2], ensure_ascii=False)


def ids(path: Path, content: str | bytes) -> tuple[list[str], list[str]]:
    records, rejects = read_file(path, content)
    return [record["id"] for record in records], reasons(rejects)


@pytest.mark.parametrize(
    ("element", "reason"),
    [
        ('{"id": "2", "text": "一\t二"}', "bad_json"),
        ('{"id": "2", "text": "一\n二"}', "bad_json"),
        ('{"id": "2", "text": "好",}', "bad_json"),
        ('{"id": "2", "text": NaN}', "missing_field"),
        ('{"id": "2", "text": "他说"好""}', "bad_json"),
        ('{"id": "2", "text": "没有引号}', "bad_json"),
        ('{"id": "2", "text": "没有括号"', "cut_line"),
        ('{"id": "2", "text": "多一个"}}', "bad_json"),
        ('{"id": "2", "text": "多一个"]}', "bad_json"),
        ('{"id": "2", "text": "坏\\ud800字"}', "lone_surrogate"),
        ('{"id": "2", "text": "坏\\u0000字"}', "nul_byte"),
        ('{"id": "2", "text": ' + "[" * 2000 + "]" * 2000 + "}", "bad_json"),
        ('{"id": "2", "text": ' + "[" * 900 + "]" * 900 + "}", "wrong_type"),
        ('{"id": "2", "text": "x", "a": ' + '{"a":' * 300 + "1" + "}" * 300 + "}", None),
        ("null", "not_an_object"),
        ("5", "not_an_object"),
        ('"一"', "not_an_object"),
        ("[1, 2]", "not_an_object"),
        ("{'id': '2'}", "bad_json"),
    ],
)
@pytest.mark.parametrize("separator", [", ", ",\n", "\n,\n  "])
def test_an_array_goes_on_after_a_bad_element(tmp_path: Path, element: str, reason: str | None, separator: str) -> None:
    parts = [element if n == 2 else json.dumps(row, ensure_ascii=False) for n, row in enumerate(ROWS)]
    found, rejected = ids(tmp_path / "x.json", f"[{separator.join(parts)}]")
    if reason is None:  # what is nested too deeply for one parser is read by the other, or refused alone
        assert found in (["0", "1", "2", "3", "4", "5"], ["0", "1", "3", "4", "5"])
        return
    assert found == ["0", "1", "3", "4", "5"]
    assert rejected == [reason]


def test_a_comment_between_elements_is_one_reject(tmp_path: Path) -> None:
    content = ARRAY.replace('{"id": "3"', '// it\'s a "comment" with {\n{"id": "3"')
    assert ids(tmp_path / "x.json", content) == (list("012345"), ["bad_json"])


def test_elements_that_lack_a_comma_or_have_one_too_many(tmp_path: Path) -> None:
    lines = [json.dumps(row, ensure_ascii=False) for row in ROWS]
    assert ids(tmp_path / "x.json", "[" + "\n".join(lines) + "]") == (list("012345"), [])
    assert ids(tmp_path / "x.json", "[" + ",,".join(lines) + ",]") == (list("012345"), [])


def test_nested_objects_that_begin_like_records_are_none(tmp_path: Path) -> None:
    rows = [{"id": str(n), "text": "a", "parts": [{"id": "x"}, {"id": "y"}]} for n in range(4)]
    assert ids(tmp_path / "x.json", json.dumps(rows)) == (list("0123"), [])


@pytest.mark.parametrize(
    "content",
    [
        f"{ARRAY}\n{ARRAY}",
        f"\ufeff{ARRAY}\ufeff{ARRAY}",
        json.dumps({"train": ROWS, "test": ROWS}, ensure_ascii=False),
        json.dumps({"version": "1", "data": ROWS * 2, "n": 12}, ensure_ascii=False, indent=2),
        "\n".join(json.dumps(row, indent=1) for row in ROWS * 2),
    ],
)
@pytest.mark.parametrize("name", ["x.json", "x.jsonl", "x"])
def test_several_arrays_wrapped_ones_and_printed_objects(tmp_path: Path, content: str, name: str) -> None:
    assert ids(tmp_path / name, content) == (list("012345") * 2, [])


def test_a_wrapper_larger_than_what_is_looked_at_first(tmp_path: Path) -> None:
    content = json.dumps({"version": "1.1", "data": ROWS * 1000, "license": "x"})
    records, rejects = read_file(tmp_path / "x.json", content, block_bytes=50_000)
    assert (len(records), rejects) == (6000, [])


def test_tables_that_pandas_wrote_by_columns(tmp_path: Path) -> None:
    path = tmp_path / "x.json"
    by_index = {"id": {"0": "a", "1": "b"}, "text": {"0": "一", "1": "二"}}
    split = {"columns": ["id", "text"], "index": [0, 1], "data": [["a", "一"], ["b", "二"]]}
    for table in (by_index, split, {"id": ["a", "b"], "text": ["一", "二"]}):
        assert ids(path, json.dumps(table)) == (["a", "b"], [])


def test_a_single_record_is_a_record(tmp_path: Path) -> None:
    assert ids(tmp_path / "x.json", json.dumps(ROWS[0], indent=2)) == (["0"], [])
    chat = {"id": "c", "messages": [{"role": "user", "content": "问"}, {"role": "assistant", "content": "答"}]}
    records, rejects = read_file(tmp_path / "c.json", json.dumps(chat, indent=2), "conversation")
    assert (len(records), rejects) == (1, [])


@pytest.mark.parametrize("content", ["[" * 100_000, "[" * 50_000 + "]" * 50_000, '[{"a":' * 30_000, '{"a":' * 100_000])
def test_nesting_without_end_is_one_reject(tmp_path: Path, content: str) -> None:
    assert len(read_file(tmp_path / "x.json", content)[1]) == 1
    assert len(read_file(tmp_path / "x.jsonl", '{"text": "好"}\n' + content)[1]) == 1


def test_an_array_of_millions_of_numbers_is_given_up_early(tmp_path: Path) -> None:
    records, rejects = read_file(tmp_path / "x.json", "[" + "0," * 3_000_000 + "0]")
    assert not records
    assert reasons(rejects)[-1] == "not_records"
    assert len(rejects) == 1001


def test_a_value_that_is_too_long_is_refused_and_the_next_one_read(tmp_path: Path) -> None:
    content = f'[{THIRD}, {{"id": "long", "text": "{"长" * 500_000}"}}, {THIRD}]'
    records, rejects = read_file(tmp_path / "x.json", content, max_record_bytes=1 << 20, block_bytes=1 << 16)
    assert [record["id"] for record in records] == ["2", "2"]
    assert reasons(rejects) == ["record_too_long"]


_VALUES = st.recursive(
    st.one_of(st.integers(), st.text(max_size=8), st.sampled_from(['"', "\\", "[{,}]", "\\\\"]), st.none()),
    lambda inner: st.one_of(st.lists(inner, max_size=3), st.dictionaries(st.text(max_size=4), inner, max_size=3)),
    max_leaves=8,
)


@settings(max_examples=150)
@given(values=st.lists(_VALUES, max_size=8), size=st.integers(1, 40), indent=st.sampled_from([None, 0, 2]))
def test_an_array_is_cut_as_it_was_written(values: list[object], size: int, indent: int | None) -> None:
    """Whatever the elements hold, and wherever a piece of the file ends."""
    data = json.dumps(values, ensure_ascii=False, indent=indent).encode("utf-8", "surrogatepass")
    splitter = Splitter(1 << 20)
    found: list[bytes | Unreadable] = []
    for at in range(0, len(data), size):
        found += splitter.feed(data[at : at + size])
    found += splitter.feed(b"", final=True)
    assert [json.loads(value) for value in found if isinstance(value, bytes)] == values


@settings(max_examples=150)
@given(data=st.binary(max_size=60).map(lambda noise: b'[{"id": 1}, ' + noise), size=st.integers(1, 20))
def test_noise_is_cut_the_same_whole_or_in_pieces(data: bytes, size: int) -> None:
    whole, pieces = Splitter(1 << 20), Splitter(1 << 20)
    at_once = [*whole.feed(data), *whole.feed(b"", final=True)]
    parts = [value for at in range(0, len(data), size) for value in pieces.feed(data[at : at + size])]
    assert at_once == [*parts, *pieces.feed(b"", final=True)]


def test_loads_says_why() -> None:
    with pytest.raises(RecordError, match="cut_line"):
        loads('{"a": "b')


@pytest.mark.parametrize("lines", [1, 2])
@pytest.mark.parametrize("name", ["x.json", "x.jsonl"])
@pytest.mark.parametrize("size", [10, 100_000])
@pytest.mark.parametrize("field", ["data", "items", "pages", "results", "questions"])
def test_a_record_with_a_list_in_it_is_no_wrapper(tmp_path: Path, field: str, size: int, name: str, lines: int) -> None:
    record = {"id": "d", "text": "一段话。" * size, field: [{"n": 1, "text": "甲"}, {"n": 2, "text": "乙"}]}
    content = (json.dumps(record, ensure_ascii=False) + "\n") * lines
    records, rejects = read_file(tmp_path / name, content)
    assert ([r["text"] for r in records], rejects) == ([record["text"]] * lines, [])


def test_an_object_of_many_negative_numbers_is_read_at_once(tmp_path: Path) -> None:
    record = {**{f"score_{i}": -1.5 for i in range(60)}, "text": "一段话。" * 20_000}
    records, rejects = read_file(tmp_path / "x.json", json.dumps(record, indent=1))
    assert ([r["text"] for r in records], rejects) == ([record["text"]], [])
    members = ' "a": -1   ' * 60  # without commas
    content = '{"data": [{"text": "一"}],' + members + "!:[]}" + " " * 70_000
    records, rejects = read_file(tmp_path / "y.json", content)
    assert [r["text"] for r in records] == ["一"]
    assert rejects
