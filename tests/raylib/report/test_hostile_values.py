"""Pages in a real headless browser, with markup and script in every text: nothing of it becomes an element or runs."""

from __future__ import annotations

import dataclasses
import re
from functools import partial
from pathlib import Path
from typing import Any

import orjson
import pytest

import raylib
from raylib.engine import run
from raylib.recipe import Recipe
from raylib.report.page import render_report
from raylib.report.samples import Samples
from raylib.stage.section import (
    Bar,
    Bars,
    Block,
    Histograms,
    Maps,
    Matrix,
    PairOfTexts,
    Pairs,
    Scatter,
    Section,
    Table,
    Text,
)
from raylib.storage.summary import Quarantined, Summary
from tests.raylib.report.hostile import ALL, EVIL, check, hostile
from tests.raylib.report.runs import append_metrics, served, serving

pytestmark = pytest.mark.slow  # a browser


@pytest.fixture
def report(summary: Summary) -> str:
    names = ("name", "kind", "fingerprint", "engine")
    changed: dict[str, Any] = {name: hostile(getattr(summary, name)) for name in names}
    evil = dataclasses.replace(
        summary,
        **changed,
        by_stage={hostile(name): totals for name, totals in summary.by_stage.items()},
        by_reason={f"{hostile(key)}": count for key, count in summary.by_reason.items()},
        by_source={hostile(name): counts for name, counts in summary.by_source.items()},
        notes={ALL: {"tokens" + ALL: 3.0, "seconds": 1.0}},
        versions={name: hostile(version) for name, version in summary.versions.items()},
        quarantined=[Quarantined(**hostile_quarantine())],
        skipped_files=[ALL],
        skipped_file_count=1,
    )
    record = {"id": ALL, "source": ALL, "draw": 1, "before": ALL}
    samples = Samples(
        kept=[{**record, "after": ALL + "变"}],  # type: ignore[typeddict-item]
        rejected=[{**record, "stage": ALL, "reason": ALL, "detail": ALL}],  # type: ignore[typeddict-item]
    )
    stage = next(iter(evil.by_stage))
    edit = {"id": ALL, "source": ALL, "draw": 1, "left": ALL, "removed": ALL, "added": ALL, "right": ALL}
    reject = {**record, "stage": stage, "reason": ALL, "detail": ALL}
    decisions: Any = {"edits": {stage: [{**edit, "lost": 1, "edits": 3}]}, "rejects": {stage: [reject]}}
    blocks: list[Block] = [
        Text(ALL),
        Text(ALL, warning=True),
        Bars(ALL, [Bar(ALL, 3, ALL)]),
        Matrix(ALL, [ALL, ""], [[1, 2], [3, 4]]),
        Scatter(ALL, ALL, ALL, [(0.1, 0.2)]),
        Table(ALL, [ALL, ALL], [[ALL, ALL]]),
        Pairs(ALL, [PairOfTexts(ALL, ALL, ALL + "变")]),
        Maps(ALL, [ALL], [(0.1, 0.2, 0, True, ALL), (0.3, 0.1, 0, False, ALL)], [ALL, ALL]),
        Histograms(ALL, [{"name": ALL, "note": ALL, "bars": [], "low": ALL, "high": ALL}]),
    ]
    return render_report(evil, samples, f"name: '{ALL}'\n", {ALL: Section(ALL, blocks)}, decisions)


def hostile_quarantine() -> dict[str, Any]:
    values = {"shard": ALL, "input": [ALL], "attempts": 3, "error": ALL}
    return {f.name: values.get(f.name, ALL) for f in dataclasses.fields(Quarantined)}


def test_the_report_shows_every_text_as_text(report: str, browser: Any, tmp_path: Path) -> None:
    from selenium.webdriver.common.by import By
    from selenium.webdriver.support.ui import Select

    page = tmp_path / "report.html"
    page.write_text(report, "utf-8")
    browser.get(page.as_uri())
    check(browser)
    assert browser.execute_script("return document.scripts.length") == 1
    assert EVIL[0] in browser.find_element(By.TAG_NAME, "h1").text
    # its own script runs under the policy: the filters work
    (sample,) = browser.find_elements(By.CSS_SELECTOR, "#rejectedlist article")
    box = browser.find_element(By.CSS_SELECTOR, "input[data-for=rejectedlist]")
    box.send_keys("nowhere")
    assert not sample.is_displayed()
    box.clear()
    box.send_keys("owned")
    assert sample.is_displayed()
    Select(browser.find_element(By.CSS_SELECTOR, "select[data-for=keptlist]")).select_by_value("same")
    assert not browser.find_element(By.CSS_SELECTOR, "#keptlist article").is_displayed()
    check(browser)


