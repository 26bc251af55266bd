"""What is read from JSON is what Python's own parser reads with whole numbers and decimals, and nothing is rounded.

The rules beside that: NaN, Infinity and numbers too large for a float are null; of a key that stands twice the last
value counts; a value nested too deeply is one reject, and its neighbours are read.
"""

from __future__ import annotations

import json
import math
from decimal import Decimal
from typing import Any

import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from raylib.errors import RecordError
from raylib.exact import dumps, loads
from raylib.reading.block import Unreadable
from raylib.reading.json_values import Splitter
from tests.raylib.reading.reads import read_file

_LONGEST = 4000  # digits of a whole number; longer ones are kept as a text

# numbers as they are written: a whole one has neither point nor exponent
_WHOLE = st.builds(
    lambda sign, digits: f"{sign}{digits}",
    st.sampled_from(["", "-"]),
    st.one_of(
        st.integers(0, 10**30).map(str),
        st.sampled_from([2**53 + 1, 2**63 - 1, 2**63, 2**64 - 1, 2**64, 10**19 + 1, 10**308, 10**400]).map(str),
        st.integers(1, _LONGEST).map(lambda n: "7" * n),
    ),
)
_BROKEN = st.builds(
    lambda sign, whole, digits, power: f"{sign}{whole}.{digits}{power}",
    st.sampled_from(["", "-"]),
    st.integers(0, 10**20),
    st.text(alphabet="0123456789", min_size=1, max_size=20),
    st.sampled_from(["", "e5", "E-7", "e+300", "e400", "e-400"]),
)
_NO_NUMBER = st.sampled_from(["NaN", "Infinity", "-Infinity"])
_OTHER = st.sampled_from(['"春"', '"a,b]}"', '"\\\\\\""', "true", "null", '"123456789012345678901"'])
_KEYS = st.sampled_from(["a", "b", "春", "text", "a\\\\"])
_TEXTS = st.recursive(
    st.one_of(_WHOLE, _BROKEN, _NO_NUMBER, _OTHER),
    lambda inner: st.one_of(
        st.lists(inner, max_size=4).map(lambda items: f"[{', '.join(items)}]"),
        st.lists(st.tuples(_KEYS, inner), max_size=4).map(  # the same key may stand twice
            lambda pairs: "{" + ",".join(f'"{name}": {item}' for name, item in pairs) + "}"
        ),
    ),
    max_leaves=12,
)


def exactly(text: str) -> object:
    """The value by Python's parser: whole numbers as such, and others as decimals until their size is known."""
    return json.loads(text, parse_int=int, parse_float=_float, parse_constant=lambda _: None)


def _float(written: str) -> float | None:
    number = float(Decimal(written))
    return number if math.isfinite(number) else None


def same(left: object, right: object) -> bool:
    """Whether two values are the same in every type and digit: 1 is not 1.0, and not true."""
    return repr(left) == repr(right)


@settings(max_examples=300)
@given(text=_TEXTS)
@example(text="18446744073709551616")
@example(text="[-9223372036854775809, 9223372036854775808, 1e19, 18446744073709551615]")
@example(text='{"a": 1, "a": 123456789012345678901234567890}')
@example(text='{"a": 123456789012345678901234567890, "a": 2}')
@example(text="[1e400, -1e400, 1.0, 100, -0, -0.0]")
def test_every_number_is_what_was_written(text: str) -> None:
    found = loads(text)
    assert same(found, exactly(text))
    assert same(loads(text.encode()), found)
    assert same(loads(dumps(found)), found), "what is written is read back"


@settings(max_examples=200)
@given(texts=st.lists(_TEXTS.filter(lambda text: text.startswith("{")), max_size=6), size=st.integers(1, 60))
def test_elements_of_an_array_are_what_was_written(texts: list[str], size: int) -> None:
    data = f"[{', '.join(texts)}]".encode()
    splitter = Splitter(1 << 20)
    found: list[bytes | Unreadable] = []
    for at in range(0, len(data), size):
        found += splitter.feed(data[at : at + size])
    found += splitter.feed(b"", final=True)
    values = [loads(value) for value in found if isinstance(value, bytes)]
    assert same(values, [exactly(text) for text in texts])


@settings(max_examples=60)
@given(values=st.lists(_TEXTS, min_size=1, max_size=4), lines=st.booleans())
def test_meta_keeps_every_digit(tmp_path_factory: pytest.TempPathFactory, values: list[str], lines: bool) -> None:
    folder = tmp_path_factory.mktemp("exact")
    rows = [f'{{"id": "{n}", "text": "春江潮水", "value": {value}}}' for n, value in enumerate(values)]
    name, content = ("x.jsonl", "\n".join(rows)) if lines else ("x.json", f"[{','.join(rows)}]")
    records, rejects = read_file(folder / name, content)
    assert rejects == []
    for record, value in zip(records, values, strict=True):
        meta = json.loads(record["meta"] or "{}")
        assert same(meta.get("value"), exactly(value))


@settings(max_examples=40)
@given(depth=st.sampled_from([1, 10, 200, 254, 255, 900, 1024, 1025, 1100, 5000, 100_000]), array=st.booleans())
def test_a_value_of_any_depth_is_read_or_refused_by_itself(depth: int, array: bool) -> None:
    text = "[" * depth + "]" * depth if array else '{"a":' * depth + "1" + "}" * depth
    try:
        found: Any = loads(text)
    except RecordError as error:
        found = error.reason
    if found == "bad_json":
        assert depth > 900
        return
    for _ in range(depth - 1):
        found = found[0] if isinstance(found, list) else found["a"]
    assert found in ([], {"a": 1})
