"""Rules that cut: boilerplate at the ends, broken ends, short sentences, navigation lines."""

from __future__ import annotations

import re
from typing import Literal

import pyarrow as pa
import pyarrow.compute as pc

from cleaning.declare import rewrite
from cleaning.lexicons import Lexicon, load_lexicon
from cleaning.texts import rewrite_each
from raylib.paths import PathName
from raylib.stage.bounds import Share

__all__ = [
    "cut_boilerplate_ends",
    "cut_ends",
    "cut_partial_ends",
    "drop_lines",
    "drop_short_sentences",
    "drop_unfinished_tail",
]

_SENTENCE = re.compile(r"[^。！？\n]*(?:[。！？\n]+|\Z)")


def _sentences(text: str) -> list[str]:
    return [s for s in _SENTENCE.findall(text) if s]


def _boilerplate_length(sentences: list[str], lexicon: Lexicon, window: int, limit: int) -> int:
    """Characters to cut from this end, up to `limit`: through the last hit before `window` clean sentences."""
    cut = position = clean = 0
    for sentence in sentences:
        position += len(sentence)
        if position > limit:
            break
        if lexicon.contains(sentence):
            cut, clean = position, 0
        elif sentence.strip():
            clean += 1
            if clean >= window:
                break
    return cut


def _without_boilerplate(text: str, lexicon: Lexicon, ends: str, window: int, max_share: float) -> str:
    sentences = _sentences(text)
    limit = int(len(text) * max_share)
    head = _boilerplate_length(sentences, lexicon, window, limit) if ends in ("both", "head") else 0
    tail = _boilerplate_length(sentences[::-1], lexicon, window, limit) if ends in ("both", "tail") else 0
    if head + tail >= len(text):  # one phrase from end to end: the length rule will say so
        return ""
    return text[head : len(text) - tail]


@rewrite(
    cuts=True,
    examples=(
        (
            "点击上方蓝字关注我们。\n春天来了，山里的桃花都开了。\n人们走出家门去看花。\n河水也涨了起来。\n本文版权归原作者所有。",
            "春天来了，山里的桃花都开了。\n人们走出家门去看花。\n河水也涨了起来。\n",
        ),
    ),
)
def cut_boilerplate_ends(
    texts: pa.Array,
    *,
    lexicon: PathName = "boilerplate_wechat",
    window: int = 5,
    ends: Literal["both", "head", "tail"] = "both",
    max_share: Share = 0.4,
) -> pa.Array:
    """Cut advertising and notices from the head and the tail of a text.

    Sentences end at 。！？ and newline. From the head, a sentence that contains a phrase of the lexicon moves the cut
    behind it; `window` clean sentences in a row end the scan. The tail is scanned in the same way. Each scan takes at
    most `max_share` of the characters, so a chain of hits cannot eat an article.

    Args:
        texts: String array.
        lexicon: Name of a built-in lexicon or path of a file, with phrases of boilerplate.
        window: Number of clean sentences in a row that end a scan.
        ends: Which ends are cut.
        max_share: Largest share of a text's characters that each scan may take, 0 to 1.
    """
    words = load_lexicon(lexicon)
    return rewrite_each(
        texts, lambda s: _without_boilerplate(s, words, ends, window, max_share) if words.contains(s) else s
    )


def _without_partial_ends(text: str) -> str:
    first = re.search(r"[。！？\n]", text)
    last = max(text.rfind(m) for m in "。！？”")
    if first is None or last <= first.end() - 1:
        return text
    return text[first.end() : last + 1]


@rewrite(cuts=True, examples=(("就走了。第二天下雨。大家都没有出门。他想了", "第二天下雨。大家都没有出门。"),))
def cut_partial_ends(texts: pa.Array) -> pa.Array:
    """Cut the first and the last sentence fragment: for books and excerpts that were cut in the middle.

    A text with fewer than two sentence ends stays as it is.

    Args:
        texts: String array.
    """
    return rewrite_each(texts, _without_partial_ends)


@rewrite(cuts=True, examples=(("前言" * 3 + "正文。", "前言" * 3 + "正文。"),))
def cut_ends(texts: pa.Array, *, head: int = 0, tail: int = 0) -> pa.Array:
    """Cut a fixed number of characters from the start and the end of a text (front and back matter of e-books).

    Args:
        texts: String array.
        head: Number of characters to cut from the start.
        tail: Number of characters to cut from the end.
    """
    if not head and not tail:
        return texts
    return rewrite_each(texts, lambda s: s[head : len(s) - tail] if len(s) > head + tail else "")


def _finished(text: str) -> str:
    stripped = text.rstrip()
    if not stripped or stripped[-1] in "。！？”…!?":
        return stripped if stripped != text else text
    cut = max(text.rfind(mark) for mark in "。！？”…\n")
    return text[: cut + 1].rstrip("\n") if cut >= 0 else text


