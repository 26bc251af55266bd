"""What was read from a file is given again while it is the same file, whatever its path says."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from cleaning.lexicons import load_lexicon
from raylib.errors import ParameterError
from raylib.file_cache import kept_while_unchanged


def test_a_path_may_come_to_mean_another_file(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    reads: list[str] = []

    @kept_while_unchanged(4)
    def content(path: str, prefix: str = "") -> str:
        reads.append(path)
        return prefix + Path(path).read_text("utf-8")

    for folder in ("one", "other", "none"):
        (tmp_path / folder).mkdir()
    for folder in ("one", "other"):
        (tmp_path / folder / "words.txt").write_text(folder)
    for folder in ("one", "one", "other", "one"):
        monkeypatch.chdir(tmp_path / folder)
        assert content("words.txt") == folder
    assert len(reads) == 2
    assert content("words.txt", ">") == content("words.txt", prefix=">") == ">one"
    (tmp_path / "one" / "words.txt").write_text("new")
    assert content("words.txt") == "new"
    stamp = (tmp_path / "one" / "words.txt").stat()
    (tmp_path / "one" / "words.txt").unlink()
    (tmp_path / "one" / "words.txt").write_text("old")  # as long
    os.utime(tmp_path / "one" / "words.txt", ns=(stamp.st_atime_ns, stamp.st_mtime_ns + 1))
    assert content("words.txt") == "old"
    monkeypatch.chdir(tmp_path / "none")
    with pytest.raises(FileNotFoundError):
        content("words.txt")


def test_a_lexicon_that_was_edited_is_read_again(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """As between two cells of a notebook."""
    monkeypatch.chdir(tmp_path)
    Path("words.txt").write_text("冰川湖畔\n", "utf-8")
    assert load_lexicon("words.txt") is load_lexicon("words.txt")
    assert load_lexicon("words.txt").words == ("冰川湖畔",)
    Path("words.txt").write_text("冰川湖畔\n雪山\n", "utf-8")
    assert load_lexicon("words.txt").words == ("冰川湖畔", "雪山")
    Path("words.txt").unlink()
    with pytest.raises(ParameterError, match="is neither a file nor one of the built-in lexicons"):
        load_lexicon("words.txt")
