"""The page on which a person judges, in a real headless browser; and who gets an answer."""

from __future__ import annotations

import json
import urllib.error
import urllib.request
from collections.abc import Sequence
from contextlib import AbstractContextManager
from pathlib import Path
from typing import Any

import orjson
import pytest

from raylib.review.rules import FinishedRun
from tests.raylib.report.runs import HOSTILE, get, serving
from tests.raylib.review.labelled import Labelled, labelled_run


@pytest.fixture(scope="module")
def small(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A run that rewrites six records and rejects three."""
    folder = tmp_path_factory.mktemp("small")
    texts = [f"<b>要紧的话</b>，第{i}句{HOSTILE.replace('<', '＜')}。" for i in range(6)] + ["9" * 50] * 3
    rows = [Labelled(f"d{i}", "网页", text, bad=i > 5, value=0) for i, text in enumerate(texts)]
    return labelled_run(folder, rows, ["strip_markup", "digit_ratio"])


def reviewing(out: Path, file: Path) -> AbstractContextManager[str]:
    """Start `raylib review` with a page, and give its address."""
    return serving("review", str(out), "--browser", "-o", str(file), "--no-token")


def answers(file: Path) -> Sequence[str]:
    return [orjson.loads(line)["answer"] for line in file.read_bytes().splitlines()]


def post(address: str, data: object, **headers: str) -> Any:
    sent = {"Content-Type": "application/json", **headers}
    request = urllib.request.Request(address + "api/answer", json.dumps(data).encode(), sent, method="POST")
    with urllib.request.urlopen(request, timeout=20) as answer:
        return json.loads(answer.read())


@pytest.mark.slow
def test_keys_answer_and_every_answer_is_saved_at_once(browser: Any, small: Path, tmp_path: Path) -> None:
    from selenium.webdriver.common.by import By
    from selenium.webdriver.common.keys import Keys
    from selenium.webdriver.support.ui import WebDriverWait

    file = tmp_path / "answers.jsonl"
    with reviewing(small, file) as address:
        browser.get(address)
        wait = WebDriverWait(browser, 30)

        def progress() -> str:
            return str(browser.find_element(By.ID, "progress").text)

        def press(*keys: str) -> None:
            browser.find_element(By.TAG_NAME, "body").send_keys(*keys)

        total = len(answers(file))
        wait.until(lambda _: progress() == f"0 of {total} answered")
        assert browser.find_element(By.ID, "rule").text == "strip_markup"
        assert browser.find_element(By.CSS_SELECTOR, "#text del").text in {"<b>", "</b>"}
        press("1")
        wait.until(lambda _: progress() == f"1 of {total} answered")
        assert answers(file)[:2] == ["good", ""]
        press("2")
        wait.until(lambda _: progress() == f"2 of {total} answered")
        assert answers(file)[:3] == ["good", "harmful", ""]
        press("u")
        wait.until(lambda _: progress() == f"1 of {total} answered")
        assert answers(file)[:2] == ["good", ""]
        press(Keys.ARROW_LEFT)
        given = browser.find_element(By.CSS_SELECTOR, "button.given")
        assert given.text.endswith("good")
        press(Keys.ARROW_RIGHT)
        for number in range(1, total):
            press("3")
            said = f"{number + 1} of {total} answered"
            wait.until(lambda _, said=said: progress() == said)  # type: ignore[misc]
        assert browser.find_element(By.ID, "done").is_displayed()
        assert f"--answers {file}" in browser.find_element(By.ID, "command").text
        assert set(answers(file)) == {"good", "neutral", "unsure"}
        assert browser.title != "owned"
        severe = [e for e in browser.get_log("browser") if e["level"] == "SEVERE"]
        assert not [e for e in severe if "favicon" not in e["message"]]
    with reviewing(small, file) as address:  # the file is continued
        assert {d["answer"] for d in json.loads(get(address + "api/decisions"))["decisions"]} == set(answers(file))


def test_the_page_does_not_tell_what_the_rule_decided(small: Path, tmp_path: Path) -> None:
    file = tmp_path / "answers.jsonl"
    with reviewing(small, file) as address:
        told = json.loads(get(address + "api/decisions"))["decisions"]
        assert told
        assert not {"decision", "value", "threshold", "evidence", "weight"} & set(told[0])
        assert post(address, {"number": 0, "answer": "good"}) == {"answered": 1}
        assert answers(file)[0] == "good"
        for wrong, status in [({"number": 0, "answer": "goood"}, "400"), ({"number": 99, "answer": "good"}, "400")]:
            with pytest.raises(urllib.error.HTTPError, match=status):
                post(address, wrong)
        with pytest.raises(urllib.error.HTTPError, match="400"):
            post(address, [1])
        with pytest.raises(urllib.error.HTTPError, match="415"):  # what a form of another site can send
            post(address, {"number": 1, "answer": "good"}, **{"Content-Type": "text/plain"})
        with pytest.raises(urllib.error.HTTPError, match="403"):
            get(address, Host="evil.example")
        with urllib.request.urlopen(address) as page:
            assert "unsafe" not in page.headers["Content-Security-Policy"]
        assert answers(file)[1] == ""
    assert FinishedRun.open(str(small)).rules()
