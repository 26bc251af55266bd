"""Connected components and who stays: exact, and in rounds that each need to see only part of the edges.

A node is a record's position, `shard << 32 | row` as uint64. A round sees the edges whose key falls
into its range, contracts what is connected there to stars around the smallest node, and hands each
star edge on under the keys of both of its ends, so that stars which share a node meet in the next
round. When no task changes anything any more, every node points at the smallest node of its component
(the scheme of large-star and small-star, Kiveris et al. 2014, with whole partitions contracted at once).
"""

from __future__ import annotations

from typing import Any

import numpy as np
import pyarrow as pa

__all__ = ["contract", "distinct_pairs", "label_components", "node_keys", "nodes_of", "star_rows"]

_PRIME = np.uint64(0x9E3779B97F4A7C15)
Nodes = np.ndarray[Any, Any]


def nodes_of(shard: Nodes, row: Nodes) -> Nodes:
    """Positions as single numbers."""
    return (shard.astype(np.uint64) << np.uint64(32)) | row.astype(np.uint64)


def node_keys(nodes: Nodes) -> Nodes:
    """Keys that spread nodes evenly over the key space (a bijection: the splitmix64 finaliser)."""
    keys = nodes.astype(np.uint64)
    with np.errstate(over="ignore"):
        keys = (keys ^ (keys >> np.uint64(30))) * np.uint64(0xBF58476D1CE4E5B9)
        keys = (keys ^ (keys >> np.uint64(27))) * np.uint64(0x94D049BB133111EB)
    return keys ^ (keys >> np.uint64(31))


def label_components(left: Nodes, right: Nodes) -> tuple[Nodes, Nodes]:
    """Connected components of the edges (left[i], right[i]).

    Returns all nodes, sorted, and for each the smallest node of its component.
    """
    from scipy.sparse import coo_array
    from scipy.sparse.csgraph import connected_components

    nodes, compact = np.unique(np.concatenate([left, right]), return_inverse=True)
    edges = (compact[: len(left)], compact[len(left) :])
    graph = coo_array((np.ones(len(left), np.int8), edges), shape=(len(nodes), len(nodes)))
    _, labels = connected_components(graph, directed=False)
    first = np.full(labels.max(initial=-1) + 1, len(nodes), np.int64)
    np.minimum.at(first, labels, np.arange(len(nodes)))
    return nodes, nodes[first[labels]]


def distinct_pairs(left: Nodes, right: Nodes) -> tuple[Nodes, Nodes]:
    """The different pairs (left[i], right[i]), sorted."""
    order = np.lexsort((right, left))
    left, right = left[order], right[order]
    fresh = np.ones(len(left), np.bool_)
    fresh[1:] = (left[1:] != left[:-1]) | (right[1:] != right[:-1])
    return left[fresh], right[fresh]


def star_rows(node: Nodes, root: Nodes) -> pa.Table:
    """Star edges as rows of a round, each under the keys of both ends; loops (node == root) are left out."""
    real = node != root
    node, root = node[real], root[real]
    return pa.table(
        {
            "key": pa.array(np.concatenate([node_keys(node), node_keys(root)])),
            "node": pa.array(np.concatenate([node, node])),
            "root": pa.array(np.concatenate([root, root])),
        }
    )


def contract(table: pa.Table) -> tuple[pa.Table, bool]:
    """One round over the edges of one key range: the star rows of its components, and whether anything changed."""
    node, root = distinct_pairs(table["node"].to_numpy(), table["root"].to_numpy())
    nodes, roots = label_components(node, root)
    real = nodes != roots
    nodes, roots = nodes[real], roots[real]
    changed = not (np.array_equal(nodes, node) and np.array_equal(roots, root))
    return star_rows(nodes, roots), changed
