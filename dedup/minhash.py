"""Near duplicates by MinHash and locality-sensitive hashing (Broder 1997; Indyk and Motwani 1998).

Sketch: signatures of shingles and the keys of their bands. Rounds: `pairs` finds and verifies candidates that share a
band, `connect` joins them to components, `choose` decides who stays.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.compute as pc

from dedup.candidates import Rows, verified
from dedup.clusters import Nodes, contract, distinct_pairs, label_components, node_keys, nodes_of, star_rows
from dedup.lsh import band_keys, optimal_bands
from dedup.sameness import compared_texts, label_keys
from dedup.section import Shingles, cluster_notes, cluster_section
from dedup.shingles import Unit
from dedup.signatures import (
    LowBytes,
    estimated_jaccard,
    signature_column,
    signature_matrix,
    signatures,
    true_jaccard,
)
from dedup.verdicts import priority_columns, verdict_places
from raylib.errors import ParameterError
from raylib.hashing import id_hashes
from raylib.schema import single_chunk
from raylib.stage import (
    Applier,
    GlobalStage,
    Notes,
    Outcome,
    Round,
    Section,
    Shuffled,
    SketchStore,
    keep_all,
    split_rejected,
    stage,
    with_columns,
)

__all__ = ["MinHashDedup"]

_PAIRS_AT_ONCE = 20_000  # pairs whose texts are in memory at one time


@stage("minhash_dedup", kind="global", reason="near_duplicate")
@dataclass(frozen=True)
class MinHashDedup(GlobalStage):
    """Keep one record of each cluster of near duplicates: estimated Jaccard of shingles at least `threshold`.

    Shingles are folded characters (Chinese) or words (English) in a row. Of a cluster stays the record that comes first
    by `priority`, then the one with the smallest id. Components of over `giant` records, often template pages that are
    chained together, are reported. Texts shorter than a shingle only match their equals.

    Of chats all messages count, with reasoning and calls of tools. Feedback of different labels is never near: a good
    and a bad answer that differ little are what is learnt from. A preference with its answers swapped is near.

    Attributes:
        threshold: Least Jaccard similarity of duplicates, over 0 up to 1.
        ngram: Number of tokens of a shingle.
        unit: Whether tokens are folded characters or words.
        permutations: Number of values of a signature, 16 to 1024.
        bands: Number of bands; by default the optimum for the threshold.
        rows: Number of values of a band; by default the optimum for the threshold.
        verify: How candidates are verified: by `estimated` Jaccard, by true `jaccard` (reads the texts again), or not.
        priority: What decides who stays, in order: `longest`, `shortest`, `column`, `-column` or `source:a,b,c`.
        split: Which components are cut into groups that are each similar to the record that stays: `none`, those of
            over `giant` records, or `all`.
        giant: Number of records from which a larger component is reported.
        mark: Whether kept records get the columns `cluster` and `cluster_size`.
        seed: Seed of the permutations.
    """

    threshold: float = 0.7
    ngram: int = 5
    unit: Unit = "character"
    permutations: int = 128
    bands: int | None = None
    rows: int | None = None
    verify: Literal["estimated", "jaccard", "none"] = "estimated"
    priority: tuple[str, ...] = ()
    split: Literal["none", "giant", "all"] = "giant"
    giant: int = 1000
    mark: bool = False
    seed: int = 1

    def __post_init__(self) -> None:
        if not 0.0 < self.threshold <= 1.0:
            raise ParameterError(f"threshold must lie in (0, 1], is {self.threshold}")
        if self.ngram < 1:
            raise ParameterError(f"ngram must be at least 1, is {self.ngram}")
        if not 16 <= self.permutations <= 1024:
            raise ParameterError(f"permutations must lie between 16 and 1024, is {self.permutations}")
        if (self.bands is None) != (self.rows is None):
            raise ParameterError("give both bands and rows, or neither")
        bands, rows = self.layout
        if bands * rows > self.permutations or min(bands, rows) < 1:
            raise ParameterError(
                f"bands x rows = {bands} x {rows} must lie between 1 and permutations = {self.permutations}"
            )

    @property
    def layout(self) -> tuple[int, int]:
        """Number of bands, and number of values of a band."""
        if self.bands is not None and self.rows is not None:
            return self.bands, self.rows
        return optimal_bands(self.threshold, self.permutations)

    def setup(self) -> None:
        """Compile the kernels and build the folding table before the first shard."""
        self.signatures(pa.array(["预热", "warm"], pa.large_string()))
        estimated_jaccard(np.zeros((2, 8), np.uint8), np.array([0]), np.array([1]))

    # ---- sketch -------------------------------------------------------------------------------

    def signatures(self, texts: pa.Array) -> npt.NDArray[np.uint32]:
        """MinHash signatures with this stage's parameters.

        Args:
            texts: String array, N texts.

        Returns:
            Signatures, [N, permutations].
        """
        return signatures(texts, ngram=self.ngram, unit=self.unit, permutations=self.permutations, seed=self.seed)

    def sketch(self, table: pa.Table) -> pa.Table:
        """Keys of the bands of each record's signature."""
        return self._band_rows(self.signatures(compared_texts(table)), label_keys(table))

    def sketch_with_facts(self, table: pa.Table) -> tuple[pa.Table, pa.Table]:
        """Keys of bands, and the signature, id, source and priorities of each record; signatures are computed once."""
        matrix = self.signatures(compared_texts(table))
        facts = {
            "signature": signature_column(matrix),
            "rank": pa.array(id_hashes(table)),
            "id": table["id"],
            "source": table["source"],
            **priority_columns(table, self.priority),
        }
        return self._band_rows(matrix, label_keys(table)), pa.table(facts)

    def _band_rows(self, matrix: npt.NDArray[np.uint32], apart: npt.NDArray[np.uint64]) -> pa.Table:
        """Keys of the bands of N signatures; records with different keys `apart`, [N], never share one."""
        bands, rows = self.layout
        keys = band_keys(matrix, bands, rows) ^ apart[:, None]
        row = np.repeat(np.arange(len(matrix), dtype=np.int32), bands)
        return pa.table({"row": pa.array(row), "key": pa.array(keys.ravel())})

    # ---- rounds -------------------------------------------------------------------------------

    def rounds(self) -> tuple[Round, ...]:
        """Find pairs, connect them to components, and choose who stays."""
        return (
            Round("pairs", self._pairs),
            Round("connect", _connect, repeat=True),
            Round("choose", self._choose),
        )

    def _pairs(self, store: SketchStore) -> Shuffled:
        table = pa.concat_tables(list(store.tables()))
        keys = table["key"].to_numpy()
        order = np.argsort(keys, kind="stable")
        keys = keys[order]
        same = keys[1:] == keys[:-1]
        grouped = np.zeros(len(keys), np.bool_)
        grouped[1:] |= same
        grouped[:-1] |= same
        if not grouped.any():
            nothing = np.zeros(0, np.uint64)
            return Shuffled(star_rows(nothing, nothing))
        members = table.take(pa.array(order[grouped]))
        node = nodes_of(members["shard"].to_numpy(), members["row"].to_numpy())
        bucket = np.cumsum(np.concatenate([[True], ~same])[grouped])
        nodes, index = np.unique(node, return_inverse=True)
        facts = store.facts(nodes, ["signature", "rank"])
        rank = facts["rank"].to_numpy()
        low = signature_matrix(facts["signature"])
        order = np.lexsort((nodes[index], rank[index], bucket))
        left, right, unread = verified(bucket[order], index[order], lambda a, b: self._similar(low, a, b))
        if self.verify == "jaccard":
            true = self._exactly_similar(store, nodes, left, right)
            left, right = left[true], right[true]
        joined, roots = label_components(nodes[left], nodes[right])
        notes = {"candidates": len(left), "unread": unread} if unread else {"candidates": len(left)}
        return Shuffled(star_rows(joined, roots), notes=notes)

    def _similar(self, low: LowBytes, left: Rows, right: Rows) -> npt.NDArray[np.bool_]:
        if self.verify == "none":
            return np.ones(len(left), np.bool_)
        slack = 0.1 if self.verify == "jaccard" else 0.0
        return np.asarray(estimated_jaccard(low, left, right) >= self.threshold - slack)

    def _exactly_similar(self, store: SketchStore, nodes: Nodes, left: Rows, right: Rows) -> npt.NDArray[np.bool_]:
        out = np.zeros(len(left), np.bool_)
        for begin in range(0, len(left), _PAIRS_AT_ONCE):
            end = begin + _PAIRS_AT_ONCE
            pair = np.stack([left[begin:end], right[begin:end]])
            needed, place = np.unique(pair, return_inverse=True)
            texts = pa.array(store.texts(nodes[needed]), pa.large_string())
            place = place.reshape(pair.shape)
            found = true_jaccard(texts, place[0], place[1], ngram=self.ngram, unit=self.unit)
            out[begin:end] = found >= self.threshold
        return out

    def _choose(self, store: SketchStore) -> Shuffled:
        table = pa.concat_tables(list(store.tables()))
        node, root = table["node"].to_numpy(), table["root"].to_numpy()
        # every star edge comes under the keys of both ends; the root's is the one that counts here
        mine = table["key"].to_numpy() == node_keys(root)
        root, node = distinct_pairs(root[mine], node[mine])
        roots = np.unique(root)
        member = np.concatenate([node, roots])
        component = np.concatenate([root, roots])
        if len(member) == 0:
            return Shuffled(_NO_VERDICTS.empty_table())
        facts = store.facts(member)
        order = _by_priority(facts, component, member, len(self.priority))
        facts = facts.take(pa.array(order))
        member, component = member[order], component[order]
        keeper, similarity = self._groups(component, signature_matrix(facts["signature"]))
        return self._decide(facts, member, keeper, similarity)

    def _groups(self, component: Nodes, low: LowBytes) -> tuple[Rows, npt.NDArray[np.float64]]:
        """For sorted members: row of the record that stays, and similarity to it."""
        opens = np.concatenate([[True], component[1:] != component[:-1]])
        first = np.maximum.accumulate(np.where(opens, np.arange(len(opens)), 0))
        similarity = estimated_jaccard(low, first, np.arange(len(first)))
        sizes = np.bincount(first, minlength=len(first))[first]
        if self.split == "none":
            return first, similarity
        keeper = first.copy()
        large = sizes > (self.giant if self.split == "giant" else 2)
        apart = large & (similarity < self.threshold)
        while apart.any():
            # records that are not similar to the one that stays form further groups, again by priority
            rest = np.flatnonzero(apart)
            starts = np.concatenate([[True], component[rest][1:] != component[rest][:-1]])
            leader = rest[np.maximum.accumulate(np.where(starts, np.arange(len(rest)), 0))]
            near = estimated_jaccard(low, leader, rest)
            joined = (near >= self.threshold) | (leader == rest)
            keeper[rest[joined]], similarity[rest[joined]] = leader[joined], near[joined]
            apart[rest[joined]] = False
        return keeper, similarity

    def _decide(self, facts: pa.Table, member: Nodes, keeper: Rows, similarity: npt.NDArray[np.float64]) -> Shuffled:
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
        if not self.mark:
            rows = rows.filter(pa.array(~stays))
        return Shuffled(rows, notes=_notes(facts, member, keeper, similarity))

    # ---- apply --------------------------------------------------------------------------------

    def applier(self, shared: Sequence[pa.Table]) -> Applier:
        """Reject the records that were removed; with `mark`, add the columns about clusters."""
        return self._apply

    def _apply(self, table: pa.Table, verdicts: pa.Table) -> Outcome:
        if len(verdicts) == 0:
            return keep_all(self._marked(table, pa.nulls(len(table)), pa.nulls(len(table))))
        places = verdict_places(table, verdicts)
        table = self._marked(table, verdicts["duplicate_of"].take(places), verdicts["size"].take(places))
        removed = pc.fill_null(single_chunk(verdicts["removed"].take(places)), False)
        rounded = pc.round(verdicts["similarity"], 2).cast(pa.string())
        words = pc.binary_join_element_wise("duplicate of ", verdicts["duplicate_of"], ", similarity ", rounded, "")
        detail = single_chunk(words.take(places))
        return split_rejected(table, removed, stage="minhash_dedup", reason="near_duplicate", detail=detail)

    def _marked(self, table: pa.Table, cluster: pa.Array, size: pa.Array) -> pa.Table:
        if not self.mark:
            return table
        columns = {"cluster": cluster.cast(pa.string()), "cluster_size": size.cast(pa.int32())}
        return with_columns(table, columns)

    def section(self, notes: Sequence[Notes], store: SketchStore) -> Section:
        """Clusters, and how exact the estimates are."""
        shingles = Shingles(self.ngram, self.unit)
        return cluster_section("Near duplicates", notes, store, giant=self.giant, shingles=shingles)


