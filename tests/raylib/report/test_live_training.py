"""The live state of a training run."""

from __future__ import annotations

import time
from pathlib import Path

import orjson
import pytest

from raylib.errors import SourceError
from raylib.report.live_training import TrainingView
from tests.raylib.report.runs import append_metrics


def test_a_training_run_shows_its_losses(training_folder: Path) -> None:
    state = TrainingView(str(training_folder)).state()
    assert state["kind"] == "training"
    assert state["status"] == "running"
    assert [step for step, _ in state["loss"]] == [1, 2, 3, 4, 5]
    assert state["evaluation"] == [(5, 2.6)]
    assert state["last"]["tokens"] == 5
    assert state["changed"] is not None
    assert time.time() - state["changed"] < 60


def test_new_steps_are_followed_past_a_line_that_was_cut(training_folder: Path) -> None:
    view = TrainingView(str(training_folder))
    with (training_folder / "metrics.jsonl").open("ab") as stream:
        stream.write(b'{"cut')
    assert len(view.state()["loss"]) == 5
    with (training_folder / "metrics.jsonl").open("ab") as stream:  # the next process continues the line
        stream.write(b'{"step": 5}\n')
    append_metrics(training_folder, {"step": 6, "loss": 2.0})
    state = view.state()
    assert state["last"]["step"] == 6
    assert state["loss"][-1] == (6, 2.0)


def test_repeated_steps_replace_the_old_ones_and_phases_continue(training_folder: Path) -> None:
    append_metrics(training_folder, {"step": 6, "loss": 2.0})
    view = TrainingView(str(training_folder))
    view.state()
    append_metrics(
        training_folder,
        {"step": 6, "total_step": 6, "loss": 1.9},  # continued from step 5
        {"step": 1, "total_step": 7, "loss": 1.8},  # a second phase
        {"step": 1, "total_step": 7, "eval/loss": 1.7},
    )
    state = view.state()
    assert state["loss"][-2:] == [(6, 1.9), (7, 1.8)]
    assert state["evaluation"] == [(5, 2.6), (7, 1.7)]


@pytest.mark.parametrize(("finished", "status"), [(True, "finished"), (False, "stopped")])
def test_the_result_says_how_it_ended(training_folder: Path, finished: bool, status: str) -> None:
    (training_folder / "result.json").write_bytes(orjson.dumps({"finished": finished}))
    assert TrainingView(str(training_folder)).state()["status"] == status


def test_a_folder_that_was_begun_again_starts_from_nothing(training_folder: Path) -> None:
    view = TrainingView(str(training_folder))
    view.state()
    (training_folder / "metrics.jsonl").write_bytes(orjson.dumps({"step": 1, "total_step": 1, "loss": 4.0}) + b"\n")
    state = view.state()
    assert state["loss"] == [(1, 4.0)]
    assert state["evaluation"] == []


def test_a_loss_that_is_not_a_number_leaves_a_gap(training_folder: Path) -> None:
    append_metrics(training_folder, {"step": 6, "loss": None}, {"step": 7, "loss": 2.0})
    assert [step for step, _ in TrainingView(str(training_folder)).state()["loss"]] == [1, 2, 3, 4, 5, 7]


def test_a_long_curve_is_thinned_and_keeps_its_last_step(tmp_path: Path) -> None:
    append_metrics(tmp_path, *({"step": i, "loss": 1.0} for i in range(1, 2751)))
    losses = TrainingView(str(tmp_path)).state()["loss"]
    assert 500 <= len(losses) < 600
    assert losses[-1][0] == 2750


def test_another_folder_is_refused(tmp_path: Path) -> None:
    with pytest.raises(SourceError, match=r"it has no metrics\.jsonl"):
        TrainingView(str(tmp_path))
