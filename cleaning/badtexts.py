"""Bad text that we write ourselves, by the thousand: what the bundled model learns to tell from good text.

Every generator takes a random source and, where it spoils good text, the good text. Their words and sentences are ours;
none comes from a corpus.
"""

from __future__ import annotations

import json
import random
import re
from collections.abc import Callable
from pathlib import Path

__all__ = ["SPOILED", "WRITTEN"]

# Names, phrases and pairs of characters by kind.
_WORDS = json.loads(Path(__file__).with_name("badtexts.json").read_text("utf-8"))

Written = Callable[[random.Random], str]
Spoiled = Callable[[random.Random, str], str]


def _some(source: random.Random, choices: list[str] | tuple[str, ...], least: int, most: int, between: str) -> str:
    count = min(source.randint(least, most), len(choices))
    return between.join(source.sample(list(choices), count))


def _wechat(source: random.Random) -> str:
    word = source.choice(
        (
            "微信",
            "薇信",
            "威信",
            "V信",
            "微",
            "薇",
            "v",
            "VX",
            "徽信",
            "卫星",
            "Q",
            "扣扣",
            "q群",
            "飞机",
            "电报",
            "蝙蝠",
            "私信",
        )
    )
    mark = source.choice(("", ":", "：", " ", "同号", "号"))
    account = "".join(source.choices("abcdefghijkmnpqrstuvwxyz0123456789", k=source.randint(5, 9)))
    return (
        source.choice(("加", "加老师", "添加", "联系", "咨询", "+", "请加", "扫码加"))
        + word
        + mark
        + source.choice((account, "", "领取", "了解详情"))
    )


def _pitch(phrases: tuple[str, ...]) -> Written:
    def write(source: random.Random) -> str:
        sentences = []
        for _ in range(source.randint(2, 7)):
            sentence = _some(source, phrases, 2, 6, source.choice(("，", "，", "，", " ", "！", "、")))
            if source.random() < 0.45:
                sentence += source.choice(("，", "！", " ")) + _wechat(source)
            sentences.append(sentence)
        text = source.choice(("。", "！", "！！", "~", "\n", "。")).join(sentences) + source.choice(
            ("。", "！", "", "~")
        )
        if source.random() < 0.3:
            text = source.choice(_WORDS["cities"]) + text
        if source.random() < 0.3:
            marks = "🔥💰❤️👉✅📱🎁➕💵⭐"
            text = "".join(c + (source.choice(marks) if c in "，！。" and source.random() < 0.4 else "") for c in text)
        return text

    return write


def _stuffing(source: random.Random) -> str:
    service = source.choice(_WORDS["services"])
    parts = [
        source.choice(_WORDS["cities"]) + service + source.choice(("", *_WORDS["hooks"]))
        for _ in range(source.randint(15, 50))
    ]
    return source.choice(("，", "、", " ", "|", ",")).join(parts) + "。"


def _empty_talk(source: random.Random) -> str:
    x = source.choice(_WORDS["subjects"])
    q = source.choice(_WORDS["questions"]).format(x=x)
    sentences = [f.format(x=x, q=q) for f in source.choices(_WORDS["filler"], k=source.randint(6, 16))]
    return "".join(s + source.choice(("。", "？", "！", "，", "。")) for s in [q, *sentences]) + "。"


def _page(kind: str) -> Written:
    def write(source: random.Random) -> str:
        between = source.choice(("。", " ", "\n", "，", " | "))
        return between.join(source.choices(_WORDS["pages"][kind], k=source.randint(10, 30)))

    return write


def _translated(source: random.Random) -> str:
    clauses = [
        c.format(s=source.choice(_WORDS["mt_subjects"]))
        for c in source.choices(_WORDS["mt_clauses"], k=source.randint(6, 16))
    ]
    return (
        "".join(
            source.choice(("", source.choice(_WORDS["mt_subjects"]))) + c + source.choice("。。，，！") for c in clauses
        )
        + "。"
    )


def _mashed(source: random.Random) -> str:
    return "".join(
        source.choice(_WORDS["mashed"]) + source.choice(("", "", " ", "，", "的", "是"))
        for _ in range(source.randint(30, 90))
    )


_SKIES = ("晴", "多云转晴", "小雨", "阴")
_WINDS = ("东北风", "西南风", "北风")


