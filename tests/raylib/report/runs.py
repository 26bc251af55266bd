"""Runs that the tests of the report look at, and `raylib ui` as a user starts it."""

from __future__ import annotations

import json
import subprocess
import sys
import time
import urllib.error
import urllib.request
from collections.abc import Iterator, Mapping
from contextlib import AbstractContextManager, contextmanager
from pathlib import Path
from typing import Any

import orjson

from raylib.recipe import Recipe
from tests.ports import free_port
from tests.texts import ARTICLE

__all__ = ["HOSTILE", "append_metrics", "get", "recipe_file", "served"]


HOSTILE = "<img src=x onerror=\"document.title='owned'\"><script>document.title='owned'</script>"


def recipe_file(folder: Path, count: int) -> Path:
    """A recipe over `count` documents, of which every fourth is too short; one of these contains HTML."""
    rows = [
        {"id": f"d{i}", "text": f"{ARTICLE}{i}" if i % 4 else f"短{i}{HOSTILE if i == 8 else ''}"} for i in range(count)
    ]
    (folder / "in.jsonl").write_bytes(b"".join(orjson.dumps(r) + b"\n" for r in rows))
    data = {
        "name": "页面",
        "input": {"path": str(folder / "in.jsonl")},
        "output": {"path": str(folder / "out")},
        "engine": {"mode": "inline", "batch_mb": 0.1},
        "stages": ["normalise_characters", "collapse_newlines", {"length": {"min": 150}}, "exact_dedup"],
    }
    Recipe.from_dict(data)
    (folder / "recipe.yaml").write_text(json.dumps(data, ensure_ascii=False), "utf-8")
    return folder / "recipe.yaml"


def append_metrics(folder: Path, *lines: Mapping[str, object]) -> None:
    """Write lines as a training run does."""
    with (folder / "metrics.jsonl").open("ab") as stream:
        for line in lines:
            stream.write(orjson.dumps(line) + b"\n")


def served(out: Path, *more: str, host: str = "127.0.0.1", token: bool = False) -> AbstractContextManager[str]:
    """Start `raylib ui`, by default without a token, and give the address that it prints."""
    return serving("ui", str(out), "--host", host, *([] if token else ["--no-token"]), *more)


@contextmanager
def serving(*arguments: str) -> Iterator[str]:
    """Start a command of raylib that serves a page, and give the address that it prints."""
    command = [sys.executable, "-m", "raylib", *arguments, "--port", str(free_port())]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as process:
        try:
            assert process.stdout is not None
            address = next(line.strip() for line in process.stdout if line.startswith("http"))
            address = address.replace("0.0.0.0", "127.0.0.1")
            _wait_for(address)
            yield address
        finally:
            process.kill()


def _wait_for(address: str) -> None:
    deadline = time.monotonic() + 120
    while not _answers(address):
        assert time.monotonic() < deadline
        time.sleep(0.05)


def _answers(address: str) -> bool:
    try:
        get(address)
    except urllib.error.HTTPError:
        return True  # an answer, if not the page
    except OSError:
        return False
    return True


def get(address: str, **headers: str) -> Any:
    """The text of an answer."""
    with urllib.request.urlopen(urllib.request.Request(address, headers=headers), timeout=20) as answer:
        return answer.read().decode()
