"""The kind of a fault decides what happens next, not its words; every failed attempt and warning reaches the log."""

from __future__ import annotations

import errno
import logging
import pickle
from collections.abc import Callable
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import pyarrow as pa
import pytest

from raylib.dataset.functions import Map
from raylib.engine import run
from raylib.engine.faults import Failure, Fault, FaultKind, TaskError, end_of_run, is_tried_again
from raylib.engine.task_log import CurrentStage, InStage, LogLine, TaskLog
from raylib.engine.tasks import ResolveTask, ShardTask
from raylib.errors import RaylibError, RecipeError, ShardError, StageError
from raylib.recipe import Recipe, StageSpec
from raylib.stage import LocalStage, Outcome, keep_all
from raylib.storage.manifest import Manifest
from raylib.storage.names import Phase, ShardName
from tests.raylib.engine.runs import recipe, rows

TASK = ShardTask(1, ShardName(12, 3), "key")


def in_stage(error: Exception) -> InStage:
    current = CurrentStage()
    with pytest.raises(InStage) as caught, current.running("minhash_dedup"):
        raise error
    assert current.label == ""
    return caught.value


@pytest.mark.parametrize("code", [errno.ENOSPC, errno.EDQUOT, errno.EROFS])
def test_a_full_volume_is_known_by_its_number_in_any_language(code: int) -> None:
    assert Fault.of(OSError(code, "设备上没有空间")).kind is FaultKind.FULL_VOLUME


def test_a_full_volume_is_known_behind_another_error() -> None:
    wrapper = RuntimeError("无法写入缓存")
    wrapper.__cause__ = OSError(errno.ENOSPC, "设备上没有空间")
    assert Fault.of(wrapper).kind is FaultKind.FULL_VOLUME


@pytest.mark.parametrize(
    "error",
    [OSError(errno.EACCES, "权限不够"), RuntimeError("[Errno 28] No space left on device"), OSError("没有空间")],
)
def test_words_alone_are_not_a_full_volume(error: Exception) -> None:
    assert Fault.of(error).kind is FaultKind.OTHER


def test_a_stage_that_lacks_a_column() -> None:
    fault = Fault.of(in_stage(StageError("no column 'score'")))
    assert fault == Fault(FaultKind.STAGE, "no column 'score'", "minhash_dedup")


def test_the_stage_that_raised_is_known() -> None:
    fault = Fault.of(in_stage(ValueError("坏记录")))
    assert fault == Fault(FaultKind.OTHER, "ValueError: 坏记录", "minhash_dedup")


def test_a_fault_survives_the_border_of_a_process() -> None:
    fault = Fault.of(in_stage(OSError(errno.ENOSPC, "设备上没有空间")))
    again = pickle.loads(pickle.dumps(TaskError(fault, (LogLine(30, "x", "slow", "map"),))))
    assert again.fault == fault
    assert again.lines == (LogLine(30, "x", "slow", "map"),)
    assert Fault.of(again) == fault


@pytest.mark.parametrize(
    ("kind", "tried_again", "ends_as"),
    [
        (FaultKind.FULL_VOLUME, False, ShardError),
        (FaultKind.STAGE, False, RecipeError),
        (FaultKind.SETUP, False, RaylibError),
        (FaultKind.LOST_WORKER, True, None),
        (FaultKind.OTHER, True, None),
    ],
)
def test_what_follows_from_a_kind(kind: FaultKind, tried_again: bool, ends_as: type | None) -> None:
    fault = Fault(kind, "原因")
    assert is_tried_again(Failure(TASK, fault, 1), 3) is tried_again
    assert not is_tried_again(Failure(TASK, fault, 3), 3)
    end = end_of_run(fault, "/out")
    assert (None if end is None else type(end)) is ends_as


def test_a_failed_attempt_is_logged_with_shard_and_stage(caplog: pytest.LogCaptureFixture) -> None:
    is_tried_again(Failure(TASK, Fault(FaultKind.OTHER, "ValueError: x", "minhash_dedup"), 1), 3)
    assert caplog.messages == ["shard 00012-00003, stage minhash_dedup: attempt 1 of 3 failed: ValueError: x"]


def test_a_task_of_a_round_is_named_with_its_round() -> None:
    task = ResolveTask(0, 1, Phase.round(0, 1, 0), ShardName(2), "key", 0, 9)
    assert Failure(task, Fault(FaultKind.OTHER, "x"), 1).place == "shard 00002 of r0.1.0"


def test_warnings_are_collected_with_the_stage_that_runs() -> None:
    current = CurrentStage()
    log = TaskLog(current)
    logger = logging.getLogger("some.library")
    logger.addHandler(log)
    try:
        logger.info("not worth carrying")
        logger.warning("before")
        with current.running("judge"):
            logger.warning("answer %d is not JSON", 7)
    finally:
        logger.removeHandler(log)
    assert log.take() == (
        LogLine(logging.WARNING, "some.library", "before", ""),
        LogLine(logging.WARNING, "some.library", "answer 7 is not JSON", "judge"),
    )
    assert log.take() == ()