def _weather(source: random.Random) -> str:
    rows = []
    for day in range(source.randint(8, 24)):
        low = source.randint(-5, 20)
        rows.append(
            f"{source.randint(1, 12)}月{day + 1}日 星期{source.choice('一二三四五六日')} {source.choice(_SKIES)} "
            f"{low}℃～{low + 8}℃ {source.choice(_WINDS)}{source.randint(1, 5)}级 湿度{source.randint(20, 90)}%"
        )
    return "\n".join(rows)


WRITTEN: dict[str, tuple[str, Written]] = {
    "gambling": ("advert", _pitch(_WORDS["gambling"])),
    "escort": ("advert", _pitch(_WORDS["escort"])),
    "money": ("advert", _pitch(_WORDS["money"])),
    "goods": ("advert", _pitch(_WORDS["goods"])),
    "mixed": ("advert", _pitch(_WORDS["gambling"] + _WORDS["money"] + _WORDS["goods"])),
    "stuffing": ("advert", _stuffing),
    "empty talk": ("advert", _empty_talk),
    **{kind: ("page", _page(kind)) for kind in _WORDS["pages"]},
    "weather": ("page", _weather),
    "machine translation": ("spun", _translated),
    "mashed": ("broken", _mashed),
}
"""Generators of whole texts by name, each with the class that its texts belong to."""


def _spun(source: random.Random, text: str) -> str:
    """Synonyms put in without looking at what stands around them."""
    for old, new in _WORDS["synonyms"]:
        if old in text and source.random() < 0.85:
            text = text.replace(old, new)
    return text


def _scanned(source: random.Random, text: str) -> str:
    """What reading a bad scan makes: similar characters, gaps, stray marks."""
    wrong = {pair[0]: pair[1] for pair in _WORDS["lookalikes"]}
    rate, strange = source.uniform(0.3, 0.95), source.choice((0.0, 0.0, source.uniform(0.03, 0.2)))
    gaps = source.choice((0.0, 0.0, 0.25, 0.5))
    noise = source.choice(("", "", "", "·'｀,.、一丨", "，．；｛｝＜＞～｜「」ｉｌＪ", "\\/|{}[]`'·,.;1lI）」一卜"))
    stray = source.choice((0.2, 0.2, 0.6))
    out = []
    for character in text:
        out.append(wrong[character] if character in wrong and source.random() < rate else character)
        if character > "\u4e00" and source.random() < strange:  # neighbours in Unicode share a radical
            out[-1] = chr(min(max(ord(character) + source.choice((-4, -3, -2, -1, 1, 2, 3, 4)), 0x4E00), 0x9FA0))
        if gaps and source.random() < gaps:
            out.append(" ")
        if noise and source.random() < stray:
            out.append(source.choice(noise) + source.choice(("", " ")))
    return "".join(out)


def _shuffled(source: random.Random, text: str) -> str:
    """Characters or words in a random order: a list of characters, a dictionary, a broken extraction."""
    size = source.choice((1, 1, 2, 3))
    solid = re.sub(r"[\s，。！？；：、“”]", "", text)
    pieces = [solid[i : i + size] for i in range(0, len(solid), size)]
    source.shuffle(pieces)
    return source.choice(("", "", " ")).join(pieces)


def _misread(source: random.Random, text: str) -> str:
    """Bytes read in the wrong encoding, in whole or in part."""
    kind = source.choice(("utf8 as gbk", "gbk as latin", "utf8 as latin"))
    if kind == "utf8 as gbk":
        return text.encode().decode("gb18030", "ignore")
    encoding = "gb18030" if kind == "gbk as latin" else "utf-8"
    return text.encode(encoding, "ignore").decode("latin-1")


def _holed(source: random.Random, text: str) -> str:
    """Characters that a font replaced, which are lost."""
    rate = source.uniform(0.2, 0.6)
    return "".join(chr(source.randint(0xE000, 0xE400)) if source.random() < rate else c for c in text)


SPOILED: dict[str, tuple[str, Spoiled]] = {
    "spun": ("spun", _spun),
    "scanned": ("broken", _scanned),
    "shuffled": ("broken", _shuffled),
    "misread": ("broken", _misread),
    "holed": ("broken", _holed),
}
"""Generators that spoil a good text, by name, each with the class that its texts belong to."""
