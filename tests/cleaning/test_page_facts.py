"""What pages say about themselves: title, author, date and site, wherever they say it."""

from __future__ import annotations

import json

import pyarrow as pa
import pytest

from cleaning import rules
from cleaning.page_facts import page_facts

BODY = "<p>水库修好以后，下游的农田不再担心春旱。负责灌溉的老周每天骑车沿渠走一遍，看闸门是否漏水。</p>" * 3


@pytest.mark.parametrize(
    ("page", "facts"),
    [
        (
            "<head><meta property='og:title' content='春旱'><meta name='author' content='周一鸣'>"
            "<meta property='article:published_time' content='2031-05-06T09:30:00+08:00'>"
            "<meta property='og:site_name' content='河边日报'></head>",
            {"title": "春旱", "author": "周一鸣", "date": "2031-05-06T09:30", "site": "河边日报"},
        ),
        (
            '<script type="application/ld+json">{"@graph": [{"headline": "春旱", "author": [{"name": "周一鸣"}, '
            '{"name": "李二"}], "datePublished": "2031-5-6", "publisher": {"name": "河边日报"}}]}</script>',
            {"title": "春旱", "author": "周一鸣、李二", "date": "2031-05-06", "site": "河边日报"},
        ),
        ("<title>春旱_河边日报</title><h1>春旱</h1>", {"title": "春旱"}),
        (
            "<title>春旱 - 河边日报</title><meta property='og:site_name' content='河边日报'>",
            {"title": "春旱", "site": "河边日报"},
        ),
        (
            "<h1>春旱</h1><div>2031年5月6日 09:30 来源：河边日报 作者：周一鸣</div>",
            {"title": "春旱", "date": "2031-05-06T09:30", "author": "周一鸣"},
        ),
        ("<time datetime='2031-05-06'>昨天</time>", {"date": "2031-05-06"}),
        ("<script type='application/ld+json'>{broken</script><script type='application/ld+json'>[1]</script>", {}),
        (f"<meta property='og:title' content='{'长' * 400}'>", {}),
        ("<p>电话 13512341234，版本 2031.13.40</p>", {}),
        ("", {}),
    ],
)
def test_facts_of_a_page(page: str, facts: dict[str, str]) -> None:
    assert page_facts(page) == facts


def test_they_go_into_meta_and_replace_nothing() -> None:
    page = f"<html><head><title>春旱</title><meta name='author' content='周一鸣'></head><body>{BODY}</body></html>"
    table = pa.table(
        {
            "id": ["a", "b"],
            "text": pa.array([page, "没有标签的文字。"], pa.large_string()),
            "meta": ['{"title": "先来的题目"}', "{}"],
        }
    )
    found = rules.extract_main(table).kept
    assert [json.loads(meta) for meta in found["meta"].to_pylist()] == [
        {"title": "先来的题目", "author": "周一鸣"},
        {},
    ]
    assert found["text"].to_pylist()[1] == "没有标签的文字。"
