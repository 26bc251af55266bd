"""Every fenced command of the documentation, typed in order by an ordinary user in a fresh copy of the project."""

from __future__ import annotations

import json
import os
import pwd
import re
import shutil
import subprocess
import sys
import urllib.request
import zlib
from collections.abc import Iterator
from contextlib import nullcontext
from pathlib import Path

import pytest
from moto import server as moto

from quality.scores.rubrics import RUBRICS
from tests.docs.machines import fill_in, folder_for_all, missing, two_machines
from tests.docs.pages import Block, blocks_of, commands_of, meaning, unmade_files
from tests.docs.reader import ACCOUNT, BrokenDocumentError, Reader, copy_of_the_project
from tests.house import ROOT
from tests.ports import free_port
from tests.training.inference.chat_server import ChatServer

PAGES = ("README.md", "docs/guide.md", "docs/cookbook.md", "docs/chat.md")
SPARE = "raylib-reader"  # where a person of this machine has that name
OURS = "reads the documentation of raylib"  # what tells an account of these tests from a person's
# What cannot run on a machine of the tests, and why. Each entry has to be a command of a page.
REFUSED = {
    "make test": "this test is part of it",
    "hf download Qwen/Qwen2.5-0.5B --local-dir models/base": "downloads a model; the toy takes its place",
    "raylib train recipes/training/pretrain.yaml --set name=pretrain-1": "needs eight GPUs",
}
JOBS = ("raylib status", "raylib logs", "raylib stop")
pytestmark = [pytest.mark.long, pytest.mark.slow, pytest.mark.cluster]


def end_all_of(account: str) -> None:
    """Kill every process of a user, on this machine and on those that ssh reaches."""
    subprocess.run(["pkill", "-KILL", "-u", account], check=False)


def comment_of(account: str) -> str | None:
    """What the system says of an account; None if there is none."""
    return next((entry.pw_gecos for entry in pwd.getpwall() if entry.pw_name == account), None)


def remove(account: str) -> None:
    """Remove an account, its processes and its home."""
    end_all_of(account)
    subprocess.run(["userdel", "--remove", "--force", account], check=False, capture_output=True)


@pytest.fixture(scope="module")
def account() -> Iterator[str]:
    """Name of a user without rights; empty where the tests themselves run as one."""
    if os.geteuid() != 0:
        yield ""
        return
    for left in (ACCOUNT, SPARE):  # by tests that were killed
        if comment_of(left) == OURS:
            remove(left)
    name = ACCOUNT if comment_of(ACCOUNT) is None else SPARE
    # no password opens it; sshd takes one that is not set for a locked account
    settings = ["--create-home", "--shell", "/bin/bash", "--password", "*", "--comment", OURS]
    subprocess.run(["useradd", *settings, name], check=True)
    yield name
    remove(name)


