"""A reader of the documentation: an ordinary user with a fresh copy of the project, who types what stands there."""

from __future__ import annotations

import fcntl
import itertools
import os
import pty
import pwd
import re
import shlex
import shutil
import signal
import struct
import subprocess
import termios
import time
import urllib.error
import urllib.request
from dataclasses import dataclass, field
from pathlib import Path

from tests.docs.machines import as_user
from tests.docs.pages import Block, commands_of
from tests.house import ROOT

__all__ = ["ACCOUNT", "BrokenDocumentError", "Reader", "copy_of_the_project"]

# commands that change the shell in which the next ones are typed
STATE = re.compile(r"(\.|source|export|cd) ")
# commands that serve a page until Ctrl-C, and how one knows that they do
SERVES = re.compile(r"raylib (ui|dashboard) ")
STAYS = re.compile(r"raylib dashboard ")  # other commands of the page need it
ADDRESS = re.compile(r"http://[\w.]+:\d+\S*")
ACCOUNT = "ubuntu"  # the user of cluster.yaml
HOME = f"/home/{ACCOUNT}"  # where the pages say that this user lives
SECONDS = 1800  # that a command may take on a busy machine


class BrokenDocumentError(AssertionError):
    """A documented command that does not do what the page says."""


def copy_of_the_project(place: Path) -> None:
    """What a fresh clone holds: the files that git knows or would take, and none that it ignores."""
    for name in _files_of_git() if (ROOT / ".git").exists() else _files_without_git():
        if (ROOT / name).is_file():
            (place / name).parent.mkdir(parents=True, exist_ok=True)
            shutil.copy(ROOT / name, place / name)


def _files_of_git() -> list[str]:
    listed = ["git", "-c", f"safe.directory={ROOT}", "ls-files", "-co", "--exclude-standard", "-z"]
    return subprocess.run(listed, cwd=ROOT, capture_output=True, check=True, text=True).stdout.split("\0")[:-1]


def _files_without_git() -> list[str]:
    """Of an unpacked archive: all but what `make` and Python leave."""
    names = [path.relative_to(ROOT) for path in ROOT.rglob("*")]
    left = ("__pycache__", "out", ".mypy_cache", ".ruff_cache", ".pytest_cache", ".hypothesis")
    return [str(n) for n in names if not n.parts[0].startswith(".venv") and not set(n.parts) & set(left)]


def _window(columns: int) -> tuple[int, int]:
    outer, inner = pty.openpty()
    fcntl.ioctl(inner, termios.TIOCSWINSZ, struct.pack("HHHH", 24, columns, 0, 0))
    return outer, inner


