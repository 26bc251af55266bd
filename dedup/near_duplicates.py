"""Steps of the rounds of `minhash_dedup`: who shares a key, how records rank, what becomes of them."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.compute as pc

from dedup.candidates import Rows
from dedup.clusters import Nodes, contract
from dedup.section import cluster_notes
from raylib.schema import single_chunk
from raylib.stage import Notes, Shuffled, SketchStore

__all__ = ["NO_VERDICTS", "by_priority", "connect", "decided", "sharing"]

NO_VERDICTS = pa.schema(
    [
        ("shard", pa.int32()),
        ("row", pa.int32()),
        ("removed", pa.bool_()),
        ("duplicate_of", pa.string()),
        ("size", pa.int32()),
        ("similarity", pa.float64()),
    ]
)
"""The columns of verdicts."""


def connect(store: SketchStore) -> Shuffled:
    """The round `connect` over one range of keys.

    Args:
        store: Star edges.
    """
    rows, changed = contract(pa.concat_tables(list(store.tables())))
    return Shuffled(rows, changed)


def sharing(table: pa.Table) -> tuple[pa.Table, npt.NDArray[np.int64]]:
    """The rows whose key others have, too.

    Args:
        table: Rows with the column `key`.

    Returns:
        The rows, sorted by key, and a number for the key of each.
    """
    keys = table["key"].to_numpy()
    order = np.argsort(keys, kind="stable")
    keys = keys[order]
    same = keys[1:] == keys[:-1]
    grouped = np.zeros(len(keys), np.bool_)
    grouped[1:] |= same
    grouped[:-1] |= same
    if not grouped.any():
        return table.slice(0, 0), np.zeros(0, np.int64)
    bucket = np.cumsum(np.concatenate([[True], ~same])[grouped])
    return table.take(pa.array(order[grouped])), bucket


def by_priority(facts: pa.Table, component: Nodes, member: Nodes, ranks: Sequence[str]) -> Rows:
    """Order of members: by component, then by priorities, id, position.

    Args:
        facts: Facts about the members, [N].
        component: Component of each, [N].
        member: Their nodes, [N].
        ranks: Names of the columns of priorities.
    """
    keys = pa.table(
        {
            "component": pa.array(component),
            **{name: facts[name] for name in ranks},
            "id": facts["id"],
            "member": pa.array(member),
        }
    )
    order = pc.sort_indices(keys, sort_keys=[(name, "ascending") for name in keys.column_names])
    return np.asarray(order.to_numpy(), np.int64)


def decided(
    facts: pa.Table, member: Nodes, keeper: Rows, similarity: npt.NDArray[np.float64], *, kept_too: bool, digits: int
) -> Shuffled:
    """Verdicts about members, sorted by preference, and notes for the report.

    Args:
        facts: Facts about the members, [N].
        member: Their nodes, [N].
        keeper: Row of the one that stays of each one's cluster, [N].
        similarity: Similarity to it, [N].
        kept_too: Whether those that stay get a verdict, too.
        digits: Number of digits of similarities in notes.
    """
    stays = keeper == np.arange(len(keeper))
    rows = pa.table(
        {
            "shard": pa.array((member >> np.uint64(32)).astype(np.int32)),
            "row": pa.array((member & np.uint64(0xFFFFFFFF)).astype(np.int32)),
            "removed": pa.array(~stays),
            "duplicate_of": single_chunk(facts["id"].take(pa.array(keeper))),
            "size": pa.array(np.bincount(keeper, minlength=len(keeper))[keeper].astype(np.int32)),
            "similarity": pa.array(similarity),
        }
    )
    if not kept_too:
        rows = rows.filter(pa.array(~stays))
    return Shuffled(rows, notes=_notes(facts, member, keeper, similarity, digits))


def _notes(facts: pa.Table, member: Nodes, keeper: Rows, similarity: npt.NDArray[np.float64], digits: int) -> Notes:
    """What the report needs, and a sample of pairs whose true similarity it can look up."""
    gone = np.flatnonzero(keeper != np.arange(len(keeper)))
    rank = facts["rank"].to_numpy()
    sample = gone[np.argsort(rank[gone], kind="stable")][:200]
    pairs = [
        [int(member[keeper[r]]), int(member[r]), float(similarity[r].round(4)), int(rank[r])] for r in sample.tolist()
    ]
    codes = single_chunk(facts["source"]).dictionary_encode()
    names = codes.dictionary.to_pylist()
    source = [names[code] for code in codes.indices.to_pylist()]  # one text each, not one a record
    return {**cluster_notes(member, source, keeper, similarity, digits), "pairs": pairs}
