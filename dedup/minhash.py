"""Near duplicates by MinHash and locality-sensitive hashing (Broder 1997; Indyk and Motwani 1998).

Sketch: signatures of shingles and the keys of their bands; of equal texts in a table, one goes through the bands for
all. Rounds: `pairs` finds and verifies candidates that share a band, `connect` joins them to components, `choose`
decides who stays.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal, cast

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.compute as pc

from cleaning.codepoints import CodePoints
from dedup.candidates import Rows, Similar, connected
from dedup.clusters import (
    Nodes,
    distinct_pairs,
    node_keys,
    nodes_of,
    star_rows,
    twin_stars,
)
from dedup.folding import Level, Normalise, level_for, token_hashes
from dedup.lsh import band_keys, optimal_bands
from dedup.near_duplicates import NO_VERDICTS, by_priority, connect, decided, sharing
from dedup.representatives import SLACK, by_estimate, by_truth, twins_of
from dedup.sameness import compared_texts, label_keys
from dedup.section import ClusterNotes, Shingles, cluster_section
from dedup.shingles import Unit, tokens
from dedup.signatures import (
    least_agreement,
    low_bytes,
    signature_column,
    signature_matrix,
    signatures,
    true_jaccard,
)
from dedup.verdicts import priority_columns, shown_digits, verdict_places
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

    Shingles are folded characters (Chinese) or words (English) in a row. What stays is decided by `priority`, then by
    the smallest id: each record is compared with those that stay so far, and removed if it is similar to one of them.
    So every removed record is similar to one that stays, also at the end of a long chain of edits. Clusters of over
    `giant` records, often template pages, are reported. Texts shorter than a shingle only match their equals.

    Of chats all messages count, with reasoning and calls of tools. Feedback of different labels is never near: a good
    and a bad answer that differ little are what is learnt from. A preference with its answers swapped is near.

    Attributes:
        threshold: Least Jaccard similarity of duplicates, over 0 up to 1.
        ngram: Number of tokens of a shingle.
        unit: Whether tokens are folded characters or words.
        permutations: Number of values of a signature, 16 to 1024.
        bands: Number of bands; by default the optimum for the threshold.
        rows: Number of values of a band; by default the optimum for the threshold.
        verify: How similarity is measured: by `estimated` or by true `jaccard` (reads the texts again); with `none`,
            candidates are only compared, by the estimate, with the record that stays.
        priority: What decides who stays, in order: `longest`, `shortest`, `column`, `-column` or `source:a,b,c`.
        normalise: What shingles ignore: nothing (`none`), width and how much white space there is (`strict`), also
            case and the kind of mark, so that 《 is < and ① is 1 (`standard`), also punctuation between words
            (`loose`); `auto` is `standard` for documents and `strict` for chats. Case and indentation of code are
            ignored as those of prose are: for code choose `strict` or `none`.
        giant: Number of records from which a larger cluster is reported.
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
    normalise: Normalise = "auto"
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
        level: Level = "standard" if self.normalise == "auto" else self.normalise
        matrix = self.signatures(pa.array(["预热", "warm"], pa.large_string()), level)
        by_estimate(np.zeros(2, np.uint64), low_bytes(matrix), self.threshold, *self.layout)

    # ---- sketch -------------------------------------------------------------------------------

    def signatures(self, texts: pa.Array, level: Level = "standard") -> npt.NDArray[np.uint32]:
        """MinHash signatures with this stage's parameters.

        Args:
            texts: String array, N texts.
            level: How much of the texts is ignored.

        Returns:
            Signatures, [N, permutations].
        """
        return self._signed(tokens(texts, self.unit, level))

    def _signed(self, view: CodePoints) -> npt.NDArray[np.uint32]:
        return signatures(view, ngram=self.ngram, permutations=self.permutations, seed=self.seed)

    def _signed_once(
        self, texts: pa.Array, level: Level, view: CodePoints, twin: npt.NDArray[np.uint64]
    ) -> npt.NDArray[np.uint32]:
        """The signatures of texts; where over half of them are copies, of one of each only."""
        _, first, place = np.unique(twin, return_index=True, return_inverse=True)
        if 2 * len(first) > len(twin):
            return self._signed(view)
        return self.signatures(texts.take(pa.array(first)), level)[place]

    def sketch(self, table: pa.Table) -> pa.Table:
        """Keys of the bands of each record's signature."""
        return self.sketch_with_facts(table)[0]

    def sketch_with_facts(self, table: pa.Table) -> tuple[pa.Table, pa.Table]:
        """Keys of bands, and the signature, id, source and priorities of each record; signatures are computed once."""
        level = level_for(self.normalise, table)
        texts, apart = compared_texts(table), label_keys(table)
        view = tokens(texts, self.unit, level)
        twin = token_hashes(view)[:, 0]
        matrix = self._signed_once(texts, level, view, twin)
        twin = twin ^ apart
        facts = {
            "signature": signature_column(matrix),
            "twin": pa.array(twin),
            "strict": pa.repeat(pa.scalar(level == "strict"), len(table)),
            "rank": pa.array(id_hashes(table)),
            "id": table["id"],
            "source": table["source"],
            **priority_columns(table, self.priority),
        }
        return self._rows(matrix, apart, twin), pa.table(facts)

    def _rows(
        self, matrix: npt.NDArray[np.uint32], apart: npt.NDArray[np.uint64], twin: npt.NDArray[np.uint64]
    ) -> pa.Table:
        """Keys of the bands of the first of equal texts, and what connects the others to it.

        Records with different keys `apart`, [N], share no key.
        """
        bands, rows = self.layout
        order = np.argsort(twin, kind="stable")
        again = np.zeros(len(twin), np.bool_)
        again[1:] = twin[order][1:] == twin[order][:-1]
        first = np.sort(order[~again])
        again[:-1] |= again[1:]
        several = order[again]
        keys = band_keys(matrix[first] if len(several) else matrix, bands, rows) ^ apart[first, None]
        row = np.concatenate([np.repeat(first, bands), several]).astype(np.int32)
        return pa.table(
            {
                "row": pa.array(row),
                "key": pa.array(np.concatenate([keys.ravel(), twin[several]])),
                "twin": pa.array(np.arange(len(row)) >= len(row) - len(several)),
            }
        )

    # ---- rounds -------------------------------------------------------------------------------

    def rounds(self) -> tuple[Round, ...]:
        """Find pairs, connect them to components, and choose who stays."""
        return (
            Round("pairs", self._pairs),
            Round("connect", connect, repeat=True),
            Round("choose", self._choose),
        )

    def _pairs(self, store: SketchStore) -> Shuffled:
        table = pa.concat_tables(list(store.tables()))
        twins = table.filter(table["twin"])
        rows = twin_stars(twins["key"].to_numpy(), nodes_of(twins["shard"].to_numpy(), twins["row"].to_numpy()))
        if len(twins):
            table = table.filter(pc.invert(table["twin"]))
        members, bucket = sharing(table)
        del table, twins
        if len(members) == 0:
            return Shuffled(rows)
        node = nodes_of(members["shard"].to_numpy(), members["row"].to_numpy())
        nodes, index = np.unique(node, return_inverse=True)
        facts = store.facts(nodes, ["signature", "rank", "strict"])
        low = signature_matrix(facts["signature"])
        place = np.empty(len(nodes), np.int64)  # in order of rank; of equal ranks the smaller node comes first
        place[np.argsort(facts["rank"].to_numpy(), kind="stable")] = np.arange(len(nodes))
        order = np.argsort(bucket * len(nodes) + place[index])
        root, unread = connected(
            bucket[order], index[order], low, self._least_agreement, self._reader(store, nodes, self._level(facts))
        )
        notes = {"unread": unread} if unread else {}
        return Shuffled(pa.concat_tables([rows, star_rows(nodes, nodes[root])]), notes=notes)

    @property
    def _least_agreement(self) -> int:
        """In how many values the signatures of candidates must agree to be near, or to be read."""
        if self.verify == "none":
            return 0
        return least_agreement(self.threshold - (SLACK if self.verify == "jaccard" else 0.0), self.permutations)

    def _reader(self, store: SketchStore, nodes: Nodes, level: Level) -> Similar | None:
        """What reads the texts of candidates, where their true similarity decides."""
        if self.verify != "jaccard":
            return None
        return lambda left, right: self._true(store, nodes, left, right, level) >= self.threshold

    def _level(self, facts: pa.Table) -> Level:
        """The level of folding, which facts remember where the kind of records decides."""
        if self.normalise != "auto":
            return self.normalise
        return "strict" if len(facts) and facts["strict"][0].as_py() else "standard"

    def _true(self, store: SketchStore, nodes: Nodes, left: Rows, right: Rows, level: Level) -> npt.NDArray[np.float64]:
        """True similarities of pairs of nodes; some thousand texts are in memory at one time."""
        out = np.zeros(len(left))
        for begin in range(0, len(left), _PAIRS_AT_ONCE):
            end = begin + _PAIRS_AT_ONCE
            pair = np.stack([left[begin:end], right[begin:end]])
            needed, place = np.unique(pair, return_inverse=True)
            texts = pa.array(store.texts(nodes[needed]), pa.large_string())
            place = place.reshape(pair.shape)
            out[begin:end] = true_jaccard(texts, place[0], place[1], ngram=self.ngram, unit=self.unit, level=level)
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
            return Shuffled(NO_VERDICTS.empty_table())
        ranks = [f"priority_{i}" for i in range(len(self.priority))]
        facts = store.facts(member, ["id", "source", "rank", "twin", "strict", *ranks])
        order = by_priority(facts, component, member, ranks)
        facts = facts.take(pa.array(order))
        member, component = member[order], component[order]
        keeper, similarity = self._keepers(store, facts, component, member)
        return decided(facts, member, keeper, similarity, kept_too=self.mark, digits=shown_digits(self.threshold, 3))

    def _keepers(
        self, store: SketchStore, facts: pa.Table, component: Nodes, member: Nodes
    ) -> tuple[Rows, npt.NDArray[np.float64]]:
        """For sorted members: row of the record that stays, and similarity to it."""
        twins = twins_of(component, facts["twin"].to_numpy())
        nodes, component = member[twins.heads], component[twins.heads]
        low = signature_matrix(store.facts(nodes, ["signature"])["signature"])
        if self.verify == "jaccard":
            level = self._level(facts)
            keeper, similarity = by_truth(
                component, low, self.threshold, lambda a, b: self._true(store, nodes, a, b, level)
            )
        else:
            keeper, similarity = by_estimate(component, low, self.threshold, *self.layout)
        return twins.heads[keeper][twins.group], similarity[twins.group]

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
        rounded = pc.round(verdicts["similarity"], shown_digits(self.threshold, 2)).cast(pa.string())
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
        node = next((p[0] for note in notes for p in cast("ClusterNotes", note).get("pairs", [])), None)
        facts = pa.table({}) if node is None else store.facts(np.array([node], np.uint64), ["strict"])
        shingles = Shingles(self.ngram, self.unit, self._level(facts))
        digits = shown_digits(self.threshold, 2)
        return cluster_section("Near duplicates", notes, store, digits=digits, giant=self.giant, shingles=shingles)
