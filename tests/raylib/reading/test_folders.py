"""Folders as they are in the world: hidden files, links, loops, pipes, devices, closed doors, names of all kinds."""

from __future__ import annotations

import json
import os
import shutil
import socket
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pyarrow.parquet as pq
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from raylib.engine import run
from raylib.errors import SourceError
from raylib.reading.block import ReadOptions
from raylib.reading.found import (
    AGAIN,
    AROUND,
    FOLDER_OF_A_GLOB,
    HIDDEN,
    RUN,
    RUN_INSIDE,
    SYSTEM,
    UNKNOWN,
    by_reason,
    passed_lines,
)
from raylib.reading.opening import blocks_of
from raylib.reading.parsing import parse
from raylib.reading.sources import find_files
from raylib.reading.units import Piece
from raylib.recipe import Recipe
from tests.texts import ARTICLE, POEM

NOT_UTF8 = os.fsdecode("数据.jsonl".encode("gb18030"))


def write(path: Path, texts: tuple[str, ...] = (ARTICLE,)) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text("".join(json.dumps({"text": text}, ensure_ascii=False) + "\n" for text in texts), "utf-8")
    return path


def names(path: Path | str, root: Path) -> tuple[list[str], dict[str, str]]:
    """Paths of the files that are read, and why others are passed over, both below a root."""
    files, passed = find_files(path)
    assert not any(f.error for f in files)
    return [f.path.removeprefix(f"{root}/") for f in files], {p.path.removeprefix(f"{root}/"): p.why for p in passed}


def test_hidden_files_and_folders_are_passed_over_and_named(tmp_path: Path) -> None:
    read = ["a.jsonl", "deep/b.jsonl"]
    hidden = [".ipynb_checkpoints/a.jsonl", ".Trash-0/c.jsonl", "_temporary/0/d.jsonl", "deep/.cache/e.jsonl"]
    for name in [*read, *hidden, "_SUCCESS.txt", "deep/.f.jsonl", "lost+found/g.jsonl", "notes.docx"]:
        write(tmp_path / name)
    assert names(tmp_path, tmp_path) == (
        read,
        {
            ".Trash-0/": HIDDEN,
            ".ipynb_checkpoints/": HIDDEN,
            "_SUCCESS.txt": HIDDEN,
            "_temporary/": HIDDEN,
            "deep/.cache/": HIDDEN,
            "deep/.f.jsonl": HIDDEN,
            "lost+found/": SYSTEM,
            "notes.docx": UNKNOWN,
        },
    )
    assert names(tmp_path / ".Trash-0", tmp_path)[0] == [".Trash-0/c.jsonl"], "a hidden folder that is given is read"
    assert names(tmp_path / "deep/.f.jsonl", tmp_path)[0] == ["deep/.f.jsonl"]


def test_names_of_what_is_passed_over_stay_in_their_line(tmp_path: Path) -> None:
    write(tmp_path / "a.jsonl")
    write(tmp_path / "b\n\x1b[2J.docx")
    (line,) = passed_lines(by_reason(find_files(tmp_path).passed, most=3))
    assert line == rf"passed over 1 (unknown extension): {tmp_path}/b\n\x1b[2J.docx"


def test_links_are_followed_once(tmp_path: Path) -> None:
    data, other = tmp_path / "data", tmp_path / "other"
    for path in (data / "m/a.jsonl", other / "b.jsonl", other / "deep/c.jsonl"):
        write(path)
    (data / "a0.jsonl").symlink_to("m/a.jsonl")  # comes before its target in the order of names
    (data / "folder").symlink_to(other)
    (data / "folder2").symlink_to(other)
    (data / "m/again").symlink_to("..")
    (data / "up").symlink_to(tmp_path)
    (other / "back").symlink_to(data)
    os.link(data / "m/a.jsonl", data / "m/hard.jsonl")
    assert names(data, data) == (
        ["folder/b.jsonl", "folder/deep/c.jsonl", "m/a.jsonl"],
        {
            "a0.jsonl": AGAIN,
            "folder/back/": AGAIN,
            "folder2/": AGAIN,
            "m/again/": AGAIN,
            "m/hard.jsonl": AGAIN,
            "up/": AROUND,
        },
    )
    assert names(data / "a0.jsonl", data)[0] == ["a0.jsonl"], "a link that is given is read"
    files, passed = find_files([data / "a0.jsonl", data / "m", f"file://{data}/m/a.jsonl"])
    assert [f.path for f in files] == [f"{data}/a0.jsonl"]
    assert [p.why for p in passed] == [AROUND, AGAIN, AGAIN, AGAIN]


