"""The disk space that a run will need, estimated from its input, and whether the output's volume has it."""

from __future__ import annotations

import math
import os
from dataclasses import dataclass

from raylib.engine.planning import Plan
from raylib.errors import ShardError

__all__ = ["Space", "check_space", "estimate"]


# bytes written for a byte of raw input, rounded up from what was measured; see docs/scaling.md
_OUTPUT = 0.6  # kept and rejected records
_FIRST = 0.7  # records after the first segment, beside how they were read
_LATER = 0.15  # what differs after each later one
_GLOBAL = 0.2  # sketches, facts and rounds of a global stage
_GLOBAL_SHORT = 0.6  # the same for conversations and preferences: as many bytes a record, and shorter records


@dataclass(frozen=True)
class Space:
    """An estimate.

    Attributes:
        output: Bytes of kept and rejected records.
        work: Bytes of intermediate data.
        keeps_work: Whether intermediate data stay.
    """

    output: int
    work: int
    keeps_work: bool

    @property
    def needed(self) -> int:
        """Bytes that are there when the run ends, before anything is deleted."""
        return self.output + self.work

    @property
    def stays(self) -> int:
        """Bytes that stay."""
        return self.needed if self.keeps_work else self.output


def estimate(plan: Plan) -> Space:
    """Estimate what a run will write.

    Args:
        plan: The run.
    """
    segments = plan.job.segments
    shares = (_FIRST + _LATER * (plan.job.last - 1)) if plan.job.last else 0.0
    of_global = _GLOBAL if plan.job.kind == "document" else _GLOBAL_SHORT
    shares += of_global * sum(segment.sketch is not None for segment in segments)
    return Space(int(plan.raw_bytes * _OUTPUT), int(plan.raw_bytes * shares), plan.recipe.engine.keep_work)


def check_space(plan: Plan, there: int) -> str:
    """Compare the estimate to the free space of the output's volume.

    Args:
        plan: The run.
        there: Bytes that an earlier part of the run has written.

    Returns:
        The estimate as a line for the user; empty where nothing can be said: in object storage, and for a run with a
        limit.

    Raises:
        ShardError: There is too little, and the recipe does not say that this is not to be checked.
    """
    root, given = plan.job.root, plan.recipe.output
    if "://" in root or plan.limit is not None:
        return ""
    space = estimate(plan)
    volume = os.statvfs(root)
    free = volume.f_bavail * volume.f_frsize if volume.f_blocks else None  # some network volumes do not say
    needs = f"needs about {_size(space.needed)} while it runs, and {_size(space.stays)} of it stay"
    if free is not None and given.check_space and free < space.needed - there:
        done = f"; {_size(there)} are written" if there else ""
        raise ShardError(
            f"output.path {given.path!r}: the run {needs}{done}, but only {_size(free)} are free there. Make room, "
            "give an output.path on a larger volume, or set output.check_space: false to try it all the same"
        )
    what = "intermediate data included" if space.keeps_work else "without intermediate data"
    return f"{given.path} {needs}, {what}" + ("" if free is None else f"; {_size(free)} are free")


def _size(count: int) -> str:
    for unit, factor in (("TB", 1e12), ("GB", 1e9)):
        if count >= factor:
            return f"{count / factor:,.1f} {unit}"
    if count < 1e6:
        return f"{math.ceil(count / 1e3):,} KB"
    return f"{count / 1e6:,.0f} MB" if count >= 10e6 else f"{count / 1e6:,.1f} MB"
