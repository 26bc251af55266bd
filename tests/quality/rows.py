"""Rows, tables and vectors that the tests of quality share."""

from __future__ import annotations

import json
from typing import Any

import numpy as np
import numpy.typing as npt
import pyarrow as pa

from raylib.schema import SCHEMAS
from tests.texts import conversations


def conversation_table(rows: list[dict[str, Any]]) -> pa.Table:
    return pa.Table.from_pylist([{"meta": None, **r} for r in rows], schema=SCHEMAS["conversation"])


def clustered(n: int, d: int = 16, groups: int = 8, seed: int = 0) -> npt.NDArray[np.float32]:
    rng = np.random.default_rng(seed)
    made = rng.normal(size=(groups, d))[rng.integers(groups, size=n)] + 0.4 * rng.normal(size=(n, d))
    return np.asarray(made / np.linalg.norm(made, axis=1, keepdims=True), np.float32)


def scored(n: int = 240) -> list[dict[str, Any]]:
    rows = conversations(n)
    for i, row in enumerate(rows):
        row["score"] = (i * 37 % 101) / 10 if i % 9 else None
    return rows


def add_score(table: pa.Table) -> pa.Table:
    scores = [json.loads(m).get("score") if m else None for m in table["meta"].to_pylist()]
    return table.append_column("score", pa.array(scores, pa.float64()))


def conversation(*turns: str, roles: str = "ua") -> dict[str, Any]:
    names = {"u": "user", "a": "assistant", "s": "system"}
    order = (roles * len(turns))[: len(turns)] if len(roles) == 2 else roles
    return {
        "id": "x",
        "source": "",
        "meta": None,
        "messages": [{"role": names[r], "content": t} for r, t in zip(order, turns, strict=True)],
    }


GOOD = conversation("请介绍一下绿茶。", "绿茶是不发酵的茶，汤色清亮，香气清高。")
