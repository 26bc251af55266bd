"""The page of a run, in a real headless browser while the run is at work; and who gets an answer."""

from __future__ import annotations

import json
import subprocess
import sys
import time
import urllib.error
import urllib.request
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import orjson
import pytest
from typer.testing import CliRunner

from raylib.cli import app
from raylib.engine import run
from raylib.recipe import Recipe
from raylib.report.live import RunView
from raylib.report.server import is_loopback
from tests.raylib.cluster.test_monitoring import free_port
from tests.raylib.report.test_browser import browser  # noqa: F401
from tests.texts import ARTICLE


@contextmanager
def served(out: Path, *more: str, host: str = "127.0.0.1") -> Iterator[str]:
    """`raylib ui`, as a user starts it; gives the address that it prints."""
    port = free_port()
    process = subprocess.Popen([sys.executable, "-m", "raylib", "ui", str(out), "--port", str(port), "--host", host, *more], stdout=subprocess.PIPE, text=True)  # fmt: skip
    try:
        assert process.stdout is not None
        address = process.stdout.readline().strip().replace("0.0.0.0", "127.0.0.1")
        deadline = time.monotonic() + 30
        while True:
            try:
                get(address)
            except urllib.error.HTTPError:
                pass
            except OSError:
                assert time.monotonic() < deadline
                time.sleep(0.05)
                continue
            break
        yield address
    finally:
        process.kill()
        process.wait()


def get(address: str, **headers: str) -> Any:
    with urllib.request.urlopen(urllib.request.Request(address, headers=headers), timeout=20) as answer:
        return answer.read().decode()


def recipe_file(folder: Path, count: int, **engine: Any) -> Path:
    hostile = "<img src=x onerror=\"document.title='owned'\"><script>document.title='owned'</script>"
    rows = [{"id": f"d{i}", "text": f"{ARTICLE}{i}" if i % 4 else f"短{i}{hostile if i == 8 else ''}"} for i in range(count)]  # fmt: skip
    (folder / "in.jsonl").write_bytes(b"".join(orjson.dumps(r) + b"\n" for r in rows))
    data = {"name": "页面", "input": {"path": str(folder / "in.jsonl")}, "output": {"path": str(folder / "out")}, "engine": {"mode": "inline", "batch_mb": 0.1, **engine}, "stages": ["normalise_characters", "collapse_newlines", {"length": {"min": 150}}, "exact_dedup"]}  # fmt: skip
    Recipe.from_dict(data)
    (folder / "recipe.yaml").write_text(json.dumps(data, ensure_ascii=False), "utf-8")
    return folder / "recipe.yaml"


@pytest.mark.slow
def test_the_page_follows_a_run_and_searches_its_rejects(browser: Any, tmp_path: Path) -> None:  # noqa: F811
    from selenium.webdriver.common.by import By
    from selenium.webdriver.support.ui import Select, WebDriverWait

    process = subprocess.Popen([sys.executable, "-m", "raylib", "run", str(recipe_file(tmp_path, 6000)), "-q"], stdout=subprocess.DEVNULL)  # fmt: skip
    while not (tmp_path / "out" / "manifest.jsonl").is_file():
        assert process.poll() is None
        time.sleep(0.02)
    with served(tmp_path / "out") as address:
        browser.set_window_size(1200, 1400)
        browser.get(address)
        wait = WebDriverWait(browser, 60)

        def card(label: str) -> int:
            for box in browser.find_elements(By.CSS_SELECTOR, ".card"):
                if box.find_element(By.TAG_NAME, "span").text.startswith(label):
                    return int(box.find_element(By.TAG_NAME, "b").text.replace(",", ""))
            return -1

        status = lambda: browser.find_element(By.ID, "status").text  # noqa: E731
        wait.until(lambda _: card("records in") > 0)
        if status() == "running":
            early = card("records in")
            assert early <= 6000 and browser.find_elements(By.CSS_SELECTOR, "#funnel tr")
        process.wait(120)
        wait.until(lambda _: status() == "finished")
        assert (card("records in"), card("kept"), card("rejected")) == (6000, 4500, 1500)
        stages = [r.text.split()[0] for r in browser.find_elements(By.CSS_SELECTOR, "#funnel tr")]
        assert stages == ["normalise_characters", "collapse_newlines", "length", "exact_dedup"]
        browser.find_element(By.ID, "query").send_keys("短8<IMG")
        wait.until(lambda _: len(browser.find_elements(By.CSS_SELECTOR, ".record")) == 1)
        (record,) = browser.find_elements(By.CSS_SELECTOR, ".record")
        assert "length/too_short_or_long" in record.text and "onerror" in record.text, "shown as text"
        assert record.find_element(By.TAG_NAME, "mark").text.lower() == "短8<img" and not record.find_elements(By.TAG_NAME, "img")  # fmt: skip
        assert browser.title != "owned"
        Select(browser.find_element(By.ID, "key")).select_by_value("length/too_short_or_long")
        browser.find_element(By.ID, "query").clear()
        browser.find_element(By.ID, "query").send_keys("短")
        marks = lambda: browser.find_elements(By.CSS_SELECTOR, ".record mark")  # noqa: E731
        wait.until(lambda _: len(browser.find_elements(By.CSS_SELECTOR, ".record")) == len(marks()) == 50)
        browser.find_element(By.ID, "more").click()
        wait.until(lambda _: len(browser.find_elements(By.CSS_SELECTOR, ".record")) == 100)
        assert browser.find_element(By.ID, "report").get_attribute("href").endswith("/report")
        assert not [e for e in browser.get_log("browser") if e["level"] == "SEVERE" and "favicon" not in e["message"]]
        browser.get(address + "report")
        assert "Funnel by stage" in browser.page_source


