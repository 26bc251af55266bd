"""Lines and paragraphs that repeat: across documents of a source, and inside one."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable
from pathlib import Path
from typing import Any

import orjson
import pyarrow.parquet as pq
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

import raylib
from dedup.folding import fold
from raylib.engine import run
from raylib.recipe import Recipe
from tests.texts import ARTICLE

Write = Callable[..., Path]
FOOTER = "版权所有：示例网，未经授权不得转载"


def deduplicated(source: Path, out: Path, **parameters: Any) -> tuple[dict[str, str], list[dict[str, Any]]]:
    data = {
        "input": {"path": str(source)},
        "output": {"path": str(out)},
        "engine": {"mode": "inline", "batch_mb": 0.02},
        "stages": [{"line_dedup": parameters}],
    }
    run(Recipe.from_dict(data), fresh=(out / "manifest.jsonl").exists())
    kept = {r["id"]: r["text"] for r in pq.read_table(out / "kept").to_pylist()}
    return kept, pq.read_table(out / "rejected").to_pylist()


def pages(n: int = 60) -> list[dict[str, Any]]:
    texts = [f"第{i}篇独一无二的正文内容。\n{ARTICLE}{i}\n{FOOTER}" for i in range(n)]
    rows = [{"id": f"{i:03d}", "source": "a" if i % 2 else "b", "text": text} for i, text in enumerate(texts)]
    rows[7]["text"] = f"{FOOTER}！\n{FOOTER}"
    return rows


def test_boilerplate_of_a_source_goes_and_text_stays(tmp_path: Path, write_jsonl: Write) -> None:
    kept, rejected = deduplicated(write_jsonl(pages()), tmp_path / "out", min_documents=20)
    assert len(kept) == 59
    # the article's own first lines are in all 60 as well; only what is unique to each page is left of it
    assert all(FOOTER not in text for text in kept.values())
    assert kept["003"].startswith("第3篇独一无二的正文内容。")
    assert kept["003"].endswith("3")
    assert [r["id"] for r in rejected] == ["007"]
    assert rejected[0]["reason"] == "only_repeated_lines"
    assert rejected[0]["text"] == f"{FOOTER}！\n{FOOTER}", "the reject holds the original"


def test_counts_by_source_and_below_the_limit_nothing_happens(tmp_path: Path, write_jsonl: Write) -> None:
    source = write_jsonl(pages())
    for number, parameters in enumerate(
        ({"min_documents": 31}, {"min_documents": 61, "by_source": False}), 1
    ):  # 30 pages a source, 60 in all; one page repeats its footer
        kept, _ = deduplicated(source, tmp_path / str(number), within=False, **parameters)
        assert all(text.endswith(FOOTER) for text in kept.values())
    kept, _ = deduplicated(source, tmp_path / "all", min_documents=60, by_source=False, min_left=0)
    assert not any(FOOTER in text for text in kept.values())


def test_keep_first_leaves_one_copy(tmp_path: Path, write_jsonl: Write) -> None:
    kept, _ = deduplicated(write_jsonl(pages()), tmp_path / "out", keep="first", by_source=False)
    assert [i for i, text in kept.items() if FOOTER in text] == ["000"]


def test_repeats_inside_one_document(tmp_path: Path, write_jsonl: Write) -> None:
    text = f"{ARTICLE}\n同一句话说了两遍呢。\n短\n同一句话，说了两遍呢\n短"
    kept, _ = deduplicated(write_jsonl([{"id": "x", "text": text}]), tmp_path / "out")
    assert kept["x"] == f"{ARTICLE}\n同一句话说了两遍呢。\n短\n短"
    kept, _ = deduplicated(write_jsonl([{"id": "x", "text": text}]), tmp_path / "out", within=False)
    assert kept["x"] == text


def test_paragraphs(tmp_path: Path, write_jsonl: Write) -> None:
    text = "第一段，两行\n在一起。\n\n第二段的内容在这里。\n\n第一段，两行\n在一起。"
    kept, _ = deduplicated(write_jsonl([{"id": "x", "text": text}]), tmp_path / "out", unit="paragraph", min_left=0)
    assert kept["x"] == "第一段，两行\n在一起。\n\n第二段的内容在这里。"


lines = st.sampled_from(["甲" * 8, "乙" * 8, "丙，" * 8, "丙" * 8, "丁", ""])


@pytest.mark.slow
@settings(max_examples=40)
@given(st.lists(st.lists(lines, max_size=5), min_size=1, max_size=8), st.integers(2, 4))
def test_equals_a_straightforward_count(
    tmp_path_factory: pytest.TempPathFactory, documents: list[list[str]], least: int
) -> None:
    folder = tmp_path_factory.mktemp("lines")
    texts = ["\n".join(d) for d in documents]
    texts = [t if t.strip() else "空" for t in texts]
    (folder / "in.jsonl").write_bytes(
        b"".join(orjson.dumps({"id": f"{i:03d}", "text": t}) + b"\n" for i, t in enumerate(texts))
    )
    kept, _ = deduplicated(folder / "in.jsonl", folder / "out", min_documents=least, min_left=1)
    counts = Counter(key for t in texts for key in {fold(line) for line in t.split("\n") if len(line.strip()) >= 6})
    for i, text in enumerate(texts):
        seen: set[str] = set()
        left = []
        for line in text.split("\n"):
            key = fold(line)
            counted = len(line.strip()) >= 6
            if not counted or (counts[key] < least and key not in seen):
                left.append(line)
            seen.add(key)
        expected = "\n".join(left)
        if expected != text:
            expected = expected.strip("\n")
        assert kept.get(f"{i:03d}", "") == expected


def test_conversations_are_refused(tmp_path: Path, write_jsonl: Write) -> None:
    source = write_jsonl([{"id": "1", "data": ["问", "答"]}])
    with pytest.raises(raylib.RaylibError, match="works on documents"):
        raylib.read(source).line_dedup().count()


def test_lines_of_other_numbers_are_other_lines(tmp_path: Path, write_jsonl: Write) -> None:
    lines = [
        "今日气温12.3度",
        "今日气温123度",
        "今日气温12-3度",
        "今日气温-123度",
        "学习C++语言",
        "学习C#语言",
        "学习C语言吧",
    ]
    source = write_jsonl([{"id": str(i), "text": f"{line}\n{ARTICLE}{i}"} for i, line in enumerate(lines)])
    kept, _ = deduplicated(source, tmp_path / "out", min_documents=2, by_source=False)
    assert [kept[str(i)].split("\n")[0] for i in range(len(lines))] == lines
