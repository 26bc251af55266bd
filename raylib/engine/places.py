"""The files of a run that every node of a cluster has to see."""

from __future__ import annotations

import os

from raylib.cluster.nodes import Needed
from raylib.engine.planning import Plan

__all__ = ["needed_paths", "output_path"]


_MOST_FOLDERS = 100  # of the input, of each of which one file is looked at


def needed_paths(plan: Plan) -> tuple[Needed, ...]:
    """What workers read.

    Args:
        plan: The run.

    Returns:
        The first file of each folder of the input; and what stages name, as far as this machine has it: other names
        are those of something built in, or of a model that is fetched. URIs are left out.
    """
    firsts: dict[str, str] = {}
    for unit in plan.units:
        for piece in unit.pieces:
            place = piece.file.location
            if piece.file.error is None and "://" not in place and len(firsts) < _MOST_FOLDERS:
                firsts.setdefault(os.path.dirname(place), place)
    specs = [spec for segment in plan.job.segments for spec in segment.specs]
    named = [(f"stage {spec.name!r}: {name}", path) for spec in specs for name, path in spec.paths()]
    named.append(("output.tokenizer", plan.job.tokenizer))
    there = [Needed(name, path) for name, path in dict.fromkeys(named) if os.path.isabs(path) and os.path.exists(path)]
    return (*(Needed("input.path", path) for path in firsts.values()), *there)


def output_path(plan: Plan) -> Needed | None:
    """The folder of the run; None if it is not on a disk."""
    root = plan.job.root
    return None if "://" in root else Needed("output.path", root)
