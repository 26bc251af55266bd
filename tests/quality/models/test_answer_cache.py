"""Who may read cached answers, which hold texts of records."""

from __future__ import annotations

from pathlib import Path

from quality.models.answer_cache import Cache


def test_a_cache_is_closed_to_others(tmp_path: Path) -> None:
    path = tmp_path / "judge.sqlite"
    cache = Cache(str(path))
    cache.put("a", "1")
    assert {p.stat().st_mode & 0o777 for p in tmp_path.iterdir()} == {0o600}, "with the files of its journal"
    cache.close()
    path.chmod(0o664)  # of a group that works together, by an earlier version
    again = Cache(str(path))
    assert again.get("a") == "1"
    assert path.stat().st_mode & 0o777 == 0o660
    again.close()
