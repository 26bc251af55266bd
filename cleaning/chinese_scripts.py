"""Traditional to simplified characters and other directions, by OpenCC, and the words that it gets wrong."""

from __future__ import annotations

import functools
import re
from collections.abc import Callable
from typing import Literal, Protocol

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.compute as pc

from cleaning.codepoints import Flags, codepoints, flags, share, table_of
from cleaning.declare import rewrite
from cleaning.protected import Kind, outside
from cleaning.texts import rewrite_each

__all__ = ["simplified_only", "simplified_table", "to_simplified", "traditional_only"]


class _Converter(Protocol):
    def convert(self, text: str) -> str: ...


@functools.lru_cache(maxsize=8)
def _opencc(direction: str) -> _Converter:
    import opencc  # noqa: PLC0415 - loads its dictionaries

    converter: _Converter = opencc.OpenCC(direction)
    return converter


@functools.lru_cache(maxsize=8)
def _convertible(direction: str) -> str:
    """RE2 class of the characters that a direction changes on their own, or may change in a phrase.

    For t2s a text without a single traditional character is left alone. That is faster, and safer: the
    phrase table misreads simplified text (破坏土地 would become 破坯土地).
    """
    if direction != "t2s":
        return r"[\x{3400}-\x{9fff}\x{f900}-\x{faff}\x{20000}-\x{3ffff}]"
    convert = _opencc(direction).convert
    codes = [c for c in (*range(0x3400, 0xA000), *range(0xF900, 0xFB00)) if convert(chr(c)) != chr(c)]
    return "[" + "".join(f"\\x{{{c:x}}}" for c in codes) + r"\x{20000}-\x{3ffff}乾瀋著藉覆徵麼夥瞭昇]"


def _mark_traditional(before: pa.Array, after: pa.Array) -> dict[str, pa.Array]:
    """The column `traditional`: true where the conversion changed at least 5 % of the characters, or words."""
    flag = np.zeros(len(before), np.bool_)
    if before is not after:
        rows = np.flatnonzero(pc.not_equal(before, after).to_numpy(zero_copy_only=False))
        old, new = codepoints(before.take(pa.array(rows))), codepoints(after.take(pa.array(rows)))
        same_length = old.lengths == new.lengths
        if same_length.all():
            flag[rows] = share(old.count(old.values != new.values), old.lengths, empty=0.0) >= 0.05
        else:  # a direction that changes words: any change counts
            flag[rows] = True
    return {"traditional": pa.array(flag)}


Direction = Literal["t2s", "tw2s", "tw2sp", "hk2s", "s2t", "s2tw", "s2hk", "t2tw"]


# Where OpenCC's phrases are too few. 著 is a verb's ending in modern text, and a word of its own in these:
_ZHU = re.compile(
    r"(?<![所名原巨專专論论譯译編编合遺遗拙新顯显卓昭土較较撰])著(?![名作者述稱称錄录有于於文論论《「（(]|[書书]立)"
)
_MODERN = re.compile("[的了是在這这們们]")
_LIAO = re.compile(r"瞭(?=[解然如若])|(?<=明)瞭")
# 乾 and 昇 stay in names, and change in these words only.
_DRY = re.compile(
    r"乾(?=[燥淨净杯糧粮旱枯涸脆草果菜貨货洗冰癟瘪咳爹媽妈裂熱热電电酪物季濕湿柴等瞪笑嘔呕透])|(?<=[餅饼曬晒烘風风晾吹擦抹喝口豆肉筍笋萄陰阴瀝沥榨未])乾"
)
_RISE = re.compile(r"(?<=[上提晉晋直東东爬攀回])昇|昇(?=[高級级華华天降值起平空溫温])")


def _to_simplified(text: str, convert: Callable[[str], str]) -> str:
    text = _LIAO.sub("了", text)
    if "著" in text and (len(text) <= _PHRASE or len(_MODERN.findall(text)) * 100 >= len(text)):
        text = _ZHU.sub("着", text)
    done = convert(text)
    for character, words in (("乾", _DRY), ("昇", _RISE)):
        if character in text and len(done) == len(text):
            changed = {m.start() for m in words.finditer(text)}
            written = list(done)
            for place in re.finditer(character, text):
                if place.start() not in changed:
                    written[place.start()] = character
            done = "".join(written)
    return done


_PHRASE = 20  # characters: too few to judge whether a text is classical


def _changed_by(direction: str) -> Flags:
    convert = _opencc(direction).convert
    return table_of("".join(chr(c) for c in range(0x3400, 0xA000) if convert(chr(c)) != chr(c)))


@functools.lru_cache(maxsize=1)
def simplified_table() -> npt.NDArray[np.uint16]:
    """The simplified form of each character that has one on its own, every other character as it is, [65536]."""
    table = np.arange(0x10000, dtype=np.uint16)
    codes = np.arange(0x3400, 0xA000)
    simple = _opencc("t2s").convert("\n".join(map(chr, codes))).split("\n")
    table[codes] = [ord(new) if ord(new) < len(table) else old for old, new in zip(codes, simple, strict=True)]
    return table


@functools.lru_cache(maxsize=1)
def simplified_only() -> Flags:
    """The class of characters that are written so in simplified text only."""
    return _changed_by("s2t")


@functools.lru_cache(maxsize=1)
def traditional_only() -> Flags:
    """The class of characters that are written so in traditional text only."""
    return _changed_by("t2s")


def _is_simplified(texts: pa.Array) -> Flags:
    """Which texts are simplified but for names and quotations: they have ten times as many simplified characters."""
    view = codepoints(texts)
    simplified = view.count(flags(view, simplified_only()))
    return (simplified > 0) & (simplified >= 10 * view.count(flags(view, traditional_only())))


@rewrite(
    examples=(
        ("網路資訊與軟體開發", "网路资讯与软体开发"),
        ("孫乾看著書，瞭解乾燥的氣候", "孙乾看着书，了解干燥的气候"),
        (
            "这部书讲图书馆的历史，作者孫某说资料难寻，档案馆里也没有多少。请读者来信补充，编辑会转给他。",
            "这部书讲图书馆的历史，作者孫某说资料难寻，档案馆里也没有多少。请读者来信补充，编辑会转给他。",
        ),
    ),
    adds=_mark_traditional,
)
def to_simplified(texts: pa.Array, *, direction: Direction = "t2s") -> pa.Array:
    """Convert traditional to simplified characters with OpenCC, or convert in another of its directions.

    A text that is simplified already, but for a name or a quotation, stays as it is. 著, 瞭, 乾 and 昇, for which
    OpenCC has too few phrases, are decided by the words around them. Code and addresses stay. Adds the column
    `traditional`: true where the conversion changed at least 5 % of a document's characters.

    Args:
        texts: String array.
        direction: Direction of OpenCC; `tw2sp` also changes words of Taiwan (軟體 to 软件).
    """
    hit = pc.match_substring_regex(texts, _convertible(direction))
    if direction == "t2s":
        hit = pc.and_(hit, pa.array(~_is_simplified(texts)))
    if not pc.any(hit).as_py():
        return texts
    convert = _opencc(direction).convert

    def converted(free: pa.Array) -> pa.Array:
        if direction == "t2s":
            return rewrite_each(free, lambda s: _to_simplified(s, convert))
        return rewrite_each(free, convert)

    return pc.replace_with_mask(texts, hit, outside(texts.filter(hit), converted, Kind.CODE | Kind.ADDRESS))
