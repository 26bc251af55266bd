"""The page of a run, in a real headless browser while the run is at work; and who gets an answer."""

from __future__ import annotations

import json
import shutil
import subprocess
import sys
import time
import urllib.error
import urllib.request
from contextlib import ExitStack
from pathlib import Path
from typing import Any

import orjson
import pytest
from typer.testing import CliRunner

from raylib.cli import app
from raylib.errors import SourceError
from raylib.report.live import RunView
from raylib.report.live_training import TrainingView
from raylib.report.server import is_loopback, open_view
from tests.raylib.report.runs import get, recipe_file, served


@pytest.mark.slow
def test_the_page_follows_a_run_and_searches_its_rejects(browser: Any, tmp_path: Path) -> None:
    from selenium.webdriver.common.by import By
    from selenium.webdriver.support.ui import Select, WebDriverWait

    command = [sys.executable, "-m", "raylib", "run", str(recipe_file(tmp_path, 6000)), "-q"]
    with subprocess.Popen(command, stdout=subprocess.DEVNULL) as process, ExitStack() as stack:
        while not (tmp_path / "out" / "manifest.jsonl").is_file():
            assert process.poll() is None
            time.sleep(0.02)
        address = stack.enter_context(served(tmp_path / "out"))
        browser.set_window_size(1200, 1400)
        browser.get(address)
        wait = WebDriverWait(browser, 60)

        def card(label: str) -> int:
            # in one step: the page makes its cards anew while the run goes on
            shown = browser.execute_script(
                "return [...document.querySelectorAll('.card')]"
                ".map(card => ['span', 'b'].map(tag => card.querySelector(tag).innerText))"
            )
            return next((int(count.replace(",", "")) for name, count in shown if name.startswith(label)), -1)

        def status() -> str:
            return str(browser.find_element(By.ID, "status").text)

        def records() -> list[Any]:
            return list(browser.find_elements(By.CSS_SELECTOR, ".record"))

        wait.until(lambda _: card("records in") > 0)
        if status() == "running":
            early = card("records in")
            assert early <= 6000
            assert browser.find_elements(By.CSS_SELECTOR, "#funnel tr")
        process.wait(120)
        wait.until(lambda _: status() == "finished")
        assert (card("records in"), card("kept"), card("rejected")) == (6000, 4500, 1500)
        stages = [r.text.split()[0] for r in browser.find_elements(By.CSS_SELECTOR, "#funnel tr")]
        assert stages == ["normalise_characters", "collapse_newlines", "length", "exact_dedup"]

        browser.find_element(By.ID, "query").send_keys("短8<IMG")
        wait.until(lambda _: len(records()) == 1)
        (record,) = records()
        assert "length/too_short_or_long" in record.text
        assert "onerror" in record.text, "shown as text"
        assert record.find_element(By.TAG_NAME, "mark").text.lower() == "短8<img"
        assert not record.find_elements(By.TAG_NAME, "img")
        assert browser.title != "owned"

        Select(browser.find_element(By.ID, "key")).select_by_value("length/too_short_or_long")
        browser.find_element(By.ID, "query").clear()
        browser.find_element(By.ID, "query").send_keys("短")
        wait.until(lambda _: len(records()) == len(browser.find_elements(By.CSS_SELECTOR, ".record mark")) == 50)
        browser.find_element(By.ID, "more").click()
        wait.until(lambda _: len(records()) == 100)
        assert browser.find_element(By.ID, "report").get_attribute("href").endswith("/report")
        severe = [e for e in browser.get_log("browser") if e["level"] == "SEVERE"]
        assert not [e for e in severe if "favicon" not in e["message"]]
        browser.get(address + "report")
        assert "Funnel by stage" in browser.page_source


def test_other_names_that_lead_here_get_no_answer(page_address: str) -> None:
    assert json.loads(get(page_address + "api/state"))["status"] == "finished"
    with pytest.raises(urllib.error.HTTPError, match="403"):
        get(page_address + "api/state", Host="evil.example")


