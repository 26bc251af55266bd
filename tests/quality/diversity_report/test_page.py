"""The diversity report in a real headless browser: offline, hover shows the text, colours switch, zoom is linked."""

from __future__ import annotations

import json
import struct
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from typer.testing import CliRunner

from raylib.cli import app
from tests.raylib.report.hostile import ALL, EVIL, check
from tests.texts import conversations

Write = Callable[..., Path]
pytestmark = pytest.mark.slow  # all look at one report, which takes half a minute to draw

_FIND = """
const deep = (root, out) => {
  for (const e of root.querySelectorAll('*')) { out.push(e); if (e.shadowRoot) deep(e.shadowRoot, out) }
  return out
};
const all = deep(document, []);
"""


@pytest.fixture(scope="module")
def report(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("diversity")
    sets = {"before": conversations(300), "after": [c for c in conversations(300) if c["source"] != "茶"][:120]}
    for name, rows in sets.items():
        (folder / f"{name}.jsonl").write_text("".join(json.dumps(r, ensure_ascii=False) + "\n" for r in rows), "utf-8")
    done = CliRunner().invoke(
        app,
        [
            "report",
            "diversity",
            str(folder / "before.jsonl"),
            str(folder / "after.jsonl"),
            "-o",
            str(folder / "out"),
            "--perplexity",
            "20",
        ],
    )
    assert done.exit_code == 0, done.output
    return folder / "out"


def test_files(report: Path) -> None:
    facts = json.loads((report / "diversity.json").read_text())
    before, after = facts["metrics"]["before.jsonl"], facts["metrics"]["after.jsonl"]
    assert (before["total"], after["total"]) == (300, 120)
    assert before["records"] == after["records"] == 120, "compared at the same size"
    assert before["cluster_entropy"] > after["cluster_entropy"], "a whole subject is missing"
    header = (report / "diversity.png").read_bytes()[:24]
    width, height = struct.unpack(">II", header[16:24])
    assert header[:4] == b"\x89PNG"
    assert width > height > 600
    page = (report / "diversity.html").read_text("utf-8")
    assert "<script src" not in page
    assert "<link" not in page


def test_hover_colours_and_zoom_work_offline(report: Path, browser: Any) -> None:
    from selenium.webdriver.common.action_chains import ActionChains
    from selenium.webdriver.common.actions.wheel_input import ScrollOrigin
    from selenium.webdriver.support.ui import WebDriverWait

    browser.set_window_size(1280, 1400)
    browser.get((report / "diversity.html").as_uri())
    wait = WebDriverWait(browser, 30)
    wait.until(
        lambda b: b.execute_script("return window.Bokeh && Bokeh.documents.length && Bokeh.documents[0].is_idle")
    )
    assert not [e for e in browser.get_log("browser") if e["level"] == "SEVERE"]

    # hover: move to where the first point of the first map is drawn
    place = browser.execute_script(
        """
        const doc = Bokeh.documents[0], plot = doc.get_model_by_name('map0');
        const source = doc.get_model_by_name('points0');
        const find = (v) => {
          if (v.model === plot) return v;
          for (const c of (v.child_views || [])) { const f = find(c); if (f) return f }
          return null
        };
        let view = null; for (const v of Object.values(Bokeh.index.roots || Bokeh.index)) { view = view || find(v) }
        const x = view.frame.x_scale.compute(source.data.x[0]), y = view.frame.y_scale.compute(source.data.y[0]);
        const box = view.el.getBoundingClientRect();
        return [box.left + x, box.top + y, source.data.text[0]];
        """
    )
    actions = ActionChains(browser)
    actions.w3c_actions.pointer_action.move_to_location(int(place[0]), int(place[1]))
    actions.perform()

    def tooltip(b: Any) -> str:
        return str(
            b.execute_script(
                _FIND
                + "return all.filter(e => e.classList.contains('bk-Tooltip') || e.tagName.includes('TOOLTIP') "
                + "|| (e.className + '').includes('tooltip'))"
                + ".map(e => e.textContent + (e.shadowRoot ? e.shadowRoot.textContent : '')).join(' ')"
            )
        )

    wait.until(lambda b: "第" in tooltip(b))
    assert any(word in tooltip(browser) for word in ("茶", "车站", "算术", "花园"))

    colours = "return Bokeh.documents[0].get_model_by_name('points0').data.colour.slice(0, 50).join()"
    first = browser.execute_script(colours)
    legend = "return Bokeh.documents[0].get_model_by_name('legend').text"
    assert "车站" in browser.execute_script(legend)
    selects = browser.execute_script(_FIND + "return all.filter(e => e.tagName === 'SELECT')")
    browser.execute_script(
        "arguments[0].value = 'cluster'; arguments[0].dispatchEvent(new Event('change'))", selects[0]
    )
    wait.until(lambda b: b.execute_script(colours) != first)
    assert "0: " in browser.execute_script(legend)

    ranges = "return ['map0', 'map1'].map(n => Bokeh.documents[0].get_model_by_name(n).x_range.start)"
    start = browser.execute_script(ranges)
    origin = ScrollOrigin.from_viewport(int(place[0]), int(place[1]))
    ActionChains(browser).scroll_from_origin(origin, 0, -300).perform()
    wait.until(lambda b: b.execute_script(ranges) != start)
    zoomed = browser.execute_script(ranges)
    assert zoomed[0] == zoomed[1], "both maps zoom together"
    assert zoomed[0] > start[0]


def test_texts_and_names_are_shown_as_text(browser: Any, tmp_path: Path) -> None:
    from selenium.webdriver.common.action_chains import ActionChains
    from selenium.webdriver.support.ui import WebDriverWait

    name = "<img src=x onerror=document.title='owned'>.jsonl"
    rows = [{"id": f"{i}{ALL}", "source": f"{i % 2}{ALL}", "text": f"第{i}条 {EVIL[i % 3]} {ALL}"} for i in range(60)]
    (tmp_path / name).write_text("".join(json.dumps(r, ensure_ascii=False) + "\n" for r in rows), "utf-8")
    out = tmp_path / "out"
    command = ["report", "diversity", str(tmp_path / name), str(tmp_path / name), "-o", str(out), "--perplexity", "5"]
    done = CliRunner().invoke(app, command)
    assert done.exit_code == 0, done.output
    page = (out / "diversity.html").read_text("utf-8")
    assert "unsafe-eval" not in page.partition("http-equiv")[2].partition(">")[0]
    browser.set_window_size(1280, 1400)
    browser.get((out / "diversity.html").as_uri())
    wait = WebDriverWait(browser, 30)
    wait.until(
        lambda b: b.execute_script("return window.Bokeh && Bokeh.documents.length && Bokeh.documents[0].is_idle")
    )
    for x in range(60, 600, 20):  # over the first map: some points show their texts
        move = ActionChains(browser)
        move.w3c_actions.pointer_action.move_to_location(x, 450)
        move.perform()
    found = browser.execute_script(
        _FIND + "return all.filter(e => ['IMG', 'IFRAME', 'BASE'].includes(e.tagName) || e.onerror || e.onload).length"
    )
    assert found == 0
    check(browser)
    assert browser.title == "Diversity report"
