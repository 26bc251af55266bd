"""Every registered stage: its examples hold, its reference is current, and it keeps the common promises."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pyarrow as pa
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from raylib.reference import migration_markdown, recipe_markdown, reference_markdown
from raylib.schema import SCHEMAS
from raylib.stage import stage_info, stage_names
from tests.texts import ARTICLE, CLASSICAL, CODE, ENGLISH, POEM

RULES = [n for n in stage_names() if hasattr(stage_info(n).make, "rule")]
WORKING = [n for n in RULES if n != "ad_classifier"]  # needs a model: tested on its own


def rule_of(name: str) -> Any:
    return getattr(stage_info(name).make, "rule")  # noqa: B009 - a class, to the type checker


def answer(name: str, text: str, **parameters: Any) -> str | None:
    """The text that a rule makes of a text, or its evidence against it."""
    result: str | None = rule_of(name).function(pa.array([text], pa.large_string()), **parameters)[0].as_py()
    return result


@pytest.mark.parametrize("name", RULES)
def test_examples_hold(name: str) -> None:
    info = stage_info(name)
    assert info.examples or name == "ad_classifier"
    for before, after in info.examples:
        got = answer(name, before)
        if info.kind == "reject":
            assert (got is None) == (after == ""), (before, got)
            assert after in (got or "")
        else:
            assert got == after


@pytest.mark.parametrize("name", [n for n in WORKING if stage_info(n).kind == "reject" and n != "length"])
def test_every_rule_says_what_it_touches_and_what_not(name: str) -> None:
    assert {bool(after) for _, after in stage_info(name).examples} == {True, False}


def test_reference_is_current() -> None:
    written = Path(__file__).parents[2] / "docs" / "rules.md"
    assert written.read_text("utf-8") == reference_markdown(), "run: python -m raylib.reference"
    assert written.with_name("recipes.md").read_text("utf-8") == recipe_markdown(), "run: python -m raylib.reference"
    page = written.with_name("migration.md").read_text("utf-8")
    assert page == migration_markdown(page), "run: python -m raylib.reference"


@pytest.mark.parametrize("name", [n for n in WORKING if stage_info(n).kind == "rewrite"])
def test_clean_prose_survives_rewriting(name: str) -> None:
    """Good prose, verse, English and code are what rewriting rules must not damage."""
    for text in (ARTICLE, CLASSICAL, POEM):
        assert rule_of(name)(text) == text


@pytest.mark.parametrize(
    "name", ["strip_markup", "remove_urls", "remove_personal_data", "remove_repeats", "fix_encoding", "unwrap_lines"]
)
def test_english_and_code_survive(name: str) -> None:
    assert rule_of(name)(ENGLISH) == ENGLISH
    if name != "remove_repeats":  # indentation is a repeat of spaces
        assert rule_of(name)(CODE) == CODE


@pytest.mark.parametrize("name", [n for n in WORKING if stage_info(n).kind == "reject"])
def test_good_article_is_not_rejected(name: str) -> None:
    parameters = {"min": 50} if name == "length" else {}
    assert answer(name, ARTICLE, **parameters) is None


@pytest.mark.parametrize("name", WORKING)
def test_edge_arrays(name: str) -> None:
    """Empty arrays, empty texts, white space, odd planes and one character never raise and keep their length."""
    texts = ["", " ", "\n\n", "好", "a", "𠮷野家", "😀😀😀", "\u200b", "．" * 10, "1" * 50, "。" * 50]
    rule = rule_of(name)
    assert len(rule.function(pa.array([], pa.large_string()))) == 0
    out = rule.function(pa.array(texts, pa.large_string()))
    assert len(out) == len(texts)
    one_by_one = [answer(name, text) for text in texts]
    assert out.to_pylist() == one_by_one, "a text's result must not depend on its neighbours"


@pytest.mark.parametrize("name", WORKING)
@settings(max_examples=25)
@given(
    texts=st.lists(
        st.text(alphabet="好的，。a1 \n<>/&;@(（第章12[]#-·Ａ電…“”\U0001f600\u3000|", max_size=60), max_size=6
    )
)
def test_batches_equal_single_texts(name: str, texts: list[str]) -> None:
    rule = rule_of(name)
    out = rule.function(pa.array(texts, pa.large_string()))
    assert out.to_pylist() == [answer(name, t) for t in texts]


@pytest.mark.parametrize("name", WORKING)
def test_stage_on_a_table(name: str) -> None:
    """As a stage: kept and rejected add up, rejects carry stage, reason and detail, order stays."""
    texts = [ARTICLE, ENGLISH, "短", "锟斤拷" * 30, "苹果、" * 40]
    rows = [{"id": str(i), "text": t, "source": "s", "meta": None} for i, t in enumerate(texts)]
    table = pa.Table.from_pylist(rows, schema=SCHEMAS["document"])
    outcome = rule_of(name).stage()(table)
    assert len(outcome.kept) + len(outcome.rejected) == len(table)
    ids = outcome.kept["id"].to_pylist()
    assert ids == sorted(ids)
    for row in outcome.rejected.to_pylist():
        assert row["stage"] == name
        assert row["reason"] == stage_info(name).reason
        assert row["detail"]
        assert row["text"] == texts[int(row["id"])]


@pytest.mark.parametrize("name", WORKING)
def test_stage_on_conversations(name: str) -> None:
    messages = [{"role": "user", "content": "请介绍一下绿茶？"}, {"role": "assistant", "content": ARTICLE}]
    row = {"id": "1", "messages": messages, "source": "s", "meta": None}
    table = pa.Table.from_pylist([row], schema=SCHEMAS["conversation"])
    outcome = rule_of(name).stage()(table)
    assert len(outcome.kept) + len(outcome.rejected) == 1
    if len(outcome.kept):
        roles = [m["role"] for m in outcome.kept["messages"][0].as_py()]
        assert roles == ["user", "assistant"]