@rewrite(cuts=True, examples=(("一句。二句", "一句。"), ("无标点", "无标点")))
def drop_unfinished_tail(texts: pa.Array) -> pa.Array:
    """Cut a text back to its last 。！？”… or newline; a text without any of them stays as it is.

    Args:
        texts: String array.
    """
    unfinished = pc.invert(pc.match_substring_regex(texts, r"[。！？”…!?]\z"))
    return rewrite_each(texts, _finished, where=unfinished)


_WITH_MARK = re.compile(r"[^。！？!?\n]*[。！？!?\n]+|[^。！？!?\n]+\Z")


def _without_short_sentences(text: str, min_length: int, keep_tail: bool) -> str:
    out = []
    for sentence in _WITH_MARK.findall(text):
        ended = sentence[-1] in "。！？!?\n"
        if not ended and not keep_tail:
            continue
        if len(sentence.strip("。！？!? \t\n\u3000")) >= min_length:
            out.append(sentence)
        elif "\n" in sentence and out and not out[-1].endswith("\n"):
            out.append("\n")
    return "".join(out)


@rewrite(cuts=True, examples=(("好。今天天气不错。尾巴没有标点", "今天天气不错。"),))
def drop_short_sentences(texts: pa.Array, *, min_length: int = 5, keep_tail: bool = False) -> pa.Array:
    """Drop short sentences, and a tail that no sentence mark ends.

    Args:
        texts: String array.
        min_length: Least length of a sentence, in characters without its marks and surrounding white space.
        keep_tail: Whether a tail without a closing mark stays, if it is long enough.
    """
    return rewrite_each(texts, lambda s: _without_short_sentences(s, min_length, keep_tail))


_SEPARATORS = re.compile(r"[|｜>»›/\\·•\-—_\[\]【】\s\d:：,，.。+]")
_SHAPES = re.compile(
    r"^\s*(?:"
    r"(?:发布|更新|发表|编辑|来源|作者|时间|日期|责任编辑|责编|编辑|记者|通讯员|摄影|图/|文/|字号|阅读)[^。！？]{0,30}"
    r"|\d{4}\s?[年\-/.]\s?\d{1,2}\s?[月\-/.]\s?\d{1,2}\s?日?(?:\s+\d{1,2}:\d{2}(?::\d{2})?)?"
    r"(?:\s*(?:来源|作者)[^。！？]{0,20})?"
    r"|(?:上一篇|下一篇|上一页|下一页|返回顶部|返回首页|回到顶部|更多>>|查看更多|阅读全文|展开全文|点击这里|打印|关闭)[^。！？]{0,20}"
    r"|(?:Copyright|版权所有|©|ICP备|京ICP|沪ICP|粤ICP|京公网安备)[^。！？]{0,80}"
    r")\s*$",
    re.IGNORECASE,
)
_PROSE = re.compile("[，。！？；]")  # 他翻到下一页，继续读。 is a sentence, not a link


def _is_navigation(line: str) -> bool:
    """Few Han characters among many separators: `首页 > 新闻 > 国内 | 登录 | 注册`."""
    if not 3 <= len(line) <= 200:
        return False
    separators = len(_SEPARATORS.findall(line))
    marks = sum(line.count(c) for c in "|｜>»›·•/")
    return marks >= 3 and separators * 3 >= len(line) and not any(c in line for c in "。！？，")


def _without_lines(text: str, lexicon: Lexicon, max_length: int) -> str:
    fence = table = False
    out = []
    for line in text.split("\n"):
        bare = line.strip()
        if bare.startswith("```"):
            fence = not fence
        table = bare.startswith("|") and bare.endswith("|")
        if bare and not fence and not table and len(bare) <= max_length:
            if _SHAPES.match(bare) or _is_navigation(bare):
                continue
            if not _PROSE.search(bare) and lexicon.contains(bare):
                continue
        out.append(line)
    return "\n".join(out) if out else ""


@rewrite(
    cuts=True,
    examples=(
        (
            "首页 > 新闻 > 国内 | 登录 | 注册\n2023-08-14 12:30 来源：本站\n今天下了一场大雨。\n上一篇：天晴了",
            "今天下了一场大雨。",
        ),
    ),
)
def drop_lines(texts: pa.Array, *, lexicon: PathName = "page_lines", max_length: int = 60) -> pa.Array:
    """Drop lines that consist of navigation, copyright, "click here", share counts, or a date and an author.

    A line is recognised by its shape or, if it contains no sentence mark, by a phrase of the lexicon. Code fences and
    Markdown tables stay as they are.

    Args:
        texts: String array.
        lexicon: Name of a built-in lexicon or path of a file, with phrases of such lines.
        max_length: Length of the longest line that is looked at, in characters.
    """
    words = load_lexicon(lexicon)
    return rewrite_each(texts, lambda s: _without_lines(s, words, max_length), where=pc.match_substring(texts, "\n"))
