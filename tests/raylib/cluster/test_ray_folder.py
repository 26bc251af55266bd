"""The folder of a local Ray: short enough for a socket, of ASCII characters, and left without what a run wrote."""

from __future__ import annotations

import os
import tempfile
from pathlib import Path

import pytest

from raylib.cluster.ray_folder import ray_folder, remove_session
from raylib.errors import RaylibError

SOCKET = "session_2026-11-27_16-07-08_506524_4194304/sockets/plasma_store"


@pytest.fixture(autouse=True)
def _no_variables(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("RAY_TMPDIR", "TMPDIR"):
        monkeypatch.delenv(name, raising=False)


@pytest.mark.parametrize("name", ["t", "a b", "x" * 30, "x" * 90, "临时", "a/b/c", "missing"])
def test_any_temporary_folder_leads_to_one_that_ray_can_use(monkeypatch: pytest.MonkeyPatch, name: str) -> None:
    monkeypatch.setenv("TMPDIR", f"/tmp/{name}")
    folder = ray_folder()
    assert folder.isascii()
    assert len(os.path.join(folder, SOCKET)) <= 107
    assert os.access(folder, os.W_OK)
    if len(name) < 35 and name.isascii():
        assert folder == f"/tmp/{name}/ray"
        os.removedirs(folder)


def test_a_folder_that_a_file_blocks(monkeypatch: pytest.MonkeyPatch) -> None:
    with tempfile.TemporaryDirectory(dir="/tmp") as place:
        Path(place, "ray").write_text("")
        monkeypatch.setenv("RAY_TMPDIR", place)
        said = r"RAY_TMPDIR '.*' cannot hold the files of a local Ray: File exists; set it to a folder that you can"
        with pytest.raises(RaylibError, match=said):
            ray_folder()


@pytest.mark.parametrize(("given", "reason"), [("relative", "not absolute"), ("/tmp/" + "x" * 60, "characters long")])
def test_a_folder_that_was_asked_for_is_not_replaced(monkeypatch: pytest.MonkeyPatch, given: str, reason: str) -> None:
    monkeypatch.setenv("RAY_TMPDIR", given)
    with pytest.raises(RaylibError, match=reason):
        ray_folder()


def test_only_the_own_session_is_removed(tmp_path: Path) -> None:
    for pid in (17, 170):
        (tmp_path / f"session_2026-11-27_16-07-08_506524_{pid}" / "logs").mkdir(parents=True)
    latest = tmp_path / "session_latest"
    latest.symlink_to(tmp_path / "session_2026-11-27_16-07-08_506524_17")
    remove_session(str(tmp_path), 17)
    assert [p.name for p in tmp_path.iterdir()] == ["session_2026-11-27_16-07-08_506524_170"]
    latest.symlink_to(tmp_path / "session_2026-11-27_16-07-08_506524_170")
    remove_session(str(tmp_path), 17)
    assert latest.is_symlink()
