"""Near duplicates by MinHash and locality-sensitive hashing (Broder 1997; Indyk and Motwani 1998).

Sketch: signatures of shingles and the keys of their bands. Rounds: `pairs` finds and verifies candidates
that share a band, `connect` joins them to components, `choose` decides who stays.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Literal

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from dedup.candidates import verified
from dedup.clusters import contract, distinct_pairs, label_components, node_keys, nodes_of, star_rows
from dedup.lsh import band_keys, optimal_bands
from dedup.shingles import Unit
from dedup.signatures import Matrix, estimated_jaccard, signature_column, signature_matrix, signatures, true_jaccard
from dedup.verdicts import priority_column, row_verdicts
from raylib.hashing import id_hashes
from raylib.schema import single_chunk, text_of
from raylib.stage import Outcome, Round, Shuffled, SketchStore, StageInfo, keep_all, register, split_rejected

__all__ = ["MinHashDedup"]


_EMPTY = np.zeros(0, np.uint64)
_recent: list[tuple[pa.Table, Any, Matrix]] = []


@dataclass(frozen=True)
class MinHashDedup:
    """Keep one record of each cluster of near duplicates: estimated Jaccard of shingles at least `threshold`.

    Shingles are `ngram` folded characters (Chinese) or words (`unit: word`, English) in a row. Of
    `permutations` values, `bands` times `rows` are used; both default to the optimum for the threshold.
    Candidates are verified by `verify`: `estimated` Jaccard, true `jaccard` (reads the texts again) or
    `none`. Of a cluster stays the record that comes first by `priority` (longest, shortest, column,
    -column, source:a,b), then the one with the smallest id. Components of over `giant` records, often
    template pages chained together, are reported and, by `split`, cut into groups that are each similar
    to the record that stays: `none`, `giant` or `all`. `mark` adds `cluster` and `cluster_size` to kept
    records. Texts shorter than a shingle only match their equals.
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
            raise ValueError(f"threshold must lie in (0, 1], is {self.threshold}")
        if self.ngram < 1 or not 16 <= self.permutations <= 1024:
            raise ValueError(
                f"ngram must be at least 1 and permutations 16 to 1024, are {self.ngram}, {self.permutations}"
            )
        if (self.bands is None) != (self.rows is None):
            raise ValueError("give both bands and rows, or neither")
        bands, rows = self.layout
        if bands * rows > self.permutations or min(bands, rows) < 1:
            raise ValueError(
                f"bands x rows = {bands} x {rows} must lie between 1 and permutations = {self.permutations}"
            )

    @property
    def layout(self) -> tuple[int, int]:
        """(bands, rows)."""
        if self.bands is not None and self.rows is not None:
            return self.bands, self.rows
        return optimal_bands(self.threshold, self.permutations)

    def setup(self) -> None:
        """Compile the kernels and build the folding table before the first shard."""
        self._signatures(pa.table({"text": pa.array(["预热", "warm"], pa.large_string())}))
        estimated_jaccard(np.zeros((2, 8), np.uint8), np.array([0]), np.array([1]))

    # ---- sketch -------------------------------------------------------------------------------

    def _signatures(self, table: pa.Table) -> Matrix:
        for known, stage, matrix in _recent:
            if known is table and stage == self:
                return matrix
        matrix = signatures(
            text_of(table), ngram=self.ngram, unit=self.unit, permutations=self.permutations, seed=self.seed
        )
        _recent[:] = [(table, self, matrix)]
        return matrix

    def sketch(self, table: pa.Table) -> pa.Table:
        bands, rows = self.layout
        keys = band_keys(self._signatures(table), bands, rows)
        row = np.repeat(np.arange(len(table), dtype=np.int32), bands)
        return pa.table({"row": pa.array(row), "key": pa.array(keys.ravel())})

    def facts(self, table: pa.Table) -> pa.Table:
        columns: dict[str, Any] = {
            "signature": signature_column(self._signatures(table)),
            "rank": pa.array(id_hashes(table)),
            "id": table["id"],
            "source": table["source"],
        }
        for i, expression in enumerate(self.priority):
            columns[f"priority_{i}"] = pa.array(priority_column(table, expression))
        return pa.table(columns)

    # ---- rounds -------------------------------------------------------------------------------

    def rounds(self) -> tuple[Round, ...]:
        return (
            Round("pairs", self._pairs),
            Round("connect", _connect, repeat=True),
            Round("choose", self._choose),
        )

    def resolve(self, sketches: SketchStore) -> pa.Table:
        """All rounds in memory, for a store that holds everything."""
        from raylib.stage import resolve_in_memory

        return resolve_in_memory(self, sketches)

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
            return Shuffled(star_rows(_EMPTY, _EMPTY))
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

    def _similar(self, low: Matrix, left: Matrix, right: Matrix) -> Matrix:
        if self.verify == "none":
            return np.ones(len(left), np.bool_)
        slack = 0.1 if self.verify == "jaccard" else 0.0
        return estimated_jaccard(low, left, right) >= self.threshold - slack

    def _exactly_similar(self, store: SketchStore, nodes: Matrix, left: Matrix, right: Matrix) -> Matrix:
        out = np.zeros(len(left), np.bool_)
        step = 20_000  # pairs whose texts are in memory at one time
        for begin in range(0, len(left), step):
            pair = np.stack([left[begin : begin + step], right[begin : begin + step]])
            needed, place = np.unique(pair, return_inverse=True)
            texts = pa.array(store.texts(nodes[needed]), pa.large_string())
            place = place.reshape(pair.shape)
            found = true_jaccard(texts, place[0], place[1], ngram=self.ngram, unit=self.unit)
            out[begin : begin + step] = found >= self.threshold
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
            return Shuffled(_verdicts([], [], [], [], []))
        facts = store.facts(member)
        order = _by_priority(facts, component, member, len(self.priority))
        facts = facts.take(pa.array(order))
        member, component = member[order], component[order]
        keeper, similarity = self._groups(component, signature_matrix(facts["signature"]))
        return self._decide(facts, member, keeper, similarity)

    def _groups(self, component: Matrix, low: Matrix) -> tuple[Matrix, Matrix]:
        """For sorted members: row of the record that stays, similarity to it."""
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
            # what is not similar to the one that stays forms groups of its own, again by priority
            rest = np.flatnonzero(apart)
            starts = np.concatenate([[True], component[rest][1:] != component[rest][:-1]])
            leader = rest[np.maximum.accumulate(np.where(starts, np.arange(len(rest)), 0))]
            near = estimated_jaccard(low, leader, rest)
            joined = (near >= self.threshold) | (leader == rest)
            keeper[rest[joined]], similarity[rest[joined]] = leader[joined], near[joined]
            apart[rest[joined]] = False
        return keeper, similarity

    def _decide(self, facts: pa.Table, member: Matrix, keeper: Matrix, similarity: Matrix) -> Shuffled:
        sizes = np.bincount(keeper, minlength=len(keeper))
        ids = facts["id"].take(pa.array(keeper))
        stays = keeper == np.arange(len(keeper))
        wanted = pa.array(np.ones(len(stays), np.bool_) if self.mark else ~stays)
        rows = _verdicts(member, ~stays, ids, sizes[keeper], similarity).filter(wanted)
        return Shuffled(rows, notes=_notes(facts, member, keeper, similarity))

    # ---- apply --------------------------------------------------------------------------------

    def apply(self, table: pa.Table, verdicts: pa.Table) -> Outcome:
        index = row_verdicts(table, verdicts) if len(verdicts) else np.full(len(table), -1)
        known = pa.array(np.maximum(index, 0), mask=index < 0)
        if self.mark:
            for name, of, kind in (("cluster", "duplicate_of", pa.string()), ("cluster_size", "size", pa.int32())):
                column = verdicts[of].take(known).cast(kind) if len(verdicts) else pa.nulls(len(table), kind)
                if name in table.column_names:
                    table = table.drop_columns([name])
                table = table.append_column(name, column)
        if len(verdicts) == 0:
            return keep_all(table)
        removed = pc.fill_null(single_chunk(verdicts["removed"].take(known)), False)
        rounded = pc.round(verdicts["similarity"], 2).cast(pa.string())
        words = pc.binary_join_element_wise("duplicate of ", verdicts["duplicate_of"], ", similarity ", rounded, "")
        return split_rejected(
            table, removed, stage="minhash_dedup", reason="near_duplicate", detail=single_chunk(words.take(known))
        )

    def section(self, notes: list[dict[str, Any]], store: SketchStore) -> dict[str, Any]:
        """This stage's part of the report."""
        from dedup.section import cluster_section

        return cluster_section(self, notes, store)


