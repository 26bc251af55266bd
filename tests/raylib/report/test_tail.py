"""New lines of files that grow."""

from __future__ import annotations

from pathlib import Path

from raylib.report.tail import Tail
from raylib.storage.store import Store


def test_each_line_is_read_once(tmp_path: Path) -> None:
    tail, file = Tail(Store(str(tmp_path))), tmp_path / "a.jsonl"
    file.write_bytes("第一行\n第二行\n".encode())
    assert tail.lines("a.jsonl") == ["第一行".encode(), "第二行".encode()]
    assert tail.lines("a.jsonl") == []
    with file.open("ab") as stream:
        stream.write("第三行\n".encode())
    assert tail.lines("a.jsonl") == ["第三行".encode()]


def test_a_line_is_read_when_it_is_complete(tmp_path: Path) -> None:
    tail, file = Tail(Store(str(tmp_path))), tmp_path / "a.jsonl"
    file.write_bytes(b'{"step":1}\n{"st')
    assert tail.lines("a.jsonl") == [b'{"step":1}']
    assert tail.lines("a.jsonl") == []
    with file.open("ab") as stream:
        stream.write(b'ep":2}\n')
    assert tail.lines("a.jsonl") == [b'{"step":2}']


def test_a_shorter_file_is_another_run(tmp_path: Path) -> None:
    tail, file = Tail(Store(str(tmp_path))), tmp_path / "a.jsonl"
    assert not tail.has_restarted(["a.jsonl"]), "a file that does not exist yet"
    file.write_bytes(b"1\n2\n3\n")
    tail.lines("a.jsonl")
    assert not tail.has_restarted(["a.jsonl"])
    file.write_bytes(b"1\n")
    assert tail.has_restarted(["a.jsonl"])
