"""What the report shows of each rule for a person to judge."""

from __future__ import annotations

import re
from pathlib import Path

import orjson

from raylib.report.decisions import Decisions, DrawnEdit
from raylib.report.page import render_report
from raylib.report.rules import edit_html, judged_rules
from raylib.storage.summary import Summary
from tests.raylib.report.runs import HOSTILE


def an_edit(number: int, removed: str = "旧") -> DrawnEdit:
    return {
        "id": f"d{number}",
        "source": "论坛",
        "draw": number,
        "left": "左边",
        "removed": removed,
        "added": "新",
        "right": "右边",
        "lost": 0,
        "edits": 2,
    }


def decisions() -> Decisions:
    return {
        "edits": {"strip_markup": [an_edit(i, HOSTILE if i == 0 else "旧\n") for i in range(30)]},
        "rejects": {
            "length": [
                {
                    "id": f"r{i}",
                    "source": None,
                    "draw": i,
                    "before": "短文",
                    "stage": "length",
                    "reason": "too_short_or_long",
                    "detail": "2 < 10",
                }
                for i in range(20)
            ]
        },
    }


def test_a_rule_has_at_most_twenty_edits_and_its_counts(summary: Summary) -> None:
    markup, length = judged_rules(summary, decisions())
    assert (markup["name"], len(markup["edits"]), markup["changed"], markup["rejected"]) == ("strip_markup", 20, 120, 0)
    assert (length["name"], len(length["rejects"]), length["rejected"]) == ("length", 20, 390)
    assert markup["edits"][0]["others"] == 1


def test_an_edit_marks_what_changed() -> None:
    assert edit_html(an_edit(1, "旧\n")) == "左边<del>旧↵\n</del><ins>新</ins>右边"


def test_the_page_shows_them_in_sections_that_open(summary: Summary) -> None:
    page = render_report(summary, {"kept": [], "rejected": []}, "name: x", decisions=decisions())
    assert re.findall(r'<details class="panel rule" id="rule-(\w+)">', page) == ["strip_markup", "length"]
    assert page.count('<article class="sample edit">') == 20
    assert page.count('<article class="sample reject">') == 20
    assert "20 of 390 rejects" in page
    assert HOSTILE not in page


def test_a_run_without_decisions_has_no_such_part(summary: Summary) -> None:
    assert 'id="rules"' not in render_report(summary, {"kept": [], "rejected": []}, "name: x")


def test_the_report_of_a_run_has_the_rules_that_did_something(finished_run: Path) -> None:
    page = (finished_run / "report.html").read_text("utf-8")
    assert 'id="rule-length"' in page
    assert "10 of 10 rejects" in page
    assert orjson.loads((finished_run / "decisions.json").read_bytes())["rejects"]["length"]
