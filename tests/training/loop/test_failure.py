"""Failures of workers keep their kind on the way to the launching process."""

from __future__ import annotations

import errno
from pathlib import Path

import pytest
import torch

from raylib.errors import RaylibError, TrainingError
from training.loop.failure import Failure, FailureKind, decisive, failures_in, failures_of, recorded


@pytest.mark.parametrize(
    ("error", "kind"),
    [
        (TrainingError("batch"), "user"),
        (RaylibError("x"), "user"),
        (OSError(errno.ENOSPC, "翻译过的消息"), "storage"),
        (OSError(errno.EACCES, "no"), "bug"),
        (MemoryError(), "memory"),
        (torch.OutOfMemoryError("CUDA out of memory"), "memory"),
        (KeyError("TrainingError"), "bug"),
        (ValueError("No space left on device"), "bug"),
    ],
)
def test_the_kind_comes_from_the_exception_and_not_from_its_words(error: Exception, kind: FailureKind) -> None:
    assert Failure.of(error, 3).kind == kind


def test_a_failure_is_left_in_a_file_and_passes(tmp_path: Path) -> None:
    with pytest.raises(TrainingError), recorded(tmp_path, 1):
        raise TrainingError("no rows")
    (found,) = failures_in(tmp_path)
    assert (found.kind, found.rank, found.error, found.message) == ("user", 1, "TrainingError", "no rows")
    assert "test_failure.py" in found.traceback
    with recorded(tmp_path, 2):
        pass
    assert len(failures_in(tmp_path)) == 1


def test_a_mistake_of_the_user_is_one_line_and_a_bug_has_its_traceback() -> None:
    assert str(Failure.of(TrainingError("no rows"), 0).as_error()) == "no rows"
    (bug,) = failures_of({1: KeyError("x")}, "Traceback ...\nKeyError: 'x'\n")
    text = str(bug.as_error())
    assert text.startswith("worker 1 failed with an unexpected KeyError")
    assert text.endswith("KeyError: 'x'")
    full = str(Failure.of(OSError(errno.ENOSPC, "No space left on device"), 0).as_error())
    assert "free space" in full
    assert "\n" not in full
    read_only = str(Failure.of(OSError(errno.EROFS, "Read-only file system", "/out/step-12.tmp"), 0).as_error())
    assert "worker 0 cannot write" in read_only
    assert "make the volume writable again and start the run again" in read_only
    assert "\n" not in read_only


def test_a_lost_connection_is_no_bug_and_is_reported_only_if_no_worker_says_more() -> None:
    with pytest.raises(ValueError, match="process group") as raised:
        torch.distributed.barrier()
    lost = Failure.of(raised.value, 0)
    assert lost.kind == "connection"
    text = str(lost.as_error())
    assert "start the run again" in text
    assert "\n" not in text
    bug = Failure("bug", 1, "KeyError", "x", "", at=lost.at + 1)
    assert decisive([lost, bug]) is bug


def test_a_clear_reason_comes_before_what_follows_from_it() -> None:
    follows = Failure("bug", 0, "RuntimeError", "connection closed", "", at=1.0)
    first = Failure("bug", 1, "KeyError", "x", "", at=0.5)
    reason = Failure("user", 2, "TrainingError", "no rows", "", at=2.0)
    assert decisive([follows, reason, first]) is reason
    assert decisive([follows, first]) is first
    assert decisive([]) is None