def test_every_reject_is_found_once_whatever_the_pages(tmp_path: Path) -> None:
    run(Recipe.from_file(recipe_file(tmp_path, 400)))
    view = RunView(str(tmp_path / "out"))
    for limit in (7, 50, 500):
        found: list[str] = []
        cursor = ""
        while True:
            answer = view.rejects(key="length", cursor=cursor, limit=limit)
            found += [r["id"] for r in answer["records"]]
            cursor = answer["cursor"]
            if not cursor:
                break
        assert sorted(found) == sorted(f"d{i}" for i in range(0, 400, 4))
    assert [r["id"] for r in view.rejects(query="短36")["records"]] == ["d36", "d360", "d364", "d368"][:4]
    assert view.rejects(query="这里没有")["records"] == []
    state = view.state()
    assert state["status"] == "finished" and dict(state["reasons"])["length/too_short_or_long"] == 100
    (tmp_path / "out" / "summary.json").unlink()
    running = RunView(str(tmp_path / "out")).state()
    assert running["status"] == "running"
    for key in ("records_in", "records_kept", "records_rejected", "bytes_done"):
        assert running[key] == state[key], key
    assert {s["name"]: (s["in"], s["rejected"]) for s in running["stages"]} == {s["name"]: (s["in"], s["rejected"]) for s in state["stages"]}  # fmt: skip


def test_who_gets_an_answer(tmp_path: Path) -> None:
    run(Recipe.from_file(recipe_file(tmp_path, 40)))
    with served(tmp_path / "out") as address:
        assert json.loads(get(address + "api/state"))["status"] == "finished"
        with pytest.raises(urllib.error.HTTPError, match="403"):
            get(address + "api/state", Host="evil.example")  # another site's name that leads here
        for wrong in ("cursor=../../etc", "cursor=1:2:3", "limit=0", "limit=99999"):
            with pytest.raises(urllib.error.HTTPError, match="400"):
                get(f"{address}api/rejects?{wrong}")
        for other in ("api/../../etc/passwd", "in.jsonl", "manifest.jsonl", "%2e%2e/in.jsonl"):
            with pytest.raises(urllib.error.HTTPError, match="404"):
                get(address + other)
        with urllib.request.urlopen(address) as answer:
            policy = answer.headers["Content-Security-Policy"]
        assert "default-src 'none'" in policy and "unsafe" not in policy
    with served(tmp_path / "out", host="0.0.0.0") as address:
        base, _, token = address.partition("?token=")
        assert len(token) >= 32
        for asked in (base, base + "api/state", base + "api/state?token=wrong", base + "report"):
            with pytest.raises(urllib.error.HTTPError, match="401"):
                get(asked)
        assert json.loads(get(base + "api/state", Authorization=f"Bearer {token}"))["records_in"] == 40
        opener = urllib.request.build_opener(urllib.request.HTTPCookieProcessor())
        with opener.open(address) as answer:
            assert "token" not in answer.url, "the token leaves the address bar"
    assert [is_loopback(h) for h in ("localhost", "127.0.0.9", "::1", "0.0.0.0", "10.0.0.1", "localhost.evil.example")] == [True, True, True, False, False, False]  # fmt: skip
    nothing = CliRunner().invoke(app, ["ui", str(tmp_path)])
    assert "holds no run of raylib" in str(nothing.exception)


def test_a_training_run_has_a_page_too(tmp_path: Path) -> None:
    lines = [{"step": i, "loss": 3 - i / 10, "tgs": 5.0, "lr": 1e-3, "tokens": i, "grad_norm": 1.0} for i in range(1, 6)]  # fmt: skip
    (tmp_path / "metrics.jsonl").write_bytes(b"".join(orjson.dumps(x) + b"\n" for x in [*lines, {"step": 5, "eval/loss": 2.6}]) + b'{"cut')  # fmt: skip
    view = RunView(str(tmp_path))
    state = view.state()
    assert state["kind"] == "training" and len(state["loss"]) == 5 and state["evaluation"] == [(5, 2.6)]
    with (tmp_path / "metrics.jsonl").open("ab") as stream:
        stream.truncate(stream.tell() - 5)
        stream.write(orjson.dumps({"step": 6, "loss": 2.0}) + b"\n")
    state = view.state()
    assert state["last"]["step"] == 6 and state["status"] == "running" and time.time() - state["changed"] < 60
    with (tmp_path / "metrics.jsonl").open("ab") as stream:  # resumed at step 5, then a second phase
        for line in ({"step": 6, "total_step": 6, "loss": 1.9}, {"step": 1, "total_step": 7, "loss": 1.8}, {"step": 1, "total_step": 7, "eval/loss": 1.7}):  # fmt: skip
            stream.write(orjson.dumps(line) + b"\n")
    state = view.state()
    assert state["loss"][-2:] == [(6, 1.9), (7, 1.8)] and state["evaluation"] == [(5, 2.6), (7, 1.7)]
    for finished, status in ((True, "finished"), (False, "stopped")):
        (tmp_path / "result.json").write_bytes(orjson.dumps({"finished": finished}))
        assert view.state()["status"] == status
    (tmp_path / "metrics.jsonl").write_bytes(orjson.dumps({"step": 1, "total_step": 1, "loss": 4.0}) + b"\n")
    assert view.state()["loss"] == [(1, 4.0)], "a folder that was begun anew"
