"""Connected components of duplicates, in rounds that each need to see only part of the edges.

A node is a record's position, `shard << 32 | row` as uint64. A round sees the edges whose key falls into its range. It
contracts what is connected there to stars around the smallest node, and passes each star edge on under the keys of both
of its ends, so that stars which share a node meet in the next round. When no task changes anything any more, every node
points at the smallest node of its component (the scheme of large-star and small-star, Kiveris et al. 2014, with whole
partitions contracted at once).
"""

from __future__ import annotations

from typing import TypeAlias, TypeVar

import numpy as np
import numpy.typing as npt
import pyarrow as pa

from raylib.hashing import mix64

__all__ = [
    "Nodes",
    "contract",
    "distinct_pairs",
    "label_components",
    "node_keys",
    "nodes_of",
    "star_rows",
    "twin_stars",
]

Nodes: TypeAlias = npt.NDArray[np.uint64]
"""Positions of records, each `shard << 32 | row`."""


def nodes_of(shard: npt.NDArray[np.integer], row: npt.NDArray[np.integer]) -> Nodes:
    """Positions as single numbers.

    Args:
        shard: Shards of records, [N].
        row: Rows of the records in their shards, [N].
    """
    return np.asarray((shard.astype(np.uint64) << np.uint64(32)) | row.astype(np.uint64), np.uint64)


def node_keys(nodes: Nodes) -> npt.NDArray[np.uint64]:
    """Keys that spread nodes evenly over the key space; different nodes have different keys.

    Args:
        nodes: Nodes, [N].
    """
    return mix64(nodes.astype(np.uint64))


def label_components(left: Nodes, right: Nodes) -> tuple[Nodes, Nodes]:
    """Connected components of the edges (left[i], right[i]).

    Args:
        left: First ends of the edges, [E].
        right: Second ends of the edges, [E].

    Returns:
        All nodes, sorted, and for each the smallest node of its component.
    """
    from dedup import pair_kernels as kernels  # noqa: PLC0415 - numba loads in a second

    nodes, compact = np.unique(np.concatenate([left, right]), return_inverse=True)
    forest = np.arange(len(nodes))
    kernels.join_pairs(forest, compact[: len(left)], compact[len(left) :])
    kernels.roots(forest)
    return nodes, nodes[forest]


Number = TypeVar("Number", np.uint64, np.int64)


def distinct_pairs(
    left: npt.NDArray[Number], right: npt.NDArray[Number]
) -> tuple[npt.NDArray[Number], npt.NDArray[Number]]:
    """The different pairs (left[i], right[i]), sorted.

    Args:
        left: First members, [N].
        right: Second members, [N].
    """
    order = np.lexsort((right, left))
    left, right = left[order], right[order]
    fresh = np.ones(len(left), np.bool_)
    fresh[1:] = (left[1:] != left[:-1]) | (right[1:] != right[:-1])
    return left[fresh], right[fresh]


def star_rows(node: Nodes, root: Nodes) -> pa.Table:
    """Star edges as rows of a round, each under the keys of both ends; loops (node == root) are left out.

    Args:
        node: Nodes, [N].
        root: Smallest node of each one's component, [N].
    """
    real = node != root
    node, root = node[real], root[real]
    return pa.table(
        {
            "key": pa.array(np.concatenate([node_keys(node), node_keys(root)])),
            "node": pa.array(np.concatenate([node, node])),
            "root": pa.array(np.concatenate([root, root])),
        }
    )


def twin_stars(key: npt.NDArray[np.uint64], node: Nodes) -> pa.Table:
    """Star edges from each record to the smallest node of those with the same key.

    Args:
        key: Keys of equal records, [N].
        node: Their nodes, [N].
    """
    order = np.lexsort((node, key))
    key, node = key[order], node[order]
    opens = np.ones(len(key), np.bool_)
    opens[1:] = key[1:] != key[:-1]
    return star_rows(node, node[np.maximum.accumulate(np.where(opens, np.arange(len(key)), 0))])


def contract(table: pa.Table) -> tuple[pa.Table, bool]:
    """One round over the edges of one key range.

    Args:
        table: Rows of `star_rows`.

    Returns:
        The star rows of the components, and whether anything changed.
    """
    node, root = distinct_pairs(table["node"].to_numpy(), table["root"].to_numpy())
    nodes, roots = _contracted(node, root)
    changed = not (np.array_equal(nodes, node) and np.array_equal(roots, root))
    return star_rows(nodes, roots), changed


def _contracted(node: Nodes, root: Nodes) -> tuple[Nodes, Nodes]:
    """The nodes, sorted, of distinct star edges that are not the smallest of their component, and that smallest one.

    A node with one edge, to which no other one points, adds nothing to what is connected. Most nodes of a giant
    component are such leaves, so only the others are labelled.
    """
    roots = np.unique(root)
    points = np.searchsorted(roots, node)
    is_root = roots[np.minimum(points, len(roots) - 1)] == node if len(roots) else np.zeros(0, np.bool_)
    single = np.ones(len(node), np.bool_)
    single[1:] &= node[1:] != node[:-1]
    single[:-1] &= node[1:] != node[:-1]
    leaf = single & ~is_root & (root < node)
    if leaf.all():
        return node, root
    inner, label = label_components(node[~leaf], root[~leaf])
    at = np.minimum(np.searchsorted(inner, root[leaf]), len(inner) - 1)
    ends = np.where(inner[at] == root[leaf], label[at], root[leaf])
    real = inner != label
    nodes, ends = np.concatenate([inner[real], node[leaf]]), np.concatenate([label[real], ends])
    order = np.argsort(nodes)
    return nodes[order], ends[order]
