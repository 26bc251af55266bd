"""A file appears whole or not at all."""

from __future__ import annotations

import os
import stat
from pathlib import Path

import pytest

from raylib.atomic import create_atomically, write_atomically


def test_a_written_file_leaves_nothing_else(tmp_path: Path) -> None:
    write_atomically(tmp_path / "new" / "a.json", b"1")
    write_atomically(tmp_path / "new" / "a.json", b"22")
    assert {p.name: p.read_bytes() for p in (tmp_path / "new").iterdir()} == {"a.json": b"22"}


def test_an_error_keeps_what_was_there(tmp_path: Path) -> None:
    (tmp_path / "a").write_bytes(b"old")
    with pytest.raises(TypeError, match="str"), create_atomically(tmp_path / "a") as stream:
        stream.writelines([b"new", "not bytes"])  # type: ignore[list-item]
    assert {p.name: p.read_bytes() for p in tmp_path.iterdir()} == {"a": b"old"}


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
