"""A file appears whole or not at all."""

from __future__ import annotations

import os
import stat
from pathlib import Path

import pytest

from raylib.atomic import create_atomically, mend_last_line, write_atomically


def test_a_written_file_leaves_nothing_else(tmp_path: Path) -> None:
    write_atomically(tmp_path / "new" / "a.json", b"1")
    write_atomically(tmp_path / "new" / "a.json", b"22")
    assert {p.name: p.read_bytes() for p in (tmp_path / "new").iterdir()} == {"a.json": b"22"}


def test_an_error_keeps_what_was_there(tmp_path: Path) -> None:
    (tmp_path / "a").write_bytes(b"old")
    with pytest.raises(TypeError, match="str"), create_atomically(tmp_path / "a") as stream:
        stream.writelines([b"new", "not bytes"])  # type: ignore[list-item]
    assert {p.name: p.read_bytes() for p in tmp_path.iterdir()} == {"a": b"old"}


@pytest.mark.parametrize(
    ("before", "after", "cut"),
    [
        (b"", b"", 0),
        (b'{"a":1}\n', b'{"a":1}\n', 0),
        (b'{"a":1}', b'{"a":1}\n', 0),
        (b'{"a":1}\n{"b":', b'{"a":1}\n', 5),
        (b'{"a":1}\n12', b'{"a":1}\n', 2),
        (b'{"a":1}\n' + bytes(200_000), b'{"a":1}\n', 200_000),
        (b'{"a', b"", 3),
    ],
)
def test_a_file_of_lines_ends_with_a_whole_one(tmp_path: Path, before: bytes, after: bytes, cut: int) -> None:
    (tmp_path / "a.jsonl").write_bytes(before)
    assert mend_last_line(tmp_path / "a.jsonl") == cut
    assert (tmp_path / "a.jsonl").read_bytes() == after
    assert mend_last_line(tmp_path / "none.jsonl") == 0


def test_others_cannot_read_a_file_while_it_is_written(tmp_path: Path) -> None:
    before = os.umask(0o027)
    try:
        with create_atomically(tmp_path / "new") as stream:
            stream.write(b"1")
            (temporary,) = tmp_path.iterdir()
            assert stat.S_IMODE(temporary.stat().st_mode) == 0o600
    finally:
        os.umask(before)
    assert stat.S_IMODE((tmp_path / "new").stat().st_mode) == 0o640, "by the umask"
    (tmp_path / "new").chmod(0o604)
    write_atomically(tmp_path / "new", b"2")
    assert stat.S_IMODE((tmp_path / "new").stat().st_mode) == 0o604, "as it was"
