"""A file appears whole or not at all."""

from __future__ import annotations

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