LOCAL = ["localhost", "LOCALHOST:1", "localhost.:8700", "127.0.0.1", "127.0.0.9:80", "[::1]", "[::1]:8700", "::1"]
FOREIGN = ["", "evil.example", "evil.example:8700", "[::2]", "[::1].evil.example", "localhost.evil.example", "1.2.3.4"]


@pytest.mark.parametrize("host", LOCAL)
def test_every_spelling_of_this_machine_gets_an_answer(page_address: str, host: str) -> None:
    assert json.loads(get(page_address + "api/state", Host=host))["status"] == "finished"


@pytest.mark.parametrize("host", FOREIGN)
def test_no_other_name_gets_an_answer(page_address: str, host: str) -> None:
    with pytest.raises(urllib.error.HTTPError, match=r"40[03]"):
        get(page_address + "api/state", Host=host)


def test_other_users_of_the_machine_need_the_token(finished_run: Path) -> None:
    with served(finished_run, token=True) as first, served(finished_run, token=True) as second:
        base, _, token = first.partition("?token=")
        assert base.startswith("http://127.0.0.1:")
        for asked in (base, base + "api/state", base + "api/rejects", base + "report", f"{base}?token={token}x"):
            with pytest.raises(urllib.error.HTTPError, match="401") as caught:
                get(asked)
            assert "Content-Security-Policy" in caught.value.headers
            caught.value.close()
        with pytest.raises(urllib.error.HTTPError, match="403"):
            get(first, Host="evil.example")
        opener = urllib.request.build_opener(urllib.request.HTTPCookieProcessor())
        for address in (first, second):  # cookies of a host are shared by its ports
            opener.open(address).close()
        for address in (first, second):
            with opener.open(address.partition("?")[0] + "api/state") as answer:
                assert json.loads(answer.read())["status"] == "finished"