@pytest.fixture
def crowd(tmp_path: Path) -> Iterator[Path]:
    """A folder with one good file among many that cannot be read."""
    folder = tmp_path / "data"
    write(folder / "good.jsonl", (ARTICLE, POEM))
    (folder / "broken.jsonl").symlink_to("/nowhere/x.jsonl")
    (folder / "broken_folder").symlink_to("/nowhere")
    (folder / "loop.jsonl").symlink_to("loop.jsonl")
    (folder / "zero.jsonl").symlink_to("/dev/zero")
    os.mkfifo(folder / "pipe.jsonl")
    write(folder / NOT_UTF8)
    write(folder / os.fsdecode(b"\xff") / "inside.jsonl")
    with socket.socket(socket.AF_UNIX) as server:
        place = os.getcwd()
        os.chdir(folder)  # the path of a socket is short
        try:
            server.bind("s.jsonl")
        finally:
            os.chdir(place)
        yield folder


WRONG = {
    "broken.jsonl": "broken_link",
    "broken_folder": "broken_link",
    "loop.jsonl": "link_loop",
    "zero.jsonl": "device",
    "pipe.jsonl": "fifo",
    r"\xca\xfd\xbe\xdd.jsonl": "name_not_utf8",
    r"\xff/inside.jsonl": "name_not_utf8",
    "s.jsonl": "socket",
}


def test_what_cannot_be_read_is_a_reject_and_the_rest_is_read(crowd: Path, tmp_path: Path) -> None:
    options = {"engine": {"mode": "inline"}, "stages": []}
    data = {"input": {"path": str(crowd)}, "output": {"path": str(tmp_path / "out")}, **options}
    summary = run(Recipe.from_dict(data)).summary
    assert summary["records_in"] == 2 + len(WRONG)
    assert summary["records_kept"] == 2
    rejects = [r for p in (tmp_path / "out/rejected").iterdir() for r in pq.read_table(p).to_pylist()]
    assert {r["source"].removeprefix(f"{crowd}/"): r["reason"] for r in rejects} == WRONG
    assert all(r["detail"].startswith(r["source"]) for r in rejects)
    assert "/nowhere/x.jsonl" in next(r["detail"] for r in rejects if r["source"].endswith("broken.jsonl"))
    assert any("数据.jsonl" in r["detail"] for r in rejects), "the name as it reads in GBK"
    os.unlink(crowd / "zero.jsonl")
    before = {p.name: p.stat().st_mtime_ns for p in (tmp_path / "out/kept").iterdir()}
    again = run(Recipe.from_dict(data)).summary
    assert (again["records_in"], again["records_kept"]) == (summary["records_in"] - 1, 2)
    assert {p.name: p.stat().st_mtime_ns for p in (tmp_path / "out/kept").iterdir()}.items() >= {
        item for item in before.items() if "00000" in item[0]
    }, "the readable file is not read again"


@pytest.mark.parametrize("name", ["broken.jsonl", "loop.jsonl", "zero.jsonl", "pipe.jsonl", "s.jsonl"])
def test_a_path_that_is_given_and_is_no_file_is_an_error(crowd: Path, name: str) -> None:
    with pytest.raises(SourceError, match=rf"^cannot read input file .*{name}: a "):
        find_files([crowd / "good.jsonl", crowd / name])


def test_a_given_name_that_is_not_utf8_is_an_error(crowd: Path) -> None:
    with pytest.raises(SourceError, match=r"^the name of .*\\xca\\xfd\\xbe\\xdd\.jsonl is not UTF-8: rename it"):
        find_files(crowd / NOT_UTF8)


def test_a_glob_finds_what_a_folder_does(crowd: Path) -> None:
    found = {f.path for f in find_files(f"{crowd}/**").files}
    assert found == {f.path for f in find_files(crowd).files}


def test_names_that_look_like_globs(tmp_path: Path) -> None:
    odd = ["q?.jsonl", "st*r.jsonl", "[x].jsonl", "data[x]/a.jsonl", "data[x]/b.txt", "data[x]/in[1]/c.jsonl"]
    for name in [*odd, "x.jsonl", "qa.jsonl", "star.jsonl", "datax/d.jsonl"]:
        write(tmp_path / name)
    for name in odd:
        assert names(tmp_path / name, tmp_path)[0] == [name]
        assert names(f"file://{tmp_path}/{name}", tmp_path)[0] == [f"file://{tmp_path}/{name}"]
    assert [f.path for f in find_files([str(tmp_path / name) for name in odd]).files] == [
        f"{tmp_path}/{name}" for name in odd
    ]
    assert names(tmp_path / "data[x]", tmp_path)[0] == sorted(odd[3:])
    assert names(f"{tmp_path}/data[x]/*.jsonl", tmp_path)[0] == ["data[x]/a.jsonl"]
    assert names(f"{tmp_path}/data[x]/**/*.jsonl", tmp_path)[0] == ["data[x]/a.jsonl", "data[x]/in[1]/c.jsonl"]
    assert names(f"{tmp_path}/*/in[1]/*", tmp_path)[0] == ["data[x]/in[1]/c.jsonl"]
    assert names(f"{tmp_path}/data[xy]/*", tmp_path)[0] == ["datax/d.jsonl"], "a glob where nothing has that name"
    assert "q?.jsonl" in names(tmp_path, tmp_path)[0]


