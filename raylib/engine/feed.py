"""The tasks of a segment that are still to be done: from units and streams of the input, or from the segment before."""

from __future__ import annotations

from collections.abc import Iterator

from raylib.engine.executor import Executor
from raylib.engine.fingerprints import digest
from raylib.engine.ledger import Ledger
from raylib.engine.planning import Plan
from raylib.engine.shuffles import Shuffle
from raylib.engine.tasks import ShardTask
from raylib.reading.units import Unit
from raylib.storage.names import Phase, ShardName

__all__ = ["first_tasks", "next_tasks"]


_ACTORS_A_READER = 16  # number of actors that one reader of a large file keeps busy
_FIRST = Phase.segment(0)


def first_tasks(plan: Plan, ledger: Ledger, executor: Executor) -> Iterator[ShardTask]:
    """Tasks of the first segment.

    Args:
        plan: The run.
        ledger: Finished tasks.
        executor: Reads large files; on large clusters several side by side.

    Yields:
        A task for each shard that is not done, in the order of the input.
    """
    streams: list[Iterator[ShardTask]] = []
    readers = 1 + executor.actors // _ACTORS_A_READER
    for unit in plan.units:
        if not unit.streamed:
            yield from _unit_task(plan, ledger, unit)
            continue
        streams.append(_stream_tasks(plan, ledger, executor, unit))
        while len(streams) >= readers:
            yield from _one_of(streams)
    while streams:
        yield from _one_of(streams)


def _one_of(streams: list[Iterator[ShardTask]]) -> Iterator[ShardTask]:
    """A task of the stream whose turn it is; streams that have ended are dropped."""
    stream = streams.pop(0)
    task = next(stream, None)
    if task is not None:
        yield task
        streams.append(stream)


def _unit_task(plan: Plan, ledger: Ledger, unit: Unit) -> Iterator[ShardTask]:
    shard = ShardName(unit.number)
    key = digest(plan.chain[0], [p.identity() for p in unit.pieces])
    if not ledger.resume(_FIRST, shard, key):
        yield ShardTask(0, shard, key, pieces=unit.pieces, limit=plan.limit)


def _stream_tasks(plan: Plan, ledger: Ledger, executor: Executor, unit: Unit) -> Iterator[ShardTask]:
    """Tasks for the blocks of a large file, which one reader cuts."""
    piece = unit.pieces[0]
    whole = digest(plan.chain[0], piece.identity())
    finished = ledger.stream(unit.number, whole)
    done = _done_blocks(ledger, unit.number, whole, None if finished is None else finished.blocks)
    if finished is not None and len(done) == finished.blocks:
        return
    count = 0
    for number, block in enumerate(executor.blocks(piece, plan.job.read, frozenset(done))):
        count = number + 1
        if number not in done:
            yield ShardTask(0, ShardName(unit.number, number), digest(whole, number), block=block)
    ledger.finish_stream(unit.number, whole, count)


def _done_blocks(ledger: Ledger, unit: int, whole: str, blocks: int | None) -> set[int]:
    """Blocks of a large file that an earlier run did.

    Args:
        ledger: Finished tasks.
        unit: Number of the unit that the file is.
        whole: Fingerprint of the file.
        blocks: Number of blocks; None while the file was never read to its end.
    """
    done: set[int] = set()
    number = 0
    while blocks is None or number < blocks:
        shard = ShardName(unit, number)
        if ledger.resume(_FIRST, shard, digest(whole, number)):
            done.add(number)
        elif blocks is None and not ledger.knows(shard):
            break  # nothing was committed from here on, or only out of order
        number += 1
    if blocks is not None and len(done) == blocks:
        return done
    for number in ledger.known_blocks(unit):  # those behind the first gap
        if number not in done and ledger.resume(_FIRST, ShardName(unit, number), digest(whole, number)):
            done.add(number)
    return done


def next_tasks(plan: Plan, ledger: Ledger, number: int, before: Shuffle) -> Iterator[ShardTask]:
    """Tasks of a later segment.

    Args:
        plan: The run.
        ledger: Finished tasks.
        number: Number of the segment.
        before: What the global stage before it decided.

    Yields:
        A task for each shard that is not done.
    """
    shards = ledger.shards(number - 1)
    for ordinal, shard in enumerate(sorted(shards, key=str)):
        key = digest(plan.chain[number], shards[shard].key, before.key)
        if not ledger.resume(Phase.segment(number), shard, key):
            yield ShardTask(number, shard, key, verdicts=before.runs, shared=before.shared, ordinal=ordinal)