@pytest.fixture(scope="module")
def folder(account: str, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Where the reader's copy of the project is; its environment is installed once and stays for every page."""
    home = Path(pwd.getpwnam(account).pw_dir) if account else tmp_path_factory.mktemp("home")
    (home / "checkout").mkdir()
    return home / "checkout"


def renew(folder: Path, account: str, *, machines: bool) -> None:
    """Make the copy a fresh one again, but for the environment, and end what an earlier page left running."""
    if account:
        end_all_of(account)
    for old in folder.iterdir():
        if old.name != ".venv":
            shutil.rmtree(old) if old.is_dir() else old.unlink()
    copy_of_the_project(folder)
    if (folder / ".venv" / ".installed").exists():  # make would install again, because the copy is newer
        (folder / ".venv" / ".installed").touch()
    if account:
        new = [str(path) for path in folder.iterdir() if path.name != ".venv"]
        subprocess.run(["chown", f"{account}:", str(folder)], check=True)
        subprocess.run(["chown", "-R", f"{account}:", *new], check=True)
    if machines:
        fill_in(folder, account)


@pytest.fixture(scope="module")
def machines(account: str, tmp_path_factory: pytest.TempPathFactory) -> Iterator[bool]:
    """Whether the reader has two machines that ssh reaches."""
    there = not missing()
    with two_machines(account, tmp_path_factory.mktemp("machines")) if there else nullcontext():
        yield there


def verdict(prompt: str) -> str:
    """What a judge says: the form that it is asked for, and a score that depends on the answer."""

    def score(text: str, most: int) -> int:
        return zlib.crc32(text.encode()) % most + 1

    both = re.split(r"\[(?:助手一|助手二|Assistant one|Assistant two)\]\n", prompt)[1:]
    if both:
        return " ".join(str(score(answer.strip(), 10)) for answer in both)
    names = {name for rubric in RUBRICS.values() for name in rubric.criteria}
    return json.dumps(dict.fromkeys(names, score(prompt, 5)) | {"reason": "可以"}, ensure_ascii=False)


@pytest.fixture
def judge() -> Iterator[ChatServer]:
    """The endpoint of a judge."""
    server = ChatServer()
    server.reply = verdict
    yield server
    server.close()


@pytest.fixture(scope="module")
def buckets() -> Iterator[dict[str, str]]:
    """Variables that lead to a store with the buckets of the pages; `raw` holds some."""
    server = moto.ThreadedMotoServer(ip_address="127.0.0.1", port=free_port(), verbose=False)
    server.start()
    address = "http://{}:{}".format(*server.get_host_and_port())
    pages = (ROOT / "examples" / "data" / "pages.jsonl").read_bytes()
    for path, body in (("raw", b""), ("clean", b""), ("raw/pages/pages.jsonl", pages)):
        request = urllib.request.Request(
            f"{address}/{path}", data=body, headers={"Content-Type": "application/json"}, method="PUT"
        )
        urllib.request.urlopen(request, timeout=30).close()
    yield {"AWS_ENDPOINT_URL": address, "AWS_ACCESS_KEY_ID": "reader", "AWS_SECRET_ACCESS_KEY": "secret"}
    server.stop()


@pytest.mark.parametrize("page", PAGES)
def test_every_command_works_as_it_stands(
    page: str,
    folder: Path,
    account: str,
    machines: bool,
    judge: ChatServer,
    buckets: dict[str, str],
    tmp_path: Path,
) -> None:
    renew(folder, account, machines=machines)
    reader = Reader(
        folder,
        account,
        folder_for_all(tmp_path / "ray") if machines else None,
        terminal=page == "README.md",
        environment={"OPENAI_BASE_URL": judge.url, "OPENAI_API_KEY": "a key", **buckets},
        refused=REFUSED if machines else REFUSED | dict.fromkeys(_over_ssh(page), missing()),
    )
    try:
        for block in blocks_of(page):
            reader.follow(block)
        reader.close()
    finally:
        reader.leave()
        seconds = "\n".join(f"{seconds:6.1f} {command}" for command, seconds in reader.typed.items())
        sys.stderr.write(f"\n{page}\n{seconds}\n")  # pytest shows it if the page is broken


def _over_ssh(page: str) -> list[str]:
    """The commands of a page that need machines, which are those from the first that starts a cluster on."""
    commands = [c for block in blocks_of(page) if block.language == "sh" for c in commands_of(block)]
    first = next((i for i, c in enumerate(commands) if c.startswith(("ray up", "ray submit"))), len(commands))
    return [c for c in commands[first:] if c.startswith(("ray ", "raylib dashboard", "raylib submit", *JOBS))]


def test_what_cannot_run_is_a_command_of_a_page() -> None:
    every = {c for page in PAGES for block in blocks_of(page) if block.language == "sh" for c in commands_of(block)}
    assert set(REFUSED) - every == set()


@pytest.mark.parametrize("page", [*PAGES, "docs/one_gpu.md"])
def test_a_page_makes_what_it_reads(page: str) -> None:
    assert unmade_files(page) == []


def test_a_file_that_nothing_makes_is_told() -> None:
    text = (
        "```sh\nraylib dedup data -o out/near\nraylib diff out/near\nraylib tokenize out/far/kept -o tokens/far\n```\n"
    )
    assert unmade_files("page.md", text) == ["page.md:1: out/far/kept"]


def test_the_chinese_page_has_the_same_commands() -> None:
    ours = [meaning(b) for b in blocks_of("README.md")]
    assert [meaning(b) for b in blocks_of("README.zh.md")] == ours


BROKEN = [
    ("raylib rules --nmae length", "exit code 2\n"),
    ("raylib rules no_such_rule", "exit code 1\n"),
    ("python -c 'import no_such_module' || true", "shows a traceback"),
    ("echo '400 records in = 0 kept'", "keeps nothing"),
    ("echo done -o out/somewhere", "out/somewhere is not there"),
    ("raylib ui out/nothing", "serves nothing"),
]


@pytest.mark.parametrize(("command", "told"), BROKEN)
def test_a_broken_command_is_told(command: str, told: str, tmp_path: Path) -> None:
    reader = Reader(
        tmp_path,
        environment={"PATH": f"{Path(sys.executable).parent}:{os.environ['PATH']}"},
        terminal=command.startswith("raylib rules"),
    )
    with pytest.raises(BrokenDocumentError, match=told) as caught:
        reader.follow(Block("page.md", 7, "sh", command + "\n"))
    assert "page.md:7" in str(caught.value)
