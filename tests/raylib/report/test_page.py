"""The report: what it says, and in a real headless browser that it opens without a network and its filters work."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from raylib.engine import run
from raylib.recipe import Recipe
from raylib.report.page import render_report
from raylib.report.samples import Samples
from raylib.stage.section import Section, Text
from raylib.storage.summary import Quarantined, Summary
from tests.texts import ARTICLE

NO_SAMPLES = Samples(kept=[], rejected=[])


def shown(summary: Summary, samples: Samples = NO_SAMPLES, **sections: Section) -> str:
    return render_report(summary, samples, "name: 新闻清洗\n", sections)


def row_of(page: str, first_cell: str) -> str:
    """The line of a table that begins with a cell."""
    (line,) = (line for line in page.splitlines() if line.startswith(f"<tr><td>{first_cell}</td>"))
    return line


def test_the_head_gives_the_numbers_of_the_run(summary: Summary) -> None:
    page = shown(summary)
    for text in ("<h1>新闻清洗</h1>", "<b>1,000</b><span>records in</span>", "600</b><span>kept, 60.0 %</span>"):
        assert text in page
    assert "tokens kept" not in page
    assert "<b>45,000</b><span>tokens kept</span>" in shown(dataclasses.replace(summary, tokens_kept=45_000))


def test_the_funnel_begins_with_reading_and_narrows(summary: Summary) -> None:
    page = shown(summary)
    assert 'class="keep" style="width:99.000%"></i><i class="cut" style="width:1.000%"' in row_of(page, "read")
    assert row_of(page, "length").count('<td class="r">600</td><td class="r">390</td>') == 1
    assert '<td class="r">18,000</td>' in row_of(page, "strip_markup"), "characters that a cleaning stage removed"


def test_sources_are_ordered_by_size(summary: Summary) -> None:
    page = shown(summary)
    assert page.index("<tr><td>网页</td>") < page.index("<tr><td>论坛</td>")
    assert "width:25.00%" in row_of(page, "论坛")


def test_lengths_are_shown_from_the_shortest_to_the_longest_class_in_use(summary: Summary) -> None:
    page = shown(summary)
    assert "<td>2–3</td>" in page
    assert "<td>4–7</td>" in page
    assert "<td>1</td>" not in page
    assert "<td>8–15</td>" not in page


def test_failures_are_reported_at_the_top(summary: Summary) -> None:
    quarantined = [Quarantined("00003", "s0", "ValueError: 坏的分片", 3, ["a.jsonl"])]
    damaged = dataclasses.replace(summary, quarantined=quarantined, skipped={"unknown extension": (2, ["说明.docx"])})
    page = shown(damaged)
    assert "1 shard failed and is missing from the output." in page
    assert "shard 00003 (a.jsonl), 3 attempts: ValueError: 坏的分片" in page
    assert "passed over 2 (unknown extension): 说明.docx, ..." in page


def test_texts_of_records_are_escaped_everywhere(summary: Summary) -> None:
    hostile = "<script>alert(1)</script>"
    samples = Samples(
        kept=[{"id": hostile, "source": hostile, "draw": 1, "before": hostile, "after": "春天"}],
        rejected=[
            {
                "id": hostile,
                "source": None,
                "draw": 2,
                "before": hostile,
                "stage": "length",
                "reason": hostile,
                "detail": hostile,
            }
        ],
    )
    named = dataclasses.replace(summary, name=hostile, by_reason={hostile: 1}, by_source={hostile: {"in": 1}})
    page = render_report(named, samples, hostile, {hostile: Section(hostile, [Text(hostile)])})
    assert hostile not in page
    assert page.count("&lt;script&gt;alert(1)&lt;/script&gt;") > 8


def test_scorers_splits_and_scores_have_their_sections(summary: Summary) -> None:
    scored = dataclasses.replace(
        summary,
        notes={"ifd": {"tokens": 5000, "seconds": 2.5, "failures": 0}},
        splits={"好": {"records": 10, "characters": 1000, "mean": {"q": 0.5}}},
        columns={"q": {"scored": {"1": 2, "2": 3}, "kept": {"2": 3}}},
    )
    page = shown(scored)
    assert row_of(page.replace("<table>", "\n").replace("</tr>", "</tr>\n"), "ifd")
    assert "tokens 5,000, seconds 2.5, tokens per second and worker 2,000" in page
    assert '<th class="r">mean q</th>' in page
    assert "<b>q</b> <span>5 scored, 3 kept</span>" in page


def test_sections_of_stages_are_shown_as_types_and_as_json(summary: Summary) -> None:
    section = Section("重复的网页", [Text("共有三组。"), Text("有一组太大。", warning=True)])
    pages = [render_report(summary, NO_SAMPLES, "", {"minhash": s}) for s in (section, section.to_json())]
    assert pages[0] == pages[1]
    assert '<h2 id="stage-minhash">minhash: 重复的网页</h2>' in pages[0]
    assert '<div class="bad" style="margin-bottom:10px">有一组太大。</div>' in pages[0]


def test_a_run_without_records_has_a_report(summary: Summary) -> None:
    empty = dataclasses.replace(summary, records_in=0, records_kept=0, records_rejected=0, by_reason={}, by_source={})
    empty = dataclasses.replace(empty, histogram_in=[0] * 26, histogram_kept=[0] * 26, by_stage={})
    assert "Nothing was rejected." in shown(empty)


@pytest.mark.slow
def test_report_opens_offline_and_filters(tmp_path: Path, write_jsonl: Callable[..., Path], browser: Any) -> None:
    from selenium.webdriver.support.ui import Select

    rows: list[Any] = [
        {"id": f"{i:03d}", "source": "web", "text": f"{ARTICLE}见 http://a.cn/{i} 第{i}篇。"} for i in range(60)
    ]
    rows += [{"id": f"s{i}", "source": "short", "text": "太短了"} for i in range(20)]
    rows += [b"{cut <script>alert(1)</script>"]
    data = {
        "name": "page",
        "input": {"path": str(write_jsonl(rows))},
        "output": {"path": str(tmp_path / "out")},
        "engine": {"mode": "inline"},
        "stages": [{"length": {"min": 10}}, "remove_urls", {"table_of_contents": {}}],
    }
    run(Recipe.from_dict(data, "test"))
    browser.get((tmp_path / "out" / "report.html").as_uri())
    text = browser.find_element("tag name", "body").text
    for expected in ("81\nrecords in", "60\nkept", "21\nrejected", "length/too_short_or_long", "read/"):
        assert expected in text, expected
    assert not [e for e in browser.get_log("browser") if e["level"] == "SEVERE"]

    def visible(folder: str) -> int:
        return len([e for e in browser.find_elements("css selector", f"#{folder} > article") if e.is_displayed()])

    assert visible("keptlist") == 60
    assert visible("rejectedlist") == 21
    browser.find_element("css selector", "input[data-for=keptlist]").send_keys("第17篇")
    assert visible("keptlist") == 1
    select = Select(browser.find_element("css selector", "select[data-for=rejectedlist]"))
    select.select_by_value("length/too_short_or_long")
    assert visible("rejectedlist") == 20
    assert browser.find_element("css selector", "#keptlist del").get_attribute("textContent").startswith("http")
