"""What the general recipe does to real documents, and `extract_main` to real pages: the figures that are promised."""

from __future__ import annotations

import gzip
import re
from collections import Counter, defaultdict
from pathlib import Path

import orjson
import pyarrow as pa
import pytest
from selectolax.lexbor import LexborHTMLParser

from cleaning import rules
from cleaning.rule import RejectingRule
from raylib.recipe import Recipe
from raylib.recipe.chains import RECIPES

pytestmark = [pytest.mark.data, pytest.mark.slow]

LABELS = Path(__file__).parents[1] / "quality_of_text" / "main_text.json"
EACH = 60  # documents of a source


@pytest.fixture(scope="module")
def documents(real_data: Path) -> dict[str, list[dict[str, str]]]:
    """Documents by source."""
    found: dict[str, list[dict[str, str]]] = defaultdict(list)
    for name in ("pretrain_zh.jsonl.gz", "more/pretrain_long_zh.jsonl.gz"):
        if (real_data / name).is_file():
            with gzip.open(real_data / name, "rb") as lines:
                for record in map(orjson.loads, lines):
                    found[record["source"]].append(record)
    return found


def kept_share(records: list[dict[str, str]]) -> float:
    """Share of documents of 128 characters or more that the general recipe keeps."""
    texts = [r["text"] for r in records if len(r["text"]) >= 128]
    texts = texts[:: max(1, len(texts) // EACH)][:EACH]
    left = pa.array(texts, pa.large_string())
    for spec in Recipe.from_file(RECIPES / "pretrain_zh.yaml").stages:
        rule = getattr(rules, spec.name, None)
        if isinstance(rule, RejectingRule):
            left = left.filter(rule.function(left, **spec.parameters).is_null())
        elif rule is not None:
            left = rule.function(left, **spec.parameters)
    return len(left) / len(texts)


@pytest.mark.parametrize(
    ("source", "least", "most"),
    [
        ("law", 0.95, 1.0),
        ("tech-docs", 0.95, 1.0),
        ("classical-poetry", 0.95, 1.0),
        ("zhwiki", 0.95, 1.0),
        ("app-description", 0.0, 0.1),
        ("medical-forum", 0.0, 0.2),
    ],
)
def test_the_general_recipe_keeps_what_is_good_and_drops_what_is_bad(
    documents: dict[str, list[dict[str, str]]], source: str, least: float, most: float
) -> None:
    if source not in documents:
        pytest.skip(f"the data has no {source}")
    assert least <= kept_share(documents[source]) <= most


def squeezed(text: str) -> str:
    """A text without layout and marks."""
    return re.sub(r"[\s#*`\-|]+", "", text)


def grams(text: str) -> Counter[str]:
    return Counter(text[i : i + 5] for i in range(len(text) - 4))


def test_main_text_of_pages_with_containers_marked_by_hand(documents: dict[str, list[dict[str, str]]]) -> None:
    labels = orjson.loads(LABELS.read_bytes())
    pages = {r["id"]: r["text"] for r in documents["news-html"] if r["id"] in labels}
    assert len(pages) >= 40
    precision, recall = [], []
    for name, page in pages.items():
        tree = LexborHTMLParser(page)
        for node in tree.css("script,style,noscript"):
            node.decompose()
        right = grams(squeezed(max((n.text(deep=True) for n in tree.css(labels[name])), key=len)))
        found = grams(squeezed(rules.extract_main(page)))
        assert found, f"no text of {name}"
        common = (found & right).total()
        precision.append(common / found.total())
        recall.append(common / right.total())
    assert sum(precision) / len(pages) >= 0.93
    assert sum(recall) / len(pages) >= 0.93
