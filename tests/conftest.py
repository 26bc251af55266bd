"""Shared fixtures: the place of real data, small inputs, and one local Ray cluster for all cluster tests."""

from __future__ import annotations

import os
import shutil
import signal
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import orjson
import pytest
from hypothesis import HealthCheck, settings

# What a script starts in the background ignores Ctrl-C, and so would all processes to which tests send it.
if signal.getsignal(signal.SIGINT) is signal.SIG_IGN:
    signal.signal(signal.SIGINT, signal.default_int_handler)

# Property tests judge what a function does, never how long a busy machine takes for it.
settings.register_profile("no clock", deadline=None, suppress_health_check=[HealthCheck.too_slow])
settings.load_profile("no clock")


@pytest.fixture(scope="session")
def real_data() -> Path:
    """The folder of real data sets; tests that use it are marked `data`."""
    place = os.environ.get("RAYLIB_TEST_DATA", "")
    if not place or not Path(place).is_dir():
        pytest.skip("RAYLIB_TEST_DATA is not set")
    return Path(place)


@pytest.fixture
def write_jsonl(tmp_path: Path) -> Callable[..., Path]:
    def write(rows: list[Any], name: str = "in.jsonl") -> Path:
        path = tmp_path / name
        path.write_bytes(b"".join((r if isinstance(r, bytes) else orjson.dumps(r)) + b"\n" for r in rows))
        return path

    return write


@pytest.fixture(scope="session")
def tiny_model(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A tokenizer and a tiny LLaMA, trained on the spot and saved as any user's model would be."""
    from examples.tiny_model import build
    from tests.texts import ARTICLE, CLASSICAL, CODE, ENGLISH, POEM, conversations

    texts = [ARTICLE, ENGLISH, CLASSICAL, POEM, CODE]
    texts += [
        f"user\n{c['messages'][0]['content']}\nassistant\n{c['messages'][1]['content']}\n</s>"
        for c in conversations(60)
    ]
    out = tmp_path_factory.mktemp("tiny") / "model"
    return build(texts * 3, out, vocabulary=600, layers=2, width=64, length=64, batch=8, steps=60, seconds=60)


@pytest.fixture(scope="session")
def ray_until_the_end() -> Iterator[None]:
    """Shuts down the cluster that tests share."""
    yield
    import psutil
    import ray

    started = [child for child in psutil.Process().children() if child.status() != psutil.STATUS_ZOMBIE]
    started = [child for child in started if "ray" in " ".join(child.cmdline())]
    ray.shutdown()
    psutil.wait_procs(started, timeout=60)  # Ray does not wait for the end of what it has started


@pytest.fixture
def ray_cluster(ray_until_the_end: None) -> None:
    """A real local cluster, shared by the tests that do not kill it; started again after one of them that did."""
    import ray

    for attempt in range(3):
        if ray.is_initialized():
            break
        try:
            ray.init("local", num_cpus=2, include_dashboard=False, log_to_driver=False, object_store_memory=512 << 20)
        except Exception as error:
            if attempt == 2 or "timed out during startup" not in str(error):  # of a machine that is busy
                raise
            ray.shutdown()


@pytest.fixture(scope="module")
def browser(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Any]:
    """A headless Chromium that can reach this machine only."""
    chromium, driver_path = shutil.which("chromium"), shutil.which("chromedriver")
    if not (chromium and driver_path):
        pytest.skip("chromium and chromedriver are not installed on this machine")
    from selenium import webdriver
    from selenium.webdriver.chrome.service import Service

    options = webdriver.ChromeOptions()
    options.binary_location = chromium
    for flag in (
        "--headless=new",
        "--no-sandbox",
        "--disable-gpu",
        "--disable-quic",
        "--no-first-run",
        "--window-size=1280,1600",
        "--disable-background-networking",
        "--disable-component-update",
        "--disable-sync",
        "--host-resolver-rules=MAP * ~NOTFOUND, EXCLUDE 127.0.0.1",
        f"--user-data-dir={tmp_path_factory.mktemp('chromium')}",
    ):
        options.add_argument(flag)
    options.set_capability("goog:loggingPrefs", {"browser": "ALL"})
    driver = webdriver.Chrome(options=options, service=Service(driver_path))
    yield driver
    driver.quit()
