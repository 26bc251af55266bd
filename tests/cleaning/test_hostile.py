"""Hostile input: one repeated pattern, deep nesting, unclosed everything. No rule may hang or crash."""

from __future__ import annotations

import signal
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import pytest

from raylib.stage import stage_info, stage_names

MB = 1_000_000
PERIOD = "一二三四五六七八九十甲乙丙丁戊己庚辛壬癸子丑寅卯辰巳午未申酉戌亥天地玄黄宇宙洪荒日月盈昃辰宿列张"
HOSTILE = {
    "one character": "哈" * (MB // 3),
    "one sentence": "今天天气很好，" * (MB // 21),
    "period of 50": PERIOD * (MB // 150),
    "almost periodic": "".join("甲乙丙丁" * 50 + chr(0x4E00 + i % 5000) for i in range(MB // 603)),
    "digits": "1234567890" * (MB // 10),
    "phones": "13800000000 " * (MB // 12),
    "at signs": "@" * MB,
    "mails": "a.b@" * (MB // 4),
    "urls": "http://" * (MB // 7),
    "angle brackets": "<" * MB,
    "unclosed tags": '<a href="' * (MB // 9),
    "nested div": "<div>" * 10_000 + "深" + "</div>" * 10_000,
    "square brackets": "[" * (MB // 2) + "]" * (MB // 2),
    "markdown": "![](" * (MB // 4),
    "parentheses": "(（" * (MB // 4),
    "entities": "&amp;" * (MB // 5),
    "newlines": "\n" * MB,
    "spaces": " \u3000\t" * (MB // 5),
    "dashes": "-" * MB,
    "stops": "。" * (MB // 3),
    "short lines": "好\n" * (MB // 4),
    "latin gbk": "ÖÐÎÄ" * (MB // 8),
    "mojibake": "é\x81\x93" * (MB // 5),
    "mixed scripts": "好a" * (MB // 4),
    "one long word": "a" * MB,
    "chapters": "第一章" * (MB // 9),
}
RULES = [n for n in stage_names() if hasattr(stage_info(n).make, "rule") and n != "ad_classifier"]


@contextmanager
def alarm(seconds: int, what: str) -> Iterator[None]:
    """Ends a hanging rule. Far above what any takes (see benchmarks/hostile.py), so that load does not matter."""

    def ring(*_: Any) -> None:
        raise TimeoutError(what)

    before = signal.signal(signal.SIGALRM, ring)
    signal.alarm(seconds)
    try:
        yield
    finally:
        signal.alarm(0)
        signal.signal(signal.SIGALRM, before)


@pytest.mark.slow
@pytest.mark.parametrize("name", RULES)
def test_no_rule_hangs(name: str) -> None:
    rule = getattr(stage_info(name).make, "rule")  # noqa: B009 - a class, to the type checker
    for label, text in HOSTILE.items():
        with alarm(20, f"{name} on {label}"):
            assert isinstance(rule(text), (str, type(None)))