def test_globs(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("a.jsonl", "b/c.jsonl", "b/d/e.jsonl", "_old/f.jsonl", ".h/g.jsonl", "_i.jsonl"):
        write(tmp_path / name)
    hidden = {"_i.jsonl": HIDDEN}
    assert names(f"{tmp_path}/*.jsonl", tmp_path) == (["a.jsonl"], hidden)
    assert names(f"{tmp_path}/_*.jsonl", tmp_path) == (["_i.jsonl"], {})
    assert names(f"{tmp_path}/*/*.jsonl", tmp_path) == (["b/c.jsonl"], {".h/": HIDDEN, "_old/": HIDDEN})
    everything = ["a.jsonl", "b/c.jsonl", "b/d/e.jsonl"]
    assert names(f"{tmp_path}/**/*.jsonl", tmp_path) == (everything, {**hidden, ".h/": HIDDEN, "_old/": HIDDEN})
    monkeypatch.chdir(tmp_path)
    assert names("**/*.jsonl", tmp_path)[0] == everything
    assert names("./b/*.jsonl", tmp_path)[0] == ["./b/c.jsonl"]
    assert names("b/*", tmp_path) == (["b/c.jsonl"], {"b/d/": FOLDER_OF_A_GLOB})
    with pytest.raises(SourceError, match=r"'b/d\*': only folders do, such as b/d/"):
        find_files("b/d*")
    with pytest.raises(SourceError, match=r"no input file matches 'none/\*'"):
        find_files("none/*")


def test_of_a_run_what_it_kept(tmp_path: Path) -> None:
    out = tmp_path / "data/out"
    for name in ("kept/_a_/x.jsonl", "rejected/x.parquet", ".work/y.arrow", "summary.json", "manifest.jsonl"):
        write(out / name)
    write(tmp_path / "data/b.jsonl")
    (tmp_path / "data/link").symlink_to(out)
    assert names(out, out) == (["kept/_a_/x.jsonl"], {"": RUN})
    assert names(f"{out}/**/*.jsonl", out)[0] == ["kept/_a_/x.jsonl"]
    assert names(out / "kept", out) == (["kept/_a_/x.jsonl"], {})
    data = tmp_path / "data"
    assert names(data, data) == (["b.jsonl"], {"link/": RUN_INSIDE, "out/": RUN_INSIDE})
    shutil.rmtree(out / "kept")
    with pytest.raises(SourceError, match="it is the folder of a run that has kept no file"):
        find_files(out)


LOOK = """
import json, sys
from raylib.errors import SourceError
from raylib.reading.sources import find_files
try:
    print(json.dumps([[f.path, f.error and f.error.reason] for f in find_files(sys.argv[1]).files]))
except SourceError as error:
    print(json.dumps(str(error)))
"""


def as_nobody(path: Path) -> Any:
    """What a user finds who is not root."""
    command = [sys.executable, "-c", LOOK, str(path)]
    if os.geteuid() == 0:
        setpriv = shutil.which("setpriv")
        if setpriv is None:
            pytest.skip("root may read everything, and setpriv is not installed")
        command = [setpriv, "--reuid=65534", "--regid=65534", "--clear-groups", *command]
    done = subprocess.run(command, capture_output=True, text=True, check=False, timeout=120)
    if "No module named" in done.stderr or "Permission denied" in done.stderr:
        pytest.skip("another user cannot start this Python")
    return json.loads(done.stdout)


def test_closed_files_are_rejects_and_a_closed_folder_is_an_error() -> None:
    with tempfile.TemporaryDirectory() as temporary:
        root = Path(temporary)
        root.chmod(0o755)
        write(root / "open.jsonl")
        write(root / "closed.jsonl").chmod(0)
        write(root / "folder/inside.jsonl").parent.chmod(0)
        write(root / "unsearchable/inside.jsonl").parent.chmod(0o444)
        try:
            assert as_nobody(root) == [
                [f"{root}/closed.jsonl", "no_permission"],
                [f"{root}/folder", "unreadable_folder"],
                [f"{root}/open.jsonl", None],
                [f"{root}/unsearchable/inside.jsonl", "no_permission"],
            ]
            assert as_nobody(root / "folder") == f"cannot read folder {root}/folder: Permission denied"
            assert as_nobody(root / "closed.jsonl") == (
                f"cannot read input file {root}/closed.jsonl: may not be read: Permission denied"
            )
            assert as_nobody(root / "folder/inside.jsonl") == (
                f"cannot read input file {root}/folder/inside.jsonl: Permission denied"
            )
        finally:
            (root / "folder").chmod(0o755)
            (root / "unsearchable").chmod(0o755)


PARTS = st.sampled_from(["a", "b", "[x]", "q?", ".h", "_u", "数据", os.fsdecode(b"\xb0\xa1")])
ENDINGS = st.sampled_from([".jsonl", ".txt.gz", ".docx", ""])
KINDS = st.sampled_from(["file", "file", "fifo", "device", "broken", "loop", "link", "folder_link", "hard", "run"])
TREES = st.lists(st.tuples(st.lists(PARTS, min_size=1, max_size=4), ENDINGS, KINDS, st.integers(0, 30)), max_size=14)


def plant(root: Path, tree: list[tuple[list[str], str, str, int]]) -> None:
    """Make a tree; what does not fit beside what is there already is left out."""
    made = [root]
    for parts, ending, kind, number in tree:
        path = root.joinpath(*parts[:-1], parts[-1] + ending)
        target = made[number % len(made)]
        try:
            path.parent.mkdir(parents=True, exist_ok=True)
            if kind == "fifo":
                os.mkfifo(path)
            elif kind == "run":
                write(path / "kept/x.jsonl")
                write(path / "manifest.jsonl")
            elif kind == "hard":
                os.link(target, path)
            elif kind == "file":
                with path.open("x") as stream:
                    stream.write('{"text": "字"}\n' * (number % 3))
            else:
                path.symlink_to({"device": "/dev/zero", "broken": "nowhere", "loop": path.name}.get(kind, str(target)))
            made.append(path if kind != "folder_link" else path.parent)
        except OSError:
            continue


def everything_below(root: Path) -> Iterator[str]:
    """Paths of all that is no real folder; links are not followed."""
    for folder, inner, members in os.walk(root):
        yield from (os.path.join(folder, name) for name in members)
        yield from (path for name in inner if os.path.islink(path := os.path.join(folder, name)))


def escaped(path: str) -> str:
    return os.fsencode(path).decode("utf-8", "backslashreplace")


@settings(max_examples=150)
@given(TREES)
def test_every_file_is_read_or_rejected_or_named(tree: list[tuple[list[str], str, str, int]]) -> None:
    with tempfile.TemporaryDirectory() as temporary:
        root = Path(temporary) / "root"
        root.mkdir()
        plant(root, tree)
        try:
            files, passed = find_files(root)
        except SourceError:  # of a folder without any input file
            return
        read = [f.path for f in files if f.error is None]
        rejected = {f.path for f in files if f.error is not None}
        over = {p.path.rstrip("/") for p in passed}
        folders = tuple(p.path for p in passed if p.path.endswith("/"))
        followed = {os.path.realpath(path) for path in read} | {os.path.dirname(os.path.realpath(p)) for p in read}
        for path in everything_below(root):
            shown = escaped(path)
            accounted = shown in read or shown in rejected or shown in over or shown.startswith(folders)
            assert accounted or os.path.realpath(path) in followed or os.path.isdir(path), path
        assert len({os.path.realpath(path) for path in read}) == len(read), "no file is read twice"
        assert not rejected & set(read)
        assert not over & (rejected | set(read))
        for file in files:
            parsed = [p for block in blocks_of(Piece(file), ReadOptions()) for p in parse(block, "document")]
            if file.error is not None:
                assert [r["reason"] for p in parsed for r in p.rejects.to_pylist()] == [file.error.reason]
        assert find_files(root) == (files, passed)


@settings(max_examples=40)
@given(TREES, st.randoms(use_true_random=False))
def test_the_order_in_which_files_appeared_does_not_matter(tree: list[Any], random: Any) -> None:
    plain = [
        (parts, ending, kind, number) for parts, ending, kind, number in tree if kind in ("file", "fifo", "broken")
    ]
    plain = list(
        {tuple(parts): (parts, ending, kind, n) for parts, ending, kind, n in plain if len(parts) == 1}.values()
    )
    found = []
    for _ in range(2):
        with tempfile.TemporaryDirectory() as temporary:
            plant(Path(temporary), plain)
            try:
                files, passed = find_files(temporary)
            except SourceError:
                return
            found.append([f.path[len(temporary) :] for f in files] + [p.path[len(temporary) :] for p in passed])
        random.shuffle(plain)
    assert found[0] == found[1]