def _connect(store: SketchStore) -> Shuffled:
    rows, changed = contract(pa.concat_tables(list(store.tables())))
    return Shuffled(rows, changed)


def _by_priority(facts: pa.Table, component: Matrix, member: Matrix, count: int) -> Matrix:
    """Order of members: by component, then by priorities, id, position."""
    keys = pa.table(
        {
            "component": pa.array(component),
            **{f"p{i}": facts[f"priority_{i}"] for i in range(count)},
            "id": facts["id"],
            "member": pa.array(member),
        }
    )
    return pc.sort_indices(keys, sort_keys=[(name, "ascending") for name in keys.column_names]).to_numpy()


def _verdicts(member: Any, removed: Any, keeper: Any, size: Any, similarity: Any) -> pa.Table:
    member = np.asarray(member, np.uint64)
    return pa.table(
        {
            "shard": pa.array((member >> np.uint64(32)).astype(np.int32)),
            "row": pa.array((member & np.uint64(0xFFFFFFFF)).astype(np.int32)),
            "removed": pa.array(np.asarray(removed, np.bool_)),
            "duplicate_of": single_chunk(keeper)
            if isinstance(keeper, (pa.Array, pa.ChunkedArray))
            else pa.array([], pa.string()),
            "size": pa.array(np.asarray(size, np.int32)),
            "similarity": pa.array(np.asarray(similarity, np.float64)),
        }
    )


def _notes(facts: pa.Table, member: Matrix, keeper: Matrix, similarity: Matrix) -> dict[str, Any]:
    """What the report needs, and a sample of pairs whose true similarity it can look up."""
    from dedup.section import cluster_notes

    gone = np.flatnonzero(keeper != np.arange(len(keeper)))
    rank = facts["rank"].to_numpy()
    sample = gone[np.argsort(rank[gone], kind="stable")][:200]
    pairs = [
        [int(member[keeper[r]]), int(member[r]), float(similarity[r].round(4)), int(rank[r])] for r in sample.tolist()
    ]
    return {**cluster_notes(member, facts["source"].to_pylist(), keeper, similarity), "pairs": pairs}


register(
    StageInfo(
        name="minhash_dedup",
        make=MinHashDedup,
        kind="global",
        summary=MinHashDedup.__doc__ or "",
        reason="near_duplicate",
    )
)