def test_a_script_that_escaping_missed_would_not_run(report: str, browser: Any, tmp_path: Path) -> None:
    page = tmp_path / "report.html"
    page.write_text(report.replace("<h1>", f"<h1>{EVIL[0]}{EVIL[1]}{EVIL[2]}", 1), "utf-8")
    browser.get(page.as_uri())
    assert browser.title != "owned"
    assert sum("Content Security Policy" in e["message"] for e in browser.get_log("browser")) >= 3
    policy = re.search(r'Content-Security-Policy" content="([^"]*)"', report)
    assert policy is not None
    scripts = policy[1].partition("script-src ")[2].partition(";")[0]
    assert "unsafe" not in scripts


@pytest.fixture(scope="module")
def hostile_run(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A run over records that are hostile in every field, in a file of a hostile name."""
    folder = tmp_path_factory.mktemp("hostile")
    name = "<img src=x onerror=document.title='owned'>.jsonl"
    rows = [{"id": f"{i}{ALL}", "source": ALL, "text": f"{ALL}{i}" * (3 if i % 2 else 1), ALL: ALL} for i in range(20)]
    (folder / name).write_bytes(b"".join(orjson.dumps(row) + b"\n" for row in rows) + ALL.encode() + b"\n")
    data = {
        "name": ALL,
        "input": {"path": str(folder / "*.jsonl")},
        "output": {"path": str(folder / "out<b onclick=x>")},
        "engine": {"mode": "inline"},
        "stages": ["strip_markup", {"length": {"min": 800}}],
    }
    run(Recipe.from_dict(data))
    return folder / "out<b onclick=x>"


def test_the_page_of_a_run_shows_every_text_as_text(hostile_run: Path, browser: Any) -> None:
    from selenium.webdriver.common.by import By
    from selenium.webdriver.support.ui import WebDriverWait

    with served(hostile_run, token=True) as address:
        browser.get(address)
        wait = WebDriverWait(browser, 30)
        wait.until(lambda _: browser.find_elements(By.CSS_SELECTOR, ".record"))
        assert "token" not in browser.current_url
        assert EVIL[0] in browser.find_element(By.ID, "name").text
        browser.find_element(By.ID, "query").send_keys("onerror")
        wait.until(lambda _: browser.find_elements(By.CSS_SELECTOR, ".record mark"))
        check(browser)
        browser.get(address.partition("?")[0] + "report")
        check(browser)
        assert "Funnel by stage" in browser.page_source
        box = browser.find_element(By.CSS_SELECTOR, "input[data-for=rejectedlist]")
        box.send_keys("nowhere to be found")
        assert not browser.find_element(By.CSS_SELECTOR, "#rejectedlist article").is_displayed()


def test_the_page_of_a_training_run_shows_every_name_as_text(browser: Any, tmp_path: Path) -> None:
    from selenium.webdriver.common.by import By
    from selenium.webdriver.support.ui import WebDriverWait

    folder = tmp_path / "<svg onload=x>"
    folder.mkdir()
    steps = [{"step": i, "loss": 3 - i / 10, "lr": ALL, "tgs": ALL, ALL: ALL, f"loss/{ALL}": 1.0} for i in range(1, 4)]
    append_metrics(folder, *steps, {"step": 3, "eval/loss": 2.0, f"eval/{ALL}": ALL})
    (folder / "run.json").write_bytes(orjson.dumps({"config": {"name": ALL}, "command": [ALL]}))
    with served(folder, token=True) as address:
        browser.get(address)
        WebDriverWait(browser, 30).until(lambda _: browser.find_elements(By.CSS_SELECTOR, "#loss polyline"))
        check(browser)


def test_the_page_of_a_review_shows_every_text_as_text(hostile_run: Path, browser: Any, tmp_path: Path) -> None:
    from selenium.webdriver.common.by import By
    from selenium.webdriver.support.ui import WebDriverWait

    with serving("review", str(hostile_run), "--browser", "-o", str(tmp_path / "answers.jsonl")) as address:
        assert "?token=" in address
        browser.get(address)
        wait = WebDriverWait(browser, 30)

        def answered(count: int, _: Any) -> bool:
            return str(browser.find_element(By.ID, "progress").text).startswith(f"{count} of")

        wait.until(partial(answered, 0))
        for done in range(1, 7):
            check(browser)
            browser.find_element(By.TAG_NAME, "body").send_keys("1")
            wait.until(partial(answered, done))


def test_a_notebook_shows_every_text_as_text(hostile_run: Path, browser: Any, tmp_path: Path) -> None:
    def evil(table: Any) -> Any:
        return table

    evil.__name__ = ALL
    planned = raylib.read(str(hostile_run / ALL.replace("/", "")), source=ALL).map(evil)
    ran = raylib.read(str(next(hostile_run.parent.glob("*.jsonl"))), source=ALL).length(min=800)
    assert ran.count() > 0
    page = tmp_path / "cell.html"
    page.write_text(f"<!doctype html><title>cell</title>{planned._repr_html_()}{ran._repr_html_()}", "utf-8")
    browser.get(page.as_uri())
    check(browser)
    assert browser.title == "cell"
