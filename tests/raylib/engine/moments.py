"""Kills a run at its moments: before and after every change of the file system, and in the middle of a line.

Run as a program, it goes through all moments of one way to start a run. For each it forks, kills the child there, runs
the same command again to its end, and compares: `python -m tests.raylib.engine.moments FOLDER first|resume|fresh STEP`.
"""

from __future__ import annotations

import builtins
import os
import shutil
import signal
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import orjson

from raylib import atomic
from raylib.engine import closing, run
from raylib.recipe import Recipe
from raylib.storage import manifest
from raylib.storage.store import Store
from tests.raylib.engine.runs import content, recipe, rows

__all__ = ["MOMENTS", "Moments"]

MOMENTS = ("first", "resume", "fresh")


class Moments:
    """Counts changes of the file system in this process, and kills it at one of them.

    Args:
        last: Number of the moment at which this process is killed; 0 for none.
    """

    def __init__(self, last: int) -> None:
        self.count, self.last = 0, last

    def pass_one(self) -> None:
        """One more moment."""
        self.count += 1
        if self.count == self.last:
            os.kill(os.getpid(), signal.SIGKILL)

    def watch(self) -> None:
        """Replace what changes the file system by functions that count."""
        for name in ("replace", "fsync", "unlink", "mkdir", "rmdir", "ftruncate", "pwrite"):
            setattr(os, name, self._around(getattr(os, name)))
        for name, function in (("delete", self._around(Store.delete)), ("delete_folder", _deleted_by_one(self))):
            setattr(Store, name, function)
        vars(atomic)["open"] = vars(manifest)["open"] = self._open

    def _around(self, function: Callable[..., Any]) -> Callable[..., Any]:
        def counted(*arguments: Any, **named: Any) -> Any:
            self.pass_one()
            result = function(*arguments, **named)
            self.pass_one()
            return result

        return counted

    def _open(self, *arguments: Any, **named: Any) -> Any:
        stream = builtins.open(*arguments, **named)  # noqa: SIM115 - whoever called closes it
        self.pass_one()
        if "a" in arguments[1]:
            write = stream.write

            def in_halves(data: bytes) -> None:
                half = len(data) // 2
                write(data[:half])
                stream.flush()
                self.pass_one()
                write(data[half:])

            return _Halved(stream, in_halves)
        return stream


class _Halved:
    """A stream that writes in two halves."""

    def __init__(self, stream: Any, write: Callable[[bytes], None]) -> None:
        self._stream, self.write = stream, write

    def __getattr__(self, name: str) -> Any:
        return getattr(self._stream, name)

    def __enter__(self) -> _Halved:
        return self

    def __exit__(self, *_: object) -> None:
        self._stream.close()


def _deleted_by_one(moments: Moments) -> Callable[[Store, str], None]:
    """Deletes a folder file by file, in the order that the file system gives, with a moment before each."""

    def delete_folder(store: Store, name: str) -> None:
        for folder, _, names in os.walk(store.path(name), topdown=False):
            for file in names:
                moments.pass_one()
                Path(folder, file).unlink()
            moments.pass_one()
            Path(folder).rmdir()

    return delete_folder


def in_child(given: Recipe, moment: int, *, fresh: bool) -> int:
    """Run a recipe in a child that is killed at a moment.

    Returns:
        What `os.waitpid` says of the child.
    """
    child = os.fork()
    if not child:
        os.fsync = lambda fd: None  # a killed process loses nothing that it has written; a power cut is another matter
        vars(closing)["render_report"] = lambda *_: "<html></html>"  # would take most of the time
        moments = Moments(moment)
        if moment:
            moments.watch()
        try:
            run(given, fresh=fresh)
        except BaseException as error:  # noqa: BLE001 - the child must not go on as the parent
            sys.stderr.write(f"moment {moment}: {error!r}\n")
            sys.stderr.flush()
            os._exit(1)
        os._exit(0)
    return os.waitpid(child, 0)[1]


def _begin(out: Path, start: str, given: Recipe, earlier: Path) -> None:
    """Put the output folder into the state before the command that is killed."""
    shutil.rmtree(out, ignore_errors=True)
    if start == "fresh":
        shutil.copytree(earlier, out)
    elif start == "resume":
        in_child(given, 90, fresh=False)


def main(folder: Path, start: str, step: int) -> dict[str, object]:
    """Go through every `step`-th moment."""
    source, out, earlier = folder / "in.jsonl", folder / "out", folder / "earlier"
    source.write_bytes(b"".join(orjson.dumps(row) + b"\n" for row in rows(120)))
    stages = [{"length": {"min": 10}}, "exact_dedup"]
    given = recipe(source, out, stages, engine__batch_mb=0.03)
    run(recipe(source, folder / "reference", stages, engine__batch_mb=0.03))  # here, so that children find all loaded
    assert in_child(recipe(source, earlier, stages[:1], engine__batch_mb=0.03), 0, fresh=False) == 0
    expected = content(folder / "reference")
    wrong: list[str] = []
    moment, tried = 1, 0
    while True:
        _begin(out, start, given, earlier)
        status = in_child(given, moment, fresh=start == "fresh")
        if status == 0:
            break
        assert os.WTERMSIG(status) == signal.SIGKILL, status
        tried += 1
        kept = folder / "as-killed"
        shutil.rmtree(kept, ignore_errors=True)
        if out.exists():
            shutil.copytree(out, kept)
        for fresh in (False, True):
            if fresh and moment % (4 * step) != 1:
                continue
            shutil.rmtree(out, ignore_errors=True)
            if kept.exists():
                shutil.copytree(kept, out)
            # a start that was killed before it deleted anything leaves the other run
            again = fresh or (start == "fresh" and _is_other(out, earlier))
            if in_child(given, 0, fresh=again) != 0 or content(out) != expected:
                wrong.append(f"{start}, moment {moment}, fresh={fresh}")
        moment += step
    return {"moments": moment, "tried": tried, "wrong": wrong}


def _is_other(out: Path, earlier: Path) -> bool:
    """Whether the manifest is still that of the earlier run, which the same command without --fresh refuses."""
    file = out / "manifest.jsonl"
    return file.exists() and file.read_bytes() == (earlier / "manifest.jsonl").read_bytes()


if __name__ == "__main__":
    sys.stdout.write(orjson.dumps(main(Path(sys.argv[1]), sys.argv[2], int(sys.argv[3]))).decode())
