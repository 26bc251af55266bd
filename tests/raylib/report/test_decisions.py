"""Single edits and rejects that are drawn of each stage."""

from __future__ import annotations

import random
from pathlib import Path

import orjson
import pyarrow as pa
import pytest

from raylib.engine import run
from raylib.recipe import Recipe
from raylib.report.decisions import DRAWN_EDITS, Decisions, DrawnDecisions, merge_decisions
from raylib.stage import mark_rejected
from raylib.storage.names import RunFiles


def table(texts: list[str], first: int = 0) -> pa.Table:
    return pa.table(
        {
            "id": [f"d{first + i}" for i in range(len(texts))],
            "text": pa.array(texts, pa.large_string()),
            "source": pa.array(["网页"] * len(texts), pa.string()),
            "meta": pa.nulls(len(texts), pa.large_string()),
        }
    )


def drawn(count: int, edits: int, first: int = 0) -> DrawnDecisions:
    made = DrawnDecisions(seed=0, edits=edits, rejects=edits)
    before = [f"第{i}句话ＡＢ，没有别的。" for i in range(count)]
    made.changed("widths", table(before, first), table([t.replace("ＡＢ", "AB") for t in before], first))
    return made


def test_an_edit_is_shown_with_what_stands_around_it() -> None:
    (edit,) = drawn(1, 5).to_json()["edits"]["widths"]
    assert (edit["left"], edit["removed"], edit["added"], edit["right"]) == ("第0句话", "ＡＢ", "AB", "，没有别的。")
    assert (edit["id"], edit["source"], edit["lost"], edit["edits"]) == ("d0", "网页", 0, 1)


def test_unchanged_records_are_not_drawn() -> None:
    made = DrawnDecisions(seed=0, edits=5, rejects=5)
    made.changed("rule", table(["甲乙", "丙丁"]), table(["甲乙", "丙"]))
    (edit,) = made.to_json()["edits"]["rule"]
    assert (edit["id"], edit["removed"], edit["lost"]) == ("d1", "丁", 1)


def test_one_of_several_edits_is_drawn_and_all_are_counted() -> None:
    made = DrawnDecisions(seed=0, edits=200, rejects=0)
    before = ["一①两个字以外二②两个字以外三③"] * 200
    made.changed("rule", table(before), table([t.translate({ord(c): None for c in "①②③"}) for t in before]))
    edits = made.to_json()["edits"]["rule"]
    assert {e["edits"] for e in edits} == {3}
    assert {e["removed"] for e in edits} == {"①", "②", "③"}


def test_the_same_records_are_drawn_however_the_input_is_cut() -> None:
    whole = drawn(600, 20).to_json()["edits"]["widths"]
    parts: Decisions = {"edits": {}, "rejects": {}}
    cuts = [(first, 100) for first in range(0, 600, 100)]
    random.Random(3).shuffle(cuts)
    for first, count in cuts:
        part = DrawnDecisions(seed=0, edits=20, rejects=0)
        before = [f"第{first + i}句话ＡＢ，没有别的。" for i in range(count)]
        for half in (slice(0, 30), slice(30, 100)):
            old = before[half]
            place = first + half.start
            part.changed("widths", table(old, place), table([t.replace("ＡＢ", "AB") for t in old], place))
        parts = merge_decisions(parts, part.to_json())
    assert parts["edits"]["widths"][:20] == whole


def test_rejects_are_drawn_for_each_stage() -> None:
    made = DrawnDecisions(seed=0, edits=0, rejects=3)
    for label in ("length", "garbled"):
        records = table([f"{label}{i}" for i in range(10)])
        made.rejected(mark_rejected(records, stage=label, reason="bad", detail=pa.array(["5 < 9"] * 10)))
    rejects = made.to_json()["rejects"]
    assert {label: len(found) for label, found in rejects.items()} == {"length": 3, "garbled": 3}
    assert rejects["length"][0]["detail"] == "5 < 9"
    assert [r["draw"] for r in rejects["length"]] == sorted(r["draw"] for r in rejects["length"])


def test_an_edit_of_a_long_text_is_found_in_its_part() -> None:
    before = "前" * 300_000 + "旧" + "后" * 300_000
    made = DrawnDecisions(seed=0, edits=1, rejects=0)
    made.changed("rule", table([before]), table([before.replace("旧", "新")]))
    (edit,) = made.to_json()["edits"]["rule"]
    assert (edit["removed"], edit["added"], edit["left"], edit["right"]) == ("旧", "新", "前" * 60, "后" * 60)


def test_decisions_of_an_older_version_are_none() -> None:
    empty: Decisions = {"edits": {}, "rejects": {}}
    assert merge_decisions(empty, None) == empty


@pytest.mark.parametrize("batch_mb", [0.01, 1])
def test_a_run_writes_the_same_decisions_for_any_cut(tmp_path: Path, batch_mb: float) -> None:
    rows = [{"id": f"d{i}", "text": f"第{i}句话ＡＢ，" * (1 + i % 7)} for i in range(400)]
    (tmp_path / "in.jsonl").write_bytes(b"".join(orjson.dumps(row) + b"\n" for row in rows))
    found = []
    for number, megabytes in enumerate((batch_mb, 4)):
        data = {
            "input": {"path": str(tmp_path / "in.jsonl")},
            "output": {"path": str(tmp_path / f"out{number}")},
            "engine": {"mode": "inline", "batch_mb": megabytes},
            "stages": ["normalise_characters", {"length": {"min": 20}}],
        }
        run(Recipe.from_dict(data, "test"))
        found.append((tmp_path / f"out{number}" / RunFiles.DECISIONS).read_bytes())
    first, second = (orjson.loads(f) for f in found)
    assert len(first["edits"]["normalise_characters"]) == DRAWN_EDITS
    assert [e["id"] for e in first["edits"]["normalise_characters"][:20]] == [
        e["id"] for e in second["edits"]["normalise_characters"][:20]
    ]
    assert first["rejects"] == second["rejects"]
    assert {r["detail"] for r in first["rejects"]["length"]} <= {f"{n} < 20" for n in range(20)}
