"""Whether every node of a cluster sees the files of a run: asked before any work, because a mount may be missing."""

from __future__ import annotations

import contextlib
import logging
import os
import tempfile
import time
import uuid
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from typing import TypedDict

from raylib.atomic import FULL_VOLUME, SUFFIX
from raylib.errors import SourceError

__all__ = ["Needed", "check_nodes"]

logger = logging.getLogger(__name__)

_ANSWER = 120.0  # seconds that a node has to answer; a busy one has to start a process first
_LAG = 3.0  # seconds after which a network volume shows on one machine what another has written
_NAMED = 3  # nodes, and paths of each, that the error names


@dataclass(frozen=True)
class Needed:
    """Something that every node has to be able to read.

    Attributes:
        name: What names it, such as `input.path`.
        path: Absolute path of a file or a folder.
    """

    name: str
    path: str


class _Node(TypedDict):
    """What Ray tells about a node, as far as it is used here."""

    NodeID: str
    Alive: bool
    NodeManagerHostname: str
    NodeManagerAddress: str
    Resources: Mapping[str, float]


def check_nodes(needed: Sequence[Needed], output: Needed | None, *, resource: str = "") -> None:
    """Ask every node of the cluster that this process has joined whether it sees the files of a run.

    The nodes are asked side by side, by one task each. A node that is lost meanwhile, or that does not answer within
    two minutes, is left out with a warning.

    Args:
        needed: What they have to be able to read.
        output: Folder that they have to write into, the same for all of them; made if it is missing. None if it is
            not on a disk.
        resource: Name of a resource, such as `GPU`; nodes without it do none of the work and are not asked.

    Raises:
        SourceError: A node does not see them; names the node and the path. A folder that was made is removed again.
            Or this machine cannot write into the folder.
        OSError: The volume of the folder is full.
    """
    with contextlib.nullcontext() if output is None else _marker(output) as marker:
        _raise_for(_ask(needed, marker, resource))


def _raise_for(complaints: Mapping[str, Sequence[str]]) -> None:
    """The error that names the first nodes with what they do not see."""
    if not complaints:
        return
    shown = [f"{node}: {_some(list(said))}" for node, said in complaints.items()]
    count = f"{len(shown)} nodes do" if len(shown) > 1 else "a node of the cluster does"
    raise SourceError(
        f"{count} not see what the run needs: {_some(shown)}. Mount it at the same path on every node, or give a URI "
        "that all nodes can open, such as s3://...; nothing was started"
    )


def _some(items: Sequence[str]) -> str:
    more = len(items) - _NAMED
    return "; ".join(items[:_NAMED]) + (f"; and {more} more" if more > 0 else "")


@contextmanager
def _marker(output: Needed) -> Iterator[Needed]:
    """An empty file with a new name in a folder: who sees it sees the same folder."""
    made = []
    folder = above = output.path
    while not os.path.exists(above):
        made.append(above)
        above = os.path.dirname(above)
    path = os.path.join(folder, f".seen-{uuid.uuid4().hex}{SUFFIX}")
    try:
        _create(output.name, path)
        yield Needed(output.name, path)
    except BaseException:
        _remove(path)
        for empty in made:
            with contextlib.suppress(OSError):
                os.rmdir(empty)
        raise
    _remove(path)


def _create(name: str, path: str) -> None:
    folder = os.path.dirname(path)
    try:
        os.makedirs(folder, exist_ok=True)
        with open(path, "xb"):
            pass
    except OSError as error:
        if error.errno in FULL_VOLUME:
            raise
        raise SourceError(f"{name}: cannot write to {folder}: {error.strerror}") from None


def _remove(path: str) -> None:
    with contextlib.suppress(OSError):
        os.unlink(path)


def _ask(needed: Sequence[Needed], marker: Needed | None, resource: str) -> dict[str, list[str]]:
    """What nodes complain of, by their names; nodes that see everything are left out."""
    import ray  # noqa: PLC0415 - loads in seconds
    from ray.util.scheduling_strategies import NodeAffinitySchedulingStrategy as Pinned  # noqa: PLC0415 - loads Ray

    nodes: list[_Node] = [n for n in ray.nodes() if n["Alive"] and (not resource or n["Resources"].get(resource))]
    look = ray.remote(_look)
    asked: dict[object, str] = {}
    for node in nodes:
        place = look.options(num_cpus=0, max_retries=0, scheduling_strategy=Pinned(node["NodeID"], soft=False))
        asked[place.remote(tuple(needed), marker)] = f"{node['NodeManagerHostname']} ({node['NodeManagerAddress']})"
    answered, silent = ray.wait(list(asked), num_returns=len(asked), timeout=_ANSWER) if asked else ([], [])
    for reference in silent:
        logger.warning("node %s did not say within %.0f s whether it sees all files", asked[reference], _ANSWER)
    complaints: dict[str, list[str]] = {}
    for reference in answered:
        try:
            said = ray.get(reference)
        except ray.exceptions.RayTaskError as error:
            said = [str(error.cause)]
        except ray.exceptions.RayError as error:  # what happens to lost nodes is the pool's concern
            logger.warning("node %s could not be asked whether it sees all files: %s", asked[reference], error)
            continue
        if said:
            complaints[asked[reference]] = said
    return dict(sorted(complaints.items()))


def _look(needed: tuple[Needed, ...], marker: Needed | None) -> list[str]:
    """What this machine does not see; runs on every node."""
    said = [complaint for item in needed if (complaint := _unreadable(item))]
    if marker is not None and (complaint := _not_shared(marker)):
        said.append(complaint)
    return said


def _unreadable(item: Needed) -> str:
    try:
        if os.path.isdir(item.path):
            with os.scandir(item.path) as names:
                next(names, None)
        else:
            with open(item.path, "rb"):
                pass
    except OSError as error:
        return f"{item.name} {item.path}: {error.strerror} there"
    return ""


def _not_shared(marker: Needed) -> str:
    """Whether the folder is another one here, or cannot be written."""
    folder = os.path.dirname(marker.path)
    deadline = time.monotonic() + _LAG
    while not os.path.exists(marker.path):
        if time.monotonic() > deadline:
            return f"{marker.name} {folder} is not the folder that the command sees"
        time.sleep(0.1)
        with contextlib.suppress(OSError):
            os.listdir(folder)  # a network volume looks for new files now
    try:
        with tempfile.TemporaryFile(dir=folder):
            pass
    except OSError as error:
        if error.errno not in FULL_VOLUME:  # that is reported where data are written
            return f"{marker.name} {folder} cannot be written there: {error.strerror}"
    return ""