def test_a_token_can_be_set_and_left_out_on_loopback_only(finished_run: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("RAYLIB_UI_TOKEN", "chosen-by-us")
    with served(finished_run, token=True) as address:
        assert address.endswith("?token=chosen-by-us")
        base = address.partition("?")[0]
        asked = get(base + "api/state", Authorization="Bearer chosen-by-us", Host="proxy.example")
        assert json.loads(asked)["status"] == "finished"
    done = CliRunner().invoke(app, ["ui", str(finished_run), "--host", "0.0.0.0", "--no-token"])
    assert "--no-token would let all of them read" in str(done.exception)


def test_links_out_of_the_run_are_not_followed(finished_run: Path, tmp_path: Path) -> None:
    secret = tmp_path / "secret.txt"
    secret.write_text("geheim", "utf-8")
    out = Path(shutil.copytree(finished_run, tmp_path / "out"))
    (out / "report.html").unlink()
    (out / "report.html").symlink_to(secret)
    for file in (out / "rejected").rglob("*.parquet"):
        shutil.move(file, tmp_path / file.name)
        file.symlink_to(tmp_path / file.name)
    with served(out) as address:
        with pytest.raises(urllib.error.HTTPError, match="404"):
            get(address + "report")
        assert json.loads(get(address + "api/rejects"))["records"] == []
    (out / "summary.json").unlink()
    (out / "summary.json").symlink_to(secret)
    done = CliRunner().invoke(app, ["ui", str(out)])
    assert "is a link to a file outside the run" in str(done.exception)
    (tmp_path / "linked").symlink_to(finished_run)
    assert isinstance(open_view(str(tmp_path / "linked")), RunView), "the run itself may be behind a link"


def test_a_damaged_file_is_an_answer_in_words(finished_run: Path, tmp_path: Path) -> None:
    out = Path(shutil.copytree(finished_run, tmp_path / "out"))
    with served(out) as address:
        (out / "summary.json").write_text('{"name": 3}')
        with pytest.raises(urllib.error.HTTPError, match="503") as caught:
            get(address + "api/state")
        assert "summary.json is damaged, or made by another program" in caught.value.read().decode()
        assert "Content-Security-Policy" in caught.value.headers
        caught.value.close()


@pytest.mark.parametrize("wrong", ["cursor=../../etc", "cursor=1:2:3", "cursor=5", "limit=0", "limit=99999"])
def test_requests_that_the_page_does_not_send_are_refused(page_address: str, wrong: str) -> None:
    with pytest.raises(urllib.error.HTTPError, match="400"):
        get(f"{page_address}api/rejects?{wrong}")


@pytest.mark.parametrize("other", ["api/../../etc/passwd", "in.jsonl", "manifest.jsonl", "%2e%2e/in.jsonl"])
def test_files_are_not_served(page_address: str, other: str) -> None:
    with pytest.raises(urllib.error.HTTPError, match="404"):
        get(page_address + other)


def test_the_page_may_load_nothing_from_elsewhere(page_address: str) -> None:
    with urllib.request.urlopen(page_address) as answer:
        policy = answer.headers["Content-Security-Policy"]
        page = answer.read().decode()
    assert "default-src 'none'" in policy
    assert "unsafe" not in policy
    nonce = policy.split("script-src 'nonce-")[1].split("'")[0]
    assert f'<script nonce="{nonce}">' in page
    assert "NONCE" not in page


def test_the_report_is_served_in_a_sandbox(page_address: str) -> None:
    with urllib.request.urlopen(page_address + "report") as answer:
        assert "sandbox" in answer.headers["Content-Security-Policy"]
        assert "Funnel by stage" in answer.read().decode()


def test_an_open_address_asks_for_a_token(finished_run: Path) -> None:
    with served(finished_run, host="0.0.0.0", token=True) as address:
        base, _, token = address.partition("?token=")
        assert len(token) >= 32
        for asked in (base, base + "api/state", base + "api/state?token=wrong", base + "report"):
            with pytest.raises(urllib.error.HTTPError, match="401"):
                get(asked)
        assert json.loads(get(base + "api/state", Authorization=f"Bearer {token}"))["records_in"] == 40
        opener = urllib.request.build_opener(urllib.request.HTTPCookieProcessor())
        with opener.open(address) as answer:
            assert "token" not in answer.url, "the token leaves the address bar"


@pytest.mark.parametrize(
    ("host", "expected"),
    [
        ("localhost", True),
        ("127.0.0.9", True),
        ("::1", True),
        ("LOCALHOST", True),
        ("localhost.", True),
        ("0.0.0.0", False),
        ("10.0.0.1", False),
        ("localhost.evil.example", False),
    ],
)
def test_loopback_is_this_machine_only(host: str, expected: bool) -> None:
    assert is_loopback(host) is expected


def test_the_view_follows_from_what_the_folder_holds(finished_run: Path, tmp_path: Path) -> None:
    assert isinstance(open_view(str(finished_run)), RunView)
    nothing = CliRunner().invoke(app, ["ui", str(tmp_path)])
    assert isinstance(nothing.exception, SourceError)
    assert "holds no run of raylib" in str(nothing.exception)
    (tmp_path / "metrics.jsonl").write_bytes(orjson.dumps({"step": 1, "loss": 2.0}) + b"\n")
    assert isinstance(open_view(str(tmp_path)), TrainingView)


def test_a_training_run_is_served_without_rejects(tmp_path: Path) -> None:
    (tmp_path / "metrics.jsonl").write_bytes(orjson.dumps({"step": 1, "loss": 2.0}) + b"\n")
    with served(tmp_path) as address:
        assert json.loads(get(address + "api/state"))["loss"] == [[1, 2.0]]
        with pytest.raises(urllib.error.HTTPError, match="404"):
            get(address + "api/rejects")