@dataclass
class Reader:
    """Types commands in a folder, in a terminal of 80 columns or without one.

    Attributes:
        folder: Root of the reader's copy of the project.
        user: Name of the account; empty for the one that runs the tests.
        ray: Folder that stands for the user's /tmp/ray; without it, the one that other tests left as another account.
        terminal: Whether commands have a terminal.
        environment: Variables that the page tells the reader to set.
        refused: Reasons for commands that cannot run here, by command.
        typed: Seconds that each command took.
    """

    folder: Path
    user: str = ""
    ray: Path | None = None
    terminal: bool = False
    environment: dict[str, str] = field(default_factory=dict)
    refused: dict[str, str] = field(default_factory=dict)
    typed: dict[str, float] = field(default_factory=dict)
    _before: list[str] = field(default_factory=list)
    _open: list[tuple[subprocess.Popen[bytes], int]] = field(default_factory=list)

    def follow(self, block: Block) -> None:
        """Do what a block asks for.

        Raises:
            BrokenDocumentError: If a command fails, shows a traceback, keeps nothing, or leaves out what it names.
        """
        if block.language == "sh":
            for command in commands_of(block):
                if command not in self.refused:
                    self.type(command, block.where)
        elif block.language == "yaml" and block.file:
            (self.folder / block.file).write_text(block.text, "utf-8")
            self._own(self.folder / block.file)
        elif block.language == "python":
            (self.folder / ".typed.py").write_text(block.text, "utf-8")
            self.type("python - < .typed.py", block.where)

    def type(self, command: str, where: str) -> str:
        """Type one command and check what comes of it."""
        if SERVES.match(command):
            return self._serve(command, where)
        started = time.monotonic()
        process, outer = self._start(command)
        said = self._read(process, outer)
        self.typed[command] = time.monotonic() - started
        if process.returncode != 0:
            raise BrokenDocumentError(f"{where}: {command}\nexit code {process.returncode}\n{said[-4000:]}")
        if STATE.match(command):
            self._before.append(command)
        self._check(command, where, said)
        return said

    def _check(self, command: str, where: str, said: str) -> None:
        if "Traceback (most recent call last)" in said:
            raise BrokenDocumentError(f"{where}: {command}\nshows a traceback\n{said[-4000:]}")
        if re.search(r"records in = 0 kept", said):
            raise BrokenDocumentError(f"{where}: {command}\nkeeps nothing\n{said[-4000:]}")
        words = shlex.split(command)
        if "--no-wait" in words:  # what the job makes is not there yet
            return
        named = [value for option, value in itertools.pairwise(words) if option in {"-o", "--out"}]
        named += [word.split("=", 1)[1] for word in words if word.startswith("output.path=")]
        for path in named:
            if "://" not in path and not (self.folder / path).exists():
                raise BrokenDocumentError(f"{where}: {command}\n{path} is not there\n{said[-4000:]}")

    def _start(self, command: str) -> tuple[subprocess.Popen[bytes], int]:
        account = pwd.getpwnam(self.user) if self.user else pwd.getpwuid(os.getuid())
        environment = {
            "HOME": account.pw_dir,
            "USER": account.pw_name,
            "LANG": "C.UTF-8",
            "TERM": "xterm" if self.terminal else "dumb",
            "PATH": "/usr/local/bin:/usr/bin:/bin",
            "COLUMNS": "80",
            "RAY_worker_niceness": "0",  # workers of Ray step back behind everything else, here behind other tests
            **{name: value for name, value in os.environ.items() if name.startswith("PIP_")},
            **self.environment,
        }
        outer, inner = _window(80) if self.terminal else os.pipe()
        own = as_user(self.user, self.ray) if self.user else []
        try:
            process = subprocess.Popen(
                [*own, "bash", "-c", "\n".join([*self._before, command]).replace(f"{HOME}/", f"{account.pw_dir}/")],
                cwd=self.folder,
                env=environment,
                stdin=inner if self.terminal else subprocess.DEVNULL,
                stdout=inner,
                stderr=inner,
                start_new_session=True,
            )
        finally:
            os.close(inner)
        return process, outer

    @staticmethod
    def _read(process: subprocess.Popen[bytes], outer: int, until: re.Pattern[str] | None = None) -> str:
        """Everything that a command prints, or what it prints until a pattern appears."""
        said, ends = b"", time.monotonic() + SECONDS
        os.set_blocking(outer, False)
        while True:
            try:
                more = os.read(outer, 65536)
            except BlockingIOError:
                more = b""
                if process.poll() is not None:
                    break
                time.sleep(0.05)
            except OSError:  # what a terminal says when its last process has gone
                break
            else:
                if not more:
                    break
            said += more
            text = said.decode("utf-8", "replace")
            if until and until.search(text):
                return text
            if time.monotonic() > ends:
                os.killpg(process.pid, signal.SIGKILL)
                raise BrokenDocumentError(f"took longer than {SECONDS} s: {text[-2000:]}")
        os.close(outer)
        process.wait(timeout=60)
        return said.decode("utf-8", "replace")

    def _serve(self, command: str, where: str) -> str:
        process, outer = self._start(command)
        said = self._read(process, outer, ADDRESS)
        found = ADDRESS.search(said)
        if not found or process.poll() is not None:
            raise BrokenDocumentError(f"{where}: {command}\nserves nothing\n{said[-4000:]}")
        try:
            urllib.request.urlopen(found[0], timeout=30).close()
        except urllib.error.HTTPError as error:  # a dashboard that asks for its token
            if error.code not in {401, 403}:
                raise
        self._check(command, where, said)
        if STAYS.match(command):
            self._open.append((process, outer))
        else:
            self._interrupt(process, outer, f"{where}: {command}")
        return said

    def close(self) -> None:
        """Press Ctrl-C in every terminal that is still open."""
        while self._open:
            self._interrupt(*self._open.pop(), "at the end of the page")

    def leave(self) -> None:
        """End what is still open, after a command that failed."""
        while self._open:
            process, outer = self._open.pop()
            os.killpg(process.pid, signal.SIGKILL)
            process.wait()
            os.close(outer)

    def _interrupt(self, process: subprocess.Popen[bytes], outer: int, what: str) -> None:
        os.killpg(process.pid, signal.SIGINT)
        said = self._read(process, outer)
        if process.returncode not in {0, 130} or "Traceback" in said:
            raise BrokenDocumentError(f"{what}\nexit code {process.returncode} at Ctrl-C\n{said[-4000:]}")

    def _own(self, path: Path) -> None:
        if self.user:
            account = pwd.getpwnam(self.user)
            os.chown(path, account.pw_uid, account.pw_gid)
