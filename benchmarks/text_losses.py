"""What rewriting rules take out of lines that stay: decimals, operators, signs, rare characters, cells, indents."""

from __future__ import annotations

import difflib
import html
import re
import unicodedata
from collections import Counter, defaultdict
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, field

import pyarrow as pa

from cleaning import rules
from cleaning.codepoints import gb2312_table
from cleaning.protected import Kind, spans
from cleaning.rule import RejectingRule
from raylib.recipe import StageSpec

__all__ = ["Losses", "count_losses"]

_KINDS = {
    "decimals": re.compile(r"\d+(?:\.\d+)+"),
    "operators": re.compile(r"==|!=|<=|>=|->|=>|\+\+|&&|\|\||::|//|<<|>>|[=+/^%<>×÷±≤≥≠≈√∑∫∞∈]"),
    "○ and 〇": re.compile("[○〇]"),
    "currency and units": re.compile("[¥£€$‰℉°№§¢]"),
    "table cells": re.compile(r"\||(?<=\S)\t(?=\S)"),
    "headings": re.compile(r"(?m)^#{1,6} "),
    "statutes": re.compile("第[一二三四五六七八九十百千零〇○两0-9]{1,9}[条编章节款项]"),
}
_ZERO_WIDTH = re.compile("[\u200b-\u200f\u2060-\u2064\ufeff]")
_GRAM = 4
_SURVIVES = 0.5  # of the n-grams of a line
_TARGET = re.compile(r"!\[[^\[\]\n]*\]\([^()\n]*\)|(?<=\])\([^()\s]*(?:\([^()\s]*\)[^()\s]*)?(?:\s+\"[^\"\n]*\")?\)")
_TAG = re.compile(r"(?s)<!--.*?-->|</?[a-zA-Z][^<>]{0,500}>")
_PAGE = re.compile(r"(?i)<(?:html|body|head)\b")


@dataclass
class Losses:
    """Tokens that were lost, and those that were looked at.

    Attributes:
        lost: Number of lost tokens by rule and kind.
        examples: The first of them: where, the token, the line.
        seen: Number of tokens of each kind in the texts before any rule.
        documents: Number of texts.
    """

    lost: Counter[tuple[str, str]] = field(default_factory=Counter)
    examples: dict[tuple[str, str], list[str]] = field(default_factory=lambda: defaultdict(list))
    seen: Counter[str] = field(default_factory=Counter)
    documents: int = 0


def _tokens(text: str) -> dict[str, Counter[str]]:
    plain = unicodedata.normalize("NFKC", _ZERO_WIDTH.sub("", text))
    found = {kind: Counter(pattern.findall(plain)) for kind, pattern in _KINDS.items()}
    table = gb2312_table()
    found["rare Han"] = Counter(
        c for c in plain if ("\u3400" <= c <= "\u9fff" and not table[ord(c)]) or "\U00020000" <= c <= "\U000323af"
    )
    return found


def _grams(text: str) -> set[str]:
    letters = "".join(filter(str.isalnum, text))
    return {letters[i : i + _GRAM] for i in range(max(len(letters) - _GRAM + 1, 1))}


def _hunks(before: str, after: str) -> Iterator[tuple[list[str], list[str]]]:
    """Lines that were changed, with what is in their place; lines that went as a whole are left out."""
    old = [line for line in before.split("\n") if line.strip()]
    new = [line for line in after.split("\n") if line.strip()]
    for tag, i, j, k, m in difflib.SequenceMatcher(None, old, new, autojunk=False).get_opcodes():
        if tag != "replace":
            continue
        there = _grams("\n".join(new[k:m]))
        stays = [line for line in old[i:j] if len(own := _grams(line)) and len(own & there) >= _SURVIVES * len(own)]
        if stays:
            yield stays, new[k:m]


def _rendered(text: str) -> str:
    """Without what may be markup: a rule may take that, and must take nothing else."""
    return html.unescape(_TAG.sub("", _TARGET.sub("", text)))


def _indents(texts: Sequence[str]) -> list[Counter[str]]:
    """Indented lines of code in fences, by text."""
    found = spans(pa.array(texts, pa.large_string()))
    out = []
    for row, text in enumerate(texts):
        inside = "\n".join(text[s.start : s.end] for s in found.get(row, ()) if s.kind & Kind.FENCE)
        out.append(Counter(line.rstrip() for line in inside.split("\n") if line[:1] in (" ", "\t") and line.strip()))
    return out


def _compare(rule: str, name: str, before: str, after: str, losses: Losses) -> None:
    if rule == "strip_markup":  # entities and signs in code are left as they are, so both sides are rendered
        before, after = _rendered(before), _rendered(after)
    for stays, now in _hunks(before, after):
        new = _tokens("\n".join(now))
        for kind, old in _tokens("\n".join(stays)).items():
            if kind == "rare Han" and rule == "to_simplified":  # converted, not lost: as many characters as before
                continue
            for token, count in (old - new[kind]).items():
                losses.lost[rule, kind] += count
                line = next((line for line in stays if token in unicodedata.normalize("NFKC", line)), stays[0])
                at = max(0, unicodedata.normalize("NFKC", line).find(token) - 40)
                losses.examples[rule, kind].append(f"{name} {token!r}: {line[at : at + 90]!r}")


def count_losses(texts: Iterable[tuple[str, str]], chain: Sequence[StageSpec], batch: int = 500) -> Losses:
    """Run the rewriting rules of a chain over texts and count what each takes out of lines that stay.

    Whole pages of HTML are counted from the text that is made of them.

    Args:
        texts: Names and texts.
        chain: Stages; those that reject are left out.
        batch: Number of texts that are worked on together.
    """
    losses = Losses()
    listed = list(texts)
    working = [s for s in chain if hasattr(rules, s.name) and not isinstance(getattr(rules, s.name), RejectingRule)]
    for begin in range(0, len(listed), batch):
        names = [name for name, _ in listed[begin : begin + batch]]
        array = pa.array([text for _, text in listed[begin : begin + batch]], pa.large_string())
        losses.documents += len(names)
        for text in array.to_pylist():
            for kind, found in _tokens(text).items():
                losses.seen[kind] += found.total() if hasattr(found, "total") else sum(found.values())
        for spec in working:
            result = getattr(rules, spec.name).function(array, **spec.parameters)
            if result is not array and spec.name != "extract_main":
                _compare_all(spec.name, names, array.to_pylist(), result.to_pylist(), losses)
            array = result
    return losses


def _compare_all(rule: str, names: list[str], old: list[str], new: list[str], losses: Losses) -> None:
    rows = [i for i in range(len(old)) if old[i] != new[i] and not (rule == "strip_markup" and _PAGE.search(old[i]))]
    for i in rows:
        _compare(rule, names[i], old[i], new[i], losses)
    before, after = _indents([old[i] for i in rows]), _indents([new[i] for i in rows])
    for i, b, a in zip(rows, before, after, strict=True):
        stripped = Counter({line.strip(): count for line, count in a.items()})
        for line, count in (b - a).items():
            if line.strip() in new[i] and line.strip() not in stripped:
                losses.lost[rule, "indents"] += count
                losses.examples[rule, "indents"].append(f"{names[i]}: {line[:90]!r}")
