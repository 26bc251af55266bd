"""The disk space that a run will need is said, and checked, before any work."""

from __future__ import annotations

import gzip
import os
from pathlib import Path

import pytest

from raylib.engine import Progress, run
from raylib.engine.planning import make_plan
from raylib.engine.space import check_space, estimate
from raylib.errors import ShardError
from tests.raylib.engine.runs import STAGES, Write, recipe, rows

_TERABYTE = 10**12


class Messages(Progress):
    """Keeps the messages of a run."""

    def __init__(self) -> None:
        self.said: list[str] = []

    def message(self, text: str) -> None:
        self.said.append(text)


@pytest.fixture
def large(tmp_path: Path) -> Path:
    """A file of four terabytes, of which the disk holds the beginning alone."""
    (tmp_path / "out").mkdir()
    source = tmp_path / "in" / "large.jsonl.gz"
    source.parent.mkdir()
    source.write_bytes(gzip.compress(b'{"id": "1", "text": "a"}\n' * 200_000))
    os.truncate(source, 4 * _TERABYTE)
    return source


def test_too_little_room_is_an_error_before_any_work(tmp_path: Path, large: Path) -> None:
    with pytest.raises(ShardError) as caught:
        run(recipe(large, tmp_path / "out"))
    assert str(caught.value).startswith(
        f"output.path '{tmp_path}/out': the run needs about 18.0 TB while it runs, and 18.0 TB of it stay, but only "
    )
    assert str(caught.value).endswith(
        " are free there. Make room, give an output.path on a larger volume, or set output.check_space: false to try "
        "it all the same"
    )
    assert not (tmp_path / "out").exists(), "nothing is committed"


def test_what_an_earlier_part_wrote_counts_as_done(tmp_path: Path, large: Path) -> None:
    plan = make_plan(recipe(large, tmp_path / "out"), None)
    with pytest.raises(ShardError, match=r"of it stay; 2\.0 TB are written, but only"):
        check_space(plan, 2 * _TERABYTE)
    assert "needs about 18.0 TB while it runs" in check_space(plan, 18 * _TERABYTE)


def test_the_check_can_be_switched_off(tmp_path: Path, large: Path) -> None:
    plan = make_plan(recipe(large, tmp_path / "out", output__check_space=False), None)
    assert check_space(plan, 0).startswith(
        f"{tmp_path}/out needs about 18.0 TB while it runs, and 18.0 TB of it stay, "
    )


def test_what_stays_depends_on_the_recipe(tmp_path: Path, large: Path) -> None:
    both = [
        estimate(make_plan(recipe(large, tmp_path / "out", engine__keep_work=keep), None)) for keep in (True, False)
    ]
    assert both[0].needed == both[1].needed
    assert both[1].stays == both[1].output < both[0].stays
    local = estimate(make_plan(recipe(large, tmp_path / "out", [{"length": {"min": 10}}]), None))
    assert local.work == 0, "one segment leaves no records between segments"
    one, two = (make_plan(recipe(large, tmp_path / "out", ["exact_dedup"] * n), None) for n in (1, 2))
    assert estimate(one).work < estimate(two).work


def test_a_limited_run_is_not_checked(tmp_path: Path, large: Path) -> None:
    assert check_space(make_plan(recipe(large, tmp_path / "out"), 10), 0) == ""


def test_the_estimate_is_said_at_the_beginning(tmp_path: Path, write_jsonl: Write) -> None:
    messages = Messages()
    source = write_jsonl(rows(2000))
    run(recipe(source, tmp_path / "out", STAGES), progress=messages)
    needs = f"{source.stat().st_size * 1.5 / 1e6:.1f} MB"
    assert messages.said[0].startswith(
        f"{tmp_path}/out needs about {needs} while it runs, and {needs} of it stay, intermediate data included; "
    )
    assert messages.said[0].endswith(" are free")