_NO_VERDICTS = pa.schema(
    [
        ("shard", pa.int32()),
        ("row", pa.int32()),
        ("removed", pa.bool_()),
        ("duplicate_of", pa.string()),
        ("size", pa.int32()),
        ("similarity", pa.float64()),
    ]
)


def _connect(store: SketchStore) -> Shuffled:
    rows, changed = contract(pa.concat_tables(list(store.tables())))
    return Shuffled(rows, changed)


def _by_priority(facts: pa.Table, component: Nodes, member: Nodes, count: int) -> Rows:
    """Order of members: by component, then by priorities, id, position."""
    keys = pa.table(
        {
            "component": pa.array(component),
            **{f"p{i}": facts[f"priority_{i}"] for i in range(count)},
            "id": facts["id"],
            "member": pa.array(member),
        }
    )
    order = pc.sort_indices(keys, sort_keys=[(name, "ascending") for name in keys.column_names])
    return np.asarray(order.to_numpy(), np.int64)


def _notes(facts: pa.Table, member: Nodes, keeper: Rows, similarity: npt.NDArray[np.float64]) -> Notes:
    """What the report needs, and a sample of pairs whose true similarity it can look up."""
    gone = np.flatnonzero(keeper != np.arange(len(keeper)))
    rank = facts["rank"].to_numpy()
    sample = gone[np.argsort(rank[gone], kind="stable")][:200]
    pairs = [
        [int(member[keeper[r]]), int(member[r]), float(similarity[r].round(4)), int(rank[r])] for r in sample.tolist()
    ]
    return {**cluster_notes(member, facts["source"].to_pylist(), keeper, similarity), "pairs": pairs}
