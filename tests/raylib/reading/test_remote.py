"""URIs of file systems that fsspec opens: the same rules as on a disk."""

from __future__ import annotations

from collections.abc import Iterator

import fsspec
import pytest

from raylib.errors import SourceError
from raylib.reading.found import HIDDEN, RUN, RUN_INSIDE, UNKNOWN
from raylib.reading.sources import find_files, is_folder_of_a_run

FILES = (
    "a.jsonl",
    "deep/b.txt",
    "deep/_c.jsonl",
    ".h/d.jsonl",
    "notes.docx",
    "data[x]/e.jsonl",
    "datax/f.jsonl",
    "run/manifest.jsonl",
    "run/kept/_g/h.jsonl",
    "run/rejected/i.jsonl",
    "run/.work/j.arrow",
)


@pytest.fixture
def root() -> Iterator[str]:
    memory = fsspec.filesystem("memory")
    for name in FILES:
        memory.pipe(f"/set/{name}", b'{"text": "a"}\n')
    yield "memory:///set"
    memory.rm("/set", recursive=True)


def names(path: str, root: str) -> tuple[list[str], dict[str, str]]:
    files, passed = find_files(path)
    bare = root.replace("memory:///", "memory://")
    shown = [f.path.replace("memory:///", "memory://").removeprefix(f"{bare}/") for f in files]
    return shown, {p.path.replace("memory:///", "memory://").removeprefix(f"{bare}/"): p.why for p in passed}


def test_a_folder(root: str) -> None:
    assert names(root, root) == (
        ["a.jsonl", "data[x]/e.jsonl", "datax/f.jsonl", "deep/b.txt"],
        {".h/": HIDDEN, "deep/_c.jsonl": HIDDEN, "notes.docx": UNKNOWN, "run/": RUN_INSIDE},
    )
    assert names(f"{root}/.h", root)[0] == [".h/d.jsonl"]


def test_a_run(root: str) -> None:
    assert is_folder_of_a_run(f"{root}/run")
    assert not is_folder_of_a_run(root)
    assert names(f"{root}/run", root) == (["run/kept/_g/h.jsonl"], {"run/": RUN})
    assert names(f"{root}/run/kept", root) == (["run/kept/_g/h.jsonl"], {})
    assert names(f"{root}/**", root)[0] == names(f"{root}/**/*", root)[0]
    assert "run/rejected/i.jsonl" not in names(f"{root}/**", root)[0]


def test_globs(root: str) -> None:
    assert names(f"{root}/*.jsonl", root) == (["a.jsonl"], {})
    assert names(f"{root}/data[x]/*", root)[0] == ["data[x]/e.jsonl"], "a folder of that name is there"
    assert names(f"{root}/data[xy]/*", root)[0] == ["datax/f.jsonl"]
    assert names(f"{root}/data[x]/e.jsonl", root)[0] == ["data[x]/e.jsonl"]
    assert names(f"{root}/deep/*", root) == (["deep/b.txt"], {"deep/_c.jsonl": HIDDEN})
    assert names(f"{root}/deep/_*", root)[0] == ["deep/_c.jsonl"]
    assert names(f"{root}/*/[ef].jsonl", root)[0] == ["data[x]/e.jsonl", "datax/f.jsonl"]
    for missing in ("none*", "none/*", "none.jsonl"):
        with pytest.raises(SourceError, match="no input file matches"):
            find_files(f"{root}/{missing}")