def with_stage(source: Path, out: Path, stage: object, **overrides: Any) -> Recipe:
    given = recipe(source, out, [], **overrides)
    return replace(given, stages=(StageSpec("map", object=stage),))


@dataclass
class Calls:
    """Counts calls and raises what it is given."""

    error: Exception
    seen: list[int] = field(default_factory=list)

    def __call__(self, table: pa.Table) -> pa.Table:
        self.seen.append(len(table))
        raise self.error


def test_a_full_volume_ends_the_run_at_the_first_attempt(tmp_path: Path, write_jsonl: Callable[..., Path]) -> None:
    calls = Calls(OSError(errno.ENOSPC, "设备上没有空间"))
    with pytest.raises(ShardError, match=r"cannot write to .*make room"):
        run(with_stage(write_jsonl(rows(300)), tmp_path / "out", Map(calls)))
    assert len(calls.seen) == 1


def test_other_faults_are_tried_three_times_and_quarantined(
    tmp_path: Path, write_jsonl: Callable[..., Path], caplog: pytest.LogCaptureFixture
) -> None:
    calls = Calls(ValueError("坏记录"))
    with pytest.raises(ShardError, match="1 shards quarantined"):
        run(with_stage(write_jsonl(rows(30)), tmp_path / "out", Map(calls)))
    assert len(calls.seen) == 3
    assert caplog.messages[-2:] == [
        "shard 00000, stage map: attempt 3 of 3 failed: ValueError: 坏记录",
        "shard 00000, stage map: quarantined after 3 attempts: ValueError: 坏记录",
    ]


def test_a_full_volume_of_the_driver_is_explained_too(
    tmp_path: Path, write_jsonl: Callable[..., Path], monkeypatch: pytest.MonkeyPatch
) -> None:
    def full(*_: object) -> None:
        raise OSError(errno.EDQUOT, "超出磁盘限额")

    monkeypatch.setattr(Manifest, "append", full)
    with pytest.raises(ShardError, match=r"cannot write to .*超出磁盘限额.*make room"):
        run(recipe(write_jsonl(rows(30)), tmp_path / "out"))


@pytest.mark.cluster
def test_a_full_volume_in_a_worker_ends_the_run(
    tmp_path: Path, write_jsonl: Callable[..., Path], ray_cluster: None, caplog: pytest.LogCaptureFixture
) -> None:
    def full(table: pa.Table) -> pa.Table:
        raise OSError(errno.ENOSPC, "设备上没有空间")

    given = with_stage(write_jsonl(rows(300)), tmp_path / "out", Map(full), engine__mode="ray", engine__actors=1)
    with pytest.raises(ShardError, match=r"cannot write to .*make room"):
        run(given)
    failed = [m for m in caplog.messages if "attempt" in m]
    assert len(failed) == 1
    assert failed[0].startswith(
        "shard 00000-00000, stage map: attempt 1 of 3 failed: OSError: [Errno 28] 设备上没有空间"
    )


@pytest.mark.cluster
def test_warnings_of_workers_reach_the_log_of_the_driver(
    tmp_path: Path, write_jsonl: Callable[..., Path], ray_cluster: None, caplog: pytest.LogCaptureFixture
) -> None:
    def warn_and_fail(table: pa.Table) -> pa.Table:
        logging.getLogger("a.library").warning("%d records look odd", len(table))
        if "000100" in table["id"].to_pylist():
            raise ValueError("坏记录")
        return table

    given = with_stage(
        write_jsonl(rows(300)), tmp_path / "out", Map(warn_and_fail), engine__mode="ray", engine__actors=2
    )
    with pytest.raises(ShardError, match="坏记录"):
        run(given)
    odd = [r for r in caplog.records if r.name == "a.library"]
    assert any(r.getMessage().startswith("shard 00000-00000, stage map: ") for r in odd)
    assert {r.levelno for r in odd} == {logging.WARNING}
    failed = [m for m in caplog.messages if "failed" in m]
    assert len(failed) == 3
    assert {m.split(": ")[0].split(", ")[1] for m in failed} == {"stage map"}
    assert any("quarantined after 3 attempts: ValueError: 坏记录" in m for m in caplog.messages)


@dataclass(frozen=True)
class CannotSetUp(LocalStage):
    """A stage whose model is missing."""

    def setup(self) -> None:
        raise FileNotFoundError("没有模型")

    def __call__(self, table: pa.Table) -> Outcome:
        return keep_all(table)


@pytest.mark.cluster
def test_workers_that_cannot_set_up_end_the_run(
    tmp_path: Path, write_jsonl: Callable[..., Path], ray_cluster: None
) -> None:
    given = with_stage(write_jsonl(rows(30)), tmp_path / "out", CannotSetUp(), engine__mode="ray", engine__actors=1)
    with pytest.raises(RaylibError, match="a worker cannot set up its stages: FileNotFoundError: 没有模型"):
        run(given)
