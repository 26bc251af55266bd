"""Expressions of recipes: whatever is written, the answer is a mask or a ValueError, and nothing else happens."""

from __future__ import annotations

import sys
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import pyarrow as pa
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from quality.selection.expressions import evaluate

TABLE = pa.table(
    {
        "id": ["a", "b", "c"],
        "text": ["茶", "tea", None],
        "source": ["x", "y", "x"],
        "score": [1, 2, None],
        "meta": ['{"n": 1, "s": "x", "deep": {"b": true}}', "[1]", "not JSON"],
        "quality.share": [0.5, None, 2.0],
    }
)
# what no expression has business with; `compile` is how it is read
_FORBIDDEN = (
    "exec",
    "import",
    "open",
    "os.",
    "subprocess.",
    "socket.",
    "shutil.",
    "ctypes.",
    "pickle.",
    "marshal.",
    "code.__new__",
    "builtins.",
)
_watchers: list[list[str]] = []


def _watch(event: str, _arguments: tuple[Any, ...]) -> None:
    if _watchers and event.startswith(_FORBIDDEN):
        _watchers[-1].append(event)


sys.addaudithook(_watch)


@contextmanager
def watched() -> Iterator[list[str]]:
    events: list[str] = []
    _watchers.append(events)
    try:
        yield events
    finally:
        _watchers.pop()


_names = st.sampled_from(
    [
        "text",
        "meta.n",
        "meta['s']",
        "meta.deep.b",
        "meta.deep",
        "meta[0]",
        "meta.__class__",
        "id",
        "score",
        "source",
        "quality.share",
        "__import__",
        "open",
        "eval",
        "().__class__",
        "text.__class__.__mro__",
        "nothing",
    ]
)
_plain = st.one_of(
    st.integers(),
    st.floats(allow_nan=False).map(repr),
    st.text(max_size=6).map(repr),
    st.booleans(),
    st.just("None"),
    st.just("b'x'"),
    st.just("1j"),
    st.just("..."),
)
_leaf = st.one_of(_names, _plain.map(str))


def _grow(inner: st.SearchStrategy[str]) -> st.SearchStrategy[str]:
    binary = st.sampled_from(
        [
            "+",
            "-",
            "*",
            "/",
            "//",
            "%",
            "**",
            "<<",
            "|",
            "and",
            "or",
            "<",
            "==",
            "!=",
            ">=",
            "in",
            "not in",
            "is",
            "@",
            ":=",
        ]
    )
    call = st.sampled_from(
        [
            "length",
            "contains",
            "matches",
            "is_null",
            "lower",
            "exec",
            "getattr",
            "__import__",
            "print",
            "open",
            "compile",
        ]
    )
    return st.one_of(
        st.tuples(inner, binary, inner).map(lambda t: f"({t[0]} {t[1]} {t[2]})"),
        st.tuples(call, st.lists(inner, max_size=3)).map(lambda t: f"{t[0]}({', '.join(t[1])})"),
        inner.map(lambda x: f"not {x}"),
        inner.map(lambda x: f"-{x}"),
        st.lists(inner, max_size=3).map(lambda xs: f"[{', '.join(xs)}]"),
        st.tuples(inner, inner).map(lambda t: f"{t[0]}[{t[1]}]"),
        inner.map(lambda x: f"(lambda: {x})()"),
        inner.map(lambda x: f"[y for y in {x}]"),
        st.tuples(inner, inner).map(lambda t: f"{t[0]} if {t[1]} else 1"),
        inner.map(lambda x: f'f"{{{x}}}"'),
    )


def check(expression: str) -> None:
    with watched() as events:
        try:
            mask = evaluate(expression, TABLE)
        except ValueError:
            mask = None
    assert not events, (expression, events)
    if mask is not None:
        assert mask.type == pa.bool_(), expression
        assert len(mask) == 3, expression
        assert mask.null_count == 0, expression


@settings(max_examples=600)
@given(st.recursive(_leaf, _grow, max_leaves=8))
def test_expressions_give_a_mask_or_an_error(expression: str) -> None:
    check(expression)


@settings(max_examples=400)
@given(st.text(max_size=60))
def test_any_text_gives_a_mask_or_an_error(expression: str) -> None:
    check(expression)


@pytest.mark.parametrize(
    "expression",
    [
        "__import__('os').system('true') == 0",
        "().__class__.__bases__[0].__subclasses__() == 1",
        "[x for x in (1, 2)] == 1",
        "open('/etc/passwd') == 1",
        "text.__class__ == 1",
        "exec('1') == 1",
        "9 ** 9 ** 9 > 1",
        "(" * 5000 + "1" + ")" * 5000,
        "-" * 100_000 + "1 > 0",
        "matches(text, '(a+)+$')",
    ],
)
def test_attacks(expression: str) -> None:
    check(expression)
