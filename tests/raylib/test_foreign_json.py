"""JSON files that others may have written: what is not as declared is an error that names the place, never more."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal, TypedDict

import pytest
from hypothesis import given
from hypothesis import strategies as st

from raylib.errors import SourceError
from raylib.foreign_json import fault_in, parsed, read_json


class Stage(TypedDict):
    name: str
    seconds: float


class Always(TypedDict):
    records: int
    kind: Literal["document", "conversation"]


class Run(Always, total=False):
    stages: Sequence[Stage]
    files: Mapping[str, tuple[int, str]]
    best: float | None
    finished: bool
    notes: dict[str, object]


@dataclass
class Holder:
    host: str
    pid: int
    machine: str = ""


WHOLE: dict[str, Any] = {
    "records": 3,
    "kind": "document",
    "stages": [{"name": "length", "seconds": 1}, {"name": "春", "seconds": 0.5, "more": None}],
    "files": {"a": [1, "x"]},
    "best": None,
    "finished": True,
    "notes": {"any": [{}]},
    "of a later version": [1],
}


def test_what_is_as_declared_is_given_back() -> None:
    assert parsed(json.dumps(WHOLE).encode(), "x.json", Run, SourceError) == WHOLE
    assert fault_in({"host": "a", "pid": 1, "beat": 2}, Holder) == ""


@pytest.mark.parametrize(
    ("change", "said"),
    [
        ({"records": "3"}, "records should be a whole number, is '3'"),
        ({"records": True}, "records should be a whole number, is True"),
        ({"records": 3.5}, "records should be a whole number, is 3.5"),
        ({"kind": "table"}, "kind should be one of document, conversation, is 'table'"),
        ({"stages": {}}, "stages should be a list, is something else"),
        ({"stages": [{"name": "a", "seconds": 1}, {"name": 5, "seconds": 1}]}, r"stages\[1\].name should be a text"),
        ({"stages": [{"name": "a"}]}, r"stages\[0\].seconds is missing"),
        ({"files": {"a": [1]}}, "files.a should be a list of 2"),
        ({"files": {"a": ["x", 1]}}, r"files.a\[0\] should be a whole number"),
        ({"best": "low"}, "best should be a number, is 'low'"),
        ({"finished": 1}, "finished should be true or false, is 1"),
        ({"notes": []}, "notes should be an object"),
    ],
)
def test_what_is_not_as_declared_is_named(change: dict[str, object], said: str) -> None:
    with pytest.raises(SourceError, match=f"^x.json is damaged, or made by another program: {said}"):
        parsed(json.dumps(WHOLE | change).encode(), "x.json", Run, SourceError)


def test_what_is_missing_is_named() -> None:
    assert fault_in({"kind": "document"}, Run) == "records is missing"
    assert fault_in({"host": "a"}, Holder) == "pid is missing"
    assert fault_in([], Run) == "the content should be an object, is something else"


@pytest.mark.parametrize(
    ("content", "said"),
    [
        (b"", "is damaged: it is not JSON"),
        (b"{", "is damaged: it is not JSON"),
        (b'{"a": NaN}', "is damaged: it is not JSON"),
        (b"\xff\xfe", "is damaged: it is not JSON"),
        (b"[" * 100_000, "is damaged: it is not JSON"),
        (b'{"a":' * 50_000 + b"1" + b"}" * 50_000, "is damaged: it is not JSON"),
        (b"[" + b"[]," * 3_000_000 + b"[]]", "is refused: it holds over 4,000,000 values"),
    ],
)
def test_what_is_made_to_do_harm_is_refused(tmp_path: Path, content: bytes, said: str) -> None:
    (tmp_path / "x.json").write_bytes(content)
    with pytest.raises(SourceError, match=f"{tmp_path}/x.json {said}"):
        read_json(tmp_path / "x.json", dict[str, object], SourceError)


def test_a_file_without_end_is_refused() -> None:
    with pytest.raises(SourceError, match="/dev/zero is refused: it has over 256 MiB"):
        read_json("/dev/zero", dict[str, object], SourceError)
    with pytest.raises(SourceError, match=r"cannot read /nowhere\.json: No such file or directory"):
        read_json("/nowhere.json", dict[str, object], SourceError)


_JSON = st.recursive(
    st.none() | st.booleans() | st.integers(-9, 9) | st.floats(0, 1) | st.text(max_size=3),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.sampled_from(list(WHOLE)), inner, max_size=5),
)


@given(value=_JSON)
def test_whatever_passes_can_be_used_as_declared(value: object) -> None:
    if fault_in(value, Run):
        return
    run: Any = value
    assert run["records"] + len(run["kind"]) + sum(s["seconds"] + len(s["name"]) for s in run.get("stages", [])) > -99
    assert all(size + len(name) + len(summed) > -99 for name, (size, summed) in run.get("files", {}).items())
    assert (run.get("best") or 0) < 99
