"""The pictures of the documentation, made anew by real runs over the bundled samples: `python docs/make_pictures.py`.

Needs the extra `test` (selenium) and Chromium with its driver.
"""

from __future__ import annotations

import contextlib
import shutil
import socket
import subprocess
import sys
import tempfile
import time
import urllib.request
from collections.abc import Iterator
from pathlib import Path
from typing import Any

ROOT = Path(__file__).resolve().parent.parent
PICTURES = ROOT / "docs" / "pictures"
RAYLIB = [sys.executable, "-m", "raylib"]


@contextlib.contextmanager
def browser(folder: Path) -> Iterator[Any]:
    from selenium import webdriver
    from selenium.webdriver.chrome.service import Service

    options = webdriver.ChromeOptions()
    flags = (
        "--headless=new",
        "--no-sandbox",
        "--disable-gpu",
        "--hide-scrollbars",
        "--disable-background-networking",
        "--no-first-run",
        f"--user-data-dir={folder}",
    )
    for flag in flags:
        options.add_argument(flag)
    driver = webdriver.Chrome(options=options, service=Service(shutil.which("chromedriver") or "chromedriver"))
    try:
        yield driver
    finally:
        driver.quit()


@contextlib.contextmanager
def served(run: Path) -> Iterator[str]:
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    process = subprocess.Popen([*RAYLIB, "ui", str(run), "--port", str(port)], cwd=ROOT, stdout=subprocess.DEVNULL)
    address = f"http://127.0.0.1:{port}/"
    try:
        for _ in range(200):
            with contextlib.suppress(OSError), urllib.request.urlopen(address, timeout=5):
                break
            time.sleep(0.1)
        yield address
    finally:
        process.kill()
        process.wait()


def shoot(driver: Any, address: str, name: str, height: int, script: str = "") -> None:
    driver.set_window_size(1200, height)
    driver.get(address)
    time.sleep(2)
    if script:
        driver.execute_script(script)
        time.sleep(2)
    driver.save_screenshot(str(PICTURES / f"{name}.png"))
    print(PICTURES / f"{name}.png")


def main() -> None:
    PICTURES.mkdir(exist_ok=True)
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)

        def raylib(*arguments: str) -> None:
            subprocess.run([*RAYLIB, *arguments], cwd=ROOT, check=True)

        raylib("run", "examples/demo.yaml", "--set", f"output.path={folder}/demo", "--set", "engine.batch_mb=0.03")
        chosen = folder / "select.yaml"
        chosen.write_text(
            f"input: {{path: examples/instructions, kind: conversation}}\noutput: {{path: {folder}/best}}\nstages:\n  -"
            " difficulty_features\n  - embed\n  - select: {k: 120, by: difficulty, method: quota}\n"
        )
        raylib("run", str(chosen))
        raylib(
            "report",
            "diversity",
            "examples/instructions",
            str(folder / "best"),
            "-o",
            str(folder / "diversity"),
            "--perplexity",
            "20",
        )
        subprocess.run(
            [
                sys.executable,
                "examples/end_to_end/run.py",
                "--out",
                str(folder / "journey"),
                "--scale",
                "0.5",
                "--width",
                "128",
            ],
            cwd=ROOT,
            check=True,
        )
        shutil.copy(folder / "diversity" / "diversity.png", PICTURES / "diversity.png")
        with browser(folder / "browser") as driver:
            with served(folder / "demo") as address:
                shoot(driver, address, "ui", 1000)
            with served(folder / "journey" / "runs" / "pretrain") as address:
                shoot(driver, address, "training", 700)
            shoot(driver, (folder / "demo" / "report.html").as_uri(), "report", 1000)


if __name__ == "__main__":
    main()
