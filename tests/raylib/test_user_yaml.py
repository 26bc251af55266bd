"""YAML of a stranger: what would take memory or time without end is refused with its line."""

from __future__ import annotations

import contextlib
import tracemalloc
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from raylib.errors import RecipeError
from raylib.user_yaml import parse_document, read_document


def _bomb(item: str, levels: int, around: str = "[{}]") -> str:
    lines = [f"a0: &a0 {item}"]
    lines += [f"a{i}: &a{i} {around.format(', '.join([f'*a{i - 1}'] * 9))}" for i in range(1, levels)]
    return "\n".join(lines)


HOSTILE = {
    "billion laughs": (_bomb("[哈, 哈, 哈, 哈, 哈, 哈, 哈, 哈, 哈]", 10), r":5: .*stand for over"),
    "merges": (_bomb("{x: 1}", 12, "{{<<: [{}]}}"), r":6: .*stand for over"),
    "chain": ("a0: &a0 [x]\n" + "".join(f"a{i}: &a{i} [*a{i - 1}]\n" for i in range(1, 3000)), "stand for over"),
    "itself": ("a: &a\n  b: [*a]", r":1: .*holds itself"),
    "brackets": ("[" * 100_000, r":1: .*over 100 levels"),
    "braces": ("{a: " * 5000, r":1: .*over 100 levels"),
    "indentation": ("".join(" " * i + "a:\n" for i in range(300)), r":100: .*over 100 levels"),
    "long number": ("a: 1\nb: " + "1" * 5000, r":2: .*put it in quotes"),
    "long hexadecimal number": ("b: 0x" + "f" * 500_000, "put it in quotes"),
    "wrong number": ("b: !!int word", r":1: .*'word' is not of the type 'int'"),
    "no number": ('b: !!int ""', "is not of the type 'int'"),
    "wrong date": ("b: !!timestamp word", "is not of the type 'timestamp'"),
    "code": ("b: !!python/object/apply:os.system [id]", r":1: not YAML"),
    "twice in two writings": ("1: a\nb: 2\n0x1: c", r":3: the key '0x1' stands twice, first in line 1 as '1'"),
    "twice in one line": ("{1: a, 0x1: c}", r":1: the key '0x1' stands twice, first as '1'"),
    "twice": ("a: 1\nb: 2\na: 3", r":3: the key 'a' stands twice, first in line 1"),
}


@pytest.mark.parametrize("name", HOSTILE)
def test_hostile_yaml_is_one_line_of_error_in_a_few_megabytes(name: str, tmp_path: Path) -> None:
    text, message = HOSTILE[name]
    path = tmp_path / "r.yaml"
    path.write_text(text, "utf-8")
    tracemalloc.start()
    try:
        with pytest.raises(RecipeError, match=message) as caught:
            read_document(path, RecipeError)
        assert tracemalloc.get_traced_memory()[1] < 16 << 20
    finally:
        tracemalloc.stop()
    assert "\n" not in str(caught.value)
    assert len(str(caught.value)) < 500


def test_a_file_of_records_is_no_recipe(tmp_path: Path) -> None:
    path = tmp_path / "records.jsonl"
    path.write_bytes(b'{"text": "x"}\n' * 400_000)
    with pytest.raises(RecipeError, match="over 4 MiB"):
        read_document(path, RecipeError)


def test_aliases_in_moderation_are_read() -> None:
    text = "a: &a {x: 1}\nb: *a\nc: {<<: *a, y: 2}\nd: [*a, *a]\n"
    data = parse_document(text, "r.yaml", RecipeError).data
    assert data == {"a": {"x": 1}, "b": {"x": 1}, "c": {"x": 1, "y": 2}, "d": [{"x": 1}, {"x": 1}]}


@given(st.text(alphabet="ab01:-[]{}&*<!?|>#'\" \n,", max_size=80))
def test_any_text_is_data_or_an_error_of_ours(text: str) -> None:
    with contextlib.suppress(RecipeError):
        assert parse_document(text, "r.yaml", RecipeError).text == text
