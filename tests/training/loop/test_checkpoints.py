"""The chain of checkpoints survives crashes."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import orjson
import pytest

from raylib.errors import TrainingError
from tests.training.setup import config, quiet
from training.loop.checkpoints import Checkpoints
from training.loop.launch import run
from training.model.plain import PlainBackend
from training.model.world import World


@pytest.mark.slow
def test_saving_never_loses_the_chain(
    tokens: dict[str, str], tiny_model: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    made = config(tokens, tiny_model, tmp_path, steps=9, save_every=2, keep=2)
    original, saves = PlainBackend.save, []

    def failing(self: Any, folder: Path, writer: Any) -> None:
        saves.append(folder)
        original(self, folder, writer)
        if len(saves) == 4:

            def piece() -> None:
                (folder / "state.pt").write_bytes(b"half")
                raise OSError(28, "No space left on device")

            writer.submit(piece)

    monkeypatch.setattr(PlainBackend, "save", failing)
    with pytest.raises(OSError, match="space"):
        run(made, say=quiet)
    held = {p.name for p in (tmp_path / "run" / "checkpoints").iterdir()}
    assert {"step-4", "step-6"} <= held
    assert "step-8" not in held
    monkeypatch.undo()
    said: list[str] = []
    run(made, say=said.append)
    assert any("resumed from step-6" in s for s in said)
    left = {p.name for p in (tmp_path / "run" / "checkpoints").iterdir()}
    assert left == {"step-8", "step-9", "final"}, "the last two, whole, and no temporary folders"


def test_checkpoints_of_an_older_run_do_not_evict(tmp_path: Path) -> None:
    held = Checkpoints(tmp_path, World(), 2)
    (tmp_path / "step-99").mkdir()  # not complete: of a crash
    assert held.latest() is None
    (tmp_path / "step-5").mkdir()
    (tmp_path / "step-5" / "complete.json").write_bytes(orjson.dumps({"step": 5}))
    with pytest.raises(TrainingError, match=r"complete\.json is damaged, or made by another program: phase is missing"):
        held.latest()
    facts = {"phase": 0, "step": 5, "total": 9, "best": None, "tokens": 90, "updates": 5, "workers": 1}
    (tmp_path / "step-5" / "complete.json").write_bytes(orjson.dumps(facts))
    found = held.latest()
    assert found is not None
    assert found[1]["step"] == 5
