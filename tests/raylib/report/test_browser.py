"""The report in a real headless browser: it opens without a network, shows the numbers, and its filters work."""

from __future__ import annotations

import shutil
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from raylib.engine import run
from raylib.recipe import Recipe
from raylib.report.difference import difference
from tests.texts import ARTICLE

CHROMIUM, DRIVER = shutil.which("chromium"), shutil.which("chromedriver")


@pytest.fixture(scope="module")
def browser(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Any]:
    if not (CHROMIUM and DRIVER):
        pytest.skip("no chromium and chromedriver on this machine")
    from selenium import webdriver
    from selenium.webdriver.chrome.service import Service

    options = webdriver.ChromeOptions()
    options.binary_location = CHROMIUM
    for flag in (
        "--headless=new", "--no-sandbox", "--disable-gpu", "--disable-quic", "--no-first-run", "--window-size=1280,1600",
        "--disable-background-networking", "--disable-component-update", "--disable-sync",
        "--host-resolver-rules=MAP * ~NOTFOUND, EXCLUDE 127.0.0.1", f"--user-data-dir={tmp_path_factory.mktemp('chromium')}",
    ):  # fmt: skip
        options.add_argument(flag)
    options.set_capability("goog:loggingPrefs", {"browser": "ALL"})
    driver = webdriver.Chrome(options=options, service=Service(DRIVER))
    yield driver
    driver.quit()


@pytest.mark.slow
def test_report_opens_offline_and_filters(tmp_path: Path, write_jsonl: Callable[..., Path], browser: Any) -> None:
    rows: list[Any] = [{"id": f"{i:03d}", "source": "web", "text": f"{ARTICLE}见 http://a.cn/{i} 第{i}篇。"} for i in range(60)]  # fmt: skip
    rows += [{"id": f"s{i}", "source": "short", "text": "太短了"} for i in range(20)] + [
        b"{cut <script>alert(1)</script>"
    ]
    from selenium.webdriver.support.ui import Select

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
    for shown in ("81\nrecords in", "60\nkept", "21\nrejected", "length/too_short_or_long", "read/"):
        assert shown in text, shown
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


def test_difference_escapes_and_folds() -> None:
    shown = difference(f"<b>{ARTICLE}</b>http://a.cn", f"<b>{ARTICLE}</b>")
    assert "&lt;b&gt;" in shown
    assert "<del>http://a.cn</del>" in shown
    assert "unchanged</summary>" in shown
    assert "<b>" not in shown
